"""Budgets: how much may be spent, what was, and what calls on their way may still cost. In whole nano-dollars inside.

A `Budget` is the account; the layer `polyport.middleware.budget` keeps calls within one. `BudgetManager` holds one for
each user of a program, by the names that users know.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from polyport.errors import BadRequestError, BudgetExceededError
from polyport.types.bill import NANO

#: Lengths of a budget's time, in seconds.
DURATIONS = {
    "hourly": 3600,
    "daily": 86_400,
    "weekly": 7 * 86_400,
    "monthly": 30 * 86_400,
    "yearly": 365 * 86_400,
}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "mo": 30 * 86_400}


def nano(usd: float) -> int:
    """Return USD as whole nano-dollars. Raises BadRequestError for what is no amount."""
    amount = Decimal(str(usd))
    if not amount.is_finite() or amount < 0:
        raise BadRequestError(f"{usd!r} is no amount of USD")
    return int((amount * NANO).to_integral_value())


def seconds(duration: str | float | None) -> float | None:
    """Return a duration in seconds: "30d", "1mo", "daily", or seconds as they are; None is for ever."""
    if duration is None or isinstance(duration, int | float):
        return duration
    if duration in DURATIONS:
        return DURATIONS[duration]
    match = re.fullmatch(r"(\d+)(mo|[smhdw])", duration)
    if match is None:
        raise BadRequestError(f"{duration!r} is no duration: write 30s, 15m, 12h, 30d, 1mo or {', '.join(DURATIONS)}.")
    return int(match[1]) * UNITS[match[2]]


def _usd(amount: int) -> str:
    """Return nano-dollars as USD, without an exponent and without zeros that say nothing."""
    whole, _, rest = f"{amount / NANO:.9f}".partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}"


class Budget:
    """An amount that may be spent, in USD; after each `duration` it may be spent anew. Safe across threads.

    `spent` is settled; `reserved` what calls on their way may cost. Both are in nano-dollars, as `limit` is.
    """

    def __init__(self, max_budget: float, duration: str | float | None = None, *, name: str = "") -> None:
        self.limit = nano(max_budget)
        self.duration = seconds(duration)
        self.name = name
        self.spent = self.reserved = 0
        self._since: float | None = None
        self._lock = threading.Lock()

    def reserve(self, amount: int, now: float) -> None:
        """Set an amount aside. Raises BudgetExceededError where that, with all before it, would be too much."""
        with self._lock:
            self._renew(now)
            if self.spent + self.reserved + amount > self.limit:
                raise BudgetExceededError(self._told(amount))
            self.reserved += amount

    def settle(self, reserved: int, spent: int) -> None:
        """Give back what was set aside, and count what was spent."""
        with self._lock:
            self.reserved -= reserved
            self.spent += spent

    def reset(self) -> None:
        """Begin anew with nothing spent; what is set aside stays so."""
        with self._lock:
            self.spent, self._since = 0, None

    @property
    def cost(self) -> float:
        """What was spent, in USD."""
        return self.spent / NANO

    def _renew(self, now: float) -> None:
        if self._since is None:
            self._since = now
        elif self.duration is not None and now - self._since >= self.duration:
            self._since += (now - self._since) // self.duration * self.duration
            self.spent = 0

    def _told(self, amount: int) -> str:
        whose = f" of {self.name}" if self.name else ""
        return (
            f"The budget{whose} of ${_usd(self.limit)} does not hold ${_usd(amount)} more: "
            f"${_usd(self.spent)} is spent and ${_usd(self.reserved)} on its way. "
            "Raise max_budget, or wait for the next period."
        )

    def __repr__(self) -> str:
        return f"<Budget {self.name} ${_usd(self.spent)} of ${_usd(self.limit)}>"


class Account(msgspec.Struct, kw_only=True):
    """What a BudgetManager keeps of one user; amounts in nano-dollars, times in seconds since 1970."""

    total: int
    spent: int = 0
    duration: float | None = None
    created_at: float = 0.0
    last_updated_at: float = 0.0
    by_model: dict[str, int] = {}


class BudgetManager:
    """Budgets of a program's users: what each may spend, and what each has spent on which model.

    `path` is a JSON file to keep them in; it is read now, and written by every change. `clock` is in seconds since
    1970. Safe across threads; a file belongs to one process at a time.
    """

    def __init__(
        self,
        project_name: str = "default",
        *,
        path: str | os.PathLike[str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.project_name = project_name
        self._path = None if path is None else Path(path)
        self._clock = clock
        self._lock = threading.RLock()
        self._users: dict[str, Account] = self._load()

    def create_budget(
        self, total_budget: float, user: str, duration: str | float | None = None, created_at: float | None = None
    ) -> dict[str, Any]:
        """Give a user a budget in USD, for ever or for each `duration` ("daily", "30d"), with nothing spent yet."""
        now = self._clock() if created_at is None else created_at
        account = Account(total=nano(total_budget), duration=seconds(duration), created_at=now, last_updated_at=now)
        with self._lock:
            self._users[user] = account
            self._save()
        return self._shown(account)

    def projected_cost(self, model: str, messages: Sequence[Any], user: str) -> float:
        """Return what the user would have spent once these messages are sent: without what is answered to them."""
        from polyport.money import cost_per_token
        from polyport.tokens import token_counter

        given, _ = cost_per_token(model, int(token_counter(model, messages=messages)))
        if given is None:
            raise BadRequestError(f"No price is known for {model!r}: polyport.register_prices({{...}}) adds one.")
        return self.get_current_cost(user) + given

    def update_cost(
        self,
        user: str,
        completion_obj: Any = None,
        model: str | None = None,
        input_text: str | None = None,
        output_text: str | None = None,
    ) -> dict[str, Any]:
        """Count what a response cost, or texts of a model did, and return the user's account.

        A response's own `meta.cost` is taken where it is known. Raises BadRequestError where no price is.
        """
        from polyport.money import completion_cost, meta_of

        if completion_obj is not None:
            meta = meta_of(completion_obj)
            spent = meta.cost if meta.cost is not None else completion_cost(completion_obj, model=model)
            named = model or meta.model or getattr(completion_obj, "model", None) or "unknown"
        elif model is not None and (input_text is not None or output_text is not None):
            spent, named = completion_cost(model=model, prompt=input_text or "", completion=output_text or ""), model
        else:
            raise BadRequestError("Pass the response, or model=... with input_text=... and output_text=...")
        if spent is None:
            raise BadRequestError(f"No price is known for {named!r}: polyport.register_prices({{...}}) adds one.")
        return self.add(user, nano(spent), named)

    def add(self, user: str, spent: int, model: str) -> dict[str, Any]:
        """Count so many nano-dollars on a model, and return the user's account."""
        with self._lock:
            account = self._account(user)
            account.spent += spent
            account.by_model[model] = account.by_model.get(model, 0) + spent
            account.last_updated_at = self._clock()
            self._save()
            return self._shown(account)

    def is_valid_user(self, user: str) -> bool:
        """Return whether the user has a budget."""
        return user in self._users

    def get_users(self) -> list[str]:
        """Return all users."""
        return list(self._users)

    def get_total_budget(self, user: str) -> float:
        """Return what the user may spend, in USD."""
        return self._account(user).total / NANO

    def get_current_cost(self, user: str) -> float:
        """Return what the user has spent, in USD."""
        return self._account(user).spent / NANO

    def get_model_cost(self, user: str) -> dict[str, float]:
        """Return what the user has spent on each model, in USD."""
        return {model: spent / NANO for model, spent in self._account(user).by_model.items()}

    def reset_cost(self, user: str) -> dict[str, Any]:
        """Begin anew with nothing spent."""
        with self._lock:
            account = self._account(user)
            account.spent, account.by_model, account.last_updated_at = 0, {}, self._clock()
            self._save()
            return self._shown(account)

    def reset_on_duration(self, user: str) -> bool:
        """Begin anew where the user's time is up, and return whether it was."""
        with self._lock:
            account, now = self._account(user), self._clock()
            if account.duration is None or now - account.created_at < account.duration:
                return False
            account.created_at += (now - account.created_at) // account.duration * account.duration
            self.reset_cost(user)
            return True

    def update_budget_all_users(self) -> None:
        """Begin anew for every user whose time is up."""
        for user in self.get_users():
            self.reset_on_duration(user)

    def _account(self, user: str) -> Account:
        account = self._users.get(user)
        if account is None:
            raise BadRequestError(f"{user!r} has no budget: create_budget(total_budget=..., user={user!r}) first.")
        return account

    @staticmethod
    def _shown(account: Account) -> dict[str, Any]:
        return {
            "total_budget": account.total / NANO,
            "current_cost": account.spent / NANO,
            "model_cost": {model: spent / NANO for model, spent in account.by_model.items()},
            "duration": account.duration,
            "created_at": account.created_at,
            "last_updated_at": account.last_updated_at,
        }

    def _load(self) -> dict[str, Account]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Account])
        except msgspec.DecodeError as error:
            raise BadRequestError(f"{str(self._path)!r} holds no budgets: {error}.") from error

    def _save(self) -> None:
        """Write the file anew, whole or not at all."""
        if self._path is None:
            return
        scratch = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        scratch.write_bytes(msgspec.json.encode(self._users))
        scratch.replace(self._path)


Owner = Callable[[Any], Budget | None]


def owner(budget: float | Budget | Mapping[str, Budget] | Owner) -> Owner:
    """Return who pays for a call: one budget for all, one by `user=`, or whatever a function of the call says."""
    if isinstance(budget, Mapping):
        return lambda call: budget.get(getattr(call.request, "user", None) or "")
    if isinstance(budget, Budget):
        return lambda _: budget
    if callable(budget):
        return budget
    one = Budget(budget)
    return lambda _: one
