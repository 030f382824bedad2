"""What can be said of keys, users, teams, projects, customers and budgets: wire names, columns, and what they take.

The names are those that LiteLLM's users know. A name that is not here is refused with the nearest one that is.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from polyport.budgets import nano, seconds
from polyport.errors import BadRequestError
from polyport.types.bill import NANO
from polyport_gateway.limits import period
from polyport_gateway.signon.settings import ROLES
from polyport_gateway.store.tables import BudgetRow, CustomerRow, Entity, KeyRow, ProjectRow, TeamRow, UserRow

Read: TypeAlias = Callable[[str, Any], Any]
#: Columns of numbers go as far as this.
HIGHEST = 2**31 - 1


def _wrong(name: str, needed: str) -> BadRequestError:
    return BadRequestError(f"{name} must be {needed}.")


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 255 or not value.isprintable():
        raise _wrong(name, "a text of at most 255 characters on one line")
    return value


def _count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= HIGHEST:
        raise _wrong(name, f"a whole number from 0 to {HIGHEST}, or null for no limit")
    return value


def _money(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9 or math.isnan(value):
        raise _wrong(name, "an amount of USD, or null for no limit")
    return nano(value)


def _period(name: str, value: Any) -> str:
    text = _text(name, value)
    if len(text) > 16:
        raise _wrong(name, "a duration such as 30s, 1d or 1mo")
    period(text, time.time())
    return text


def _texts(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > 1000:
        raise _wrong(name, "a list of texts")
    return [_text(name, one) for one in value]


def _networks(name: str, value: Any) -> list[str]:
    found = _texts(name, value)
    for one in found:
        try:
            ipaddress.ip_network(one, strict=False)
        except ValueError as error:
            raise _wrong(name, "a list of IP addresses or networks, such as 10.0.0.0/8") from error
    return found


def _object(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(name, "an object")
    return value


def _names(name: str, value: Any) -> dict[str, Any]:
    found = _object(name, value)
    for key, one in found.items():
        _text(name, key)
        _text(name, one)
    return found


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "true or false")
    return value


def _role(name: str, value: Any) -> str:
    if value not in ("", None, *ROLES):
        raise _wrong(name, f"one of {', '.join(ROLES)}")
    return value or ""


def _members(name: str, value: Any) -> dict[str, Any]:
    if not all(role in ("admin", "member") for role in _names(name, value).values()):
        raise _wrong(name, 'an object of user ids to "admin" or "member"')
    return _object(name, value)


def _expiry(name: str, value: Any) -> float | None:
    length = seconds(_text(name, value) or None)
    return None if length is None else time.time() + length


def _instant(name: str, value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11):
        raise _wrong(name, "seconds since 1970, or null")
    return None if value is None else float(value)


#: Limits: wire name -> column, reader. They may also stand for single models: {"model_limits": {"gpt-4o": {...}}}.
LIMITS: dict[str, tuple[str, Read]] = {
    "rpm_limit": ("rpm", _count),
    "tpm_limit": ("tpm", _count),
    "max_parallel_requests": ("parallel", _count),
    "max_budget": ("max_budget", _money),
    "soft_budget": ("soft_budget", _money),
    "budget_duration": ("budget_duration", _period),
}


def _model_limits(name: str, value: Any) -> dict[str, Any]:
    return {
        _text(name, model): read(LIMITS, f"{name}.{model[:60]}", _object(name, limits))
        for model, limits in _object(name, value).items()
    }


COMMON: dict[str, tuple[str, Read]] = {
    **LIMITS,
    "model_limits": ("model_limits", _model_limits),
    "budget_id": ("budget_id", _text),
    "models": ("models", _texts),
    "tags": ("tags", _texts),
    "metadata": ("details", _object),
    "blocked": ("blocked", _flag),
}
#: Kind -> its table and what can be said of it.
KINDS: dict[str, tuple[type[Entity], dict[str, tuple[str, Read]]]] = {
    "key": (
        KeyRow,
        COMMON
        | {
            "key_alias": ("alias", _text),
            "user_id": ("user_id", _text),
            "team_id": ("team_id", _text),
            "project_id": ("project_id", _text),
            "role": ("role", _role),
            "duration": ("expires", _expiry),
            "expires": ("expires", _instant),
            "aliases": ("aliases", _names),
            "allowed_routes": ("routes", _texts),
            "allowed_ips": ("ips", _networks),
        },
    ),
    "user": (
        UserRow,
        COMMON | {"user_alias": ("alias", _text), "user_email": ("email", _text), "user_role": ("role", _role)},
    ),
    "team": (TeamRow, COMMON | {"team_alias": ("alias", _text), "members": ("members", _members)}),
    "project": (ProjectRow, COMMON | {"project_alias": ("alias", _text), "team_id": ("team_id", _text)}),
    "customer": (CustomerRow, COMMON | {"alias": ("alias", _text)}),
    "budget": (BudgetRow, {name: one for name, one in COMMON.items() if name != "budget_id"}),
}
#: Said by its length, shown as its instant.
UNSHOWN = ("duration",)


def read(fields: Mapping[str, tuple[str, Read]], where: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns and values. Raises BadRequestError, which names what is wrong."""
    for name in body:
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(fields))}."
            raise BadRequestError(f"{where} has no {str(name)[:60]!r}{hint}")
    return {fields[name][0]: fields[name][1](name, value) for name, value in body.items()}


def show(kind: str, row: Entity) -> dict[str, Any]:
    """Return an entity in the wire's names, with amounts in USD."""
    fields = KINDS[kind][1]
    shown = {f"{kind}_id": row.id, "created_at": row.created_at, "updated_at": row.updated_at}
    for name, (column, _) in fields.items():
        if name not in UNSHOWN:
            shown[name] = _told(column, getattr(row, column))
    if isinstance(row, KeyRow):
        shown["key_name"] = row.hint
    return shown


def _told(column: str, value: Any) -> Any:
    if column in ("max_budget", "soft_budget"):
        return None if value is None else value / NANO
    if column == "model_limits":
        names = {column: name for name, (column, _) in LIMITS.items()}
        return {
            model: {names[one]: _told(one, limit) for one, limit in limits.items()} for model, limits in value.items()
        }
    return value
