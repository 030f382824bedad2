"""The keeper: a gate with accounts. It knows who calls, reserves, and writes down what came of it.

admit:  identify the key -> may it be used here -> its limits and its customer's -> reserve on all of them
settle: into the journal, before the reply's last byte -> what was used in place of what was reserved

Most requests need not wait for either: `admit_now` and `settle_now` take the same steps without a coroutine.

    keeper = Keeper(Store("sqlite:///gateway.db"), Path("journal"), master_key="sk-...", prices=prices_of(router))
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from polyport.errors import ServiceUnavailableError
from polyport_gateway import begun, estimate
from polyport_gateway.admitted import Admitted
from polyport_gateway.config import General
from polyport_gateway.entries import entry_of, tags_of
from polyport_gateway.gate import Admission, Asked, GateError, Outcome
from polyport_gateway.identity import (
    UNKNOWN,
    Identity,
    Party,
    Principal,
    allows_address,
    allows_route,
    digest,
    limits_of,
)
from polyport_gateway.journal import Journal
from polyport_gateway.ledger import Ledger
from polyport_gateway.limits import Held, Limit, Limits, MemoryLimits, Refusal, Reservation, Together, together
from polyport_gateway.lines import Entry
from polyport_gateway.notices import Notices
from polyport_gateway.owning import (
    Owned,
    Owners,
)
from polyport_gateway.prompts import CURRENT, Prompts
from polyport_gateway.retention import EVERY, drop_old
from polyport_gateway.rows import BudgetRow
from polyport_gateway.signon.credential import TEAM
from polyport_gateway.started import Batches, Started, accounts
from polyport_gateway.store import Store
from polyport_gateway.team_observers import CURRENT_TEAM
from polyport_gateway.telling import refused
from polyport_gateway.upkeep import Upkeep

log = logging.getLogger("polyport.gateway.keeper")
#: The limits of what calls no model.
NOTHING = together(())


class Keeper:
    """A gate over a store, a journal's folder, and limits in this process (or those given, which others share).

    `on_store_failure` is "allow" (known keys go on while the database is away) or "deny". `on_soft_budget` is told
    of each soft budget that is crossed; `general` returns the settings that hold now. Times are in seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        journal: Path,
        *,
        master_key: str | None = None,
        prices: estimate.Prices | None = None,
        limits: Callable[[Ledger], Limits] | None = None,
        on_store_failure: str = "allow",
        on_soft_budget: Callable[[Limit], None] | None = None,
        general: Callable[[], General] = General,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.general, self.clock = store, general, clock
        self.allow = on_store_failure != "deny"
        self.identity = Identity(
            store,
            master_key=master_key,
            known_while_away=self.allow,
            stranger=self._stranger,
            strangers_budget=lambda: self.general().terms.default_customer_params.get("budget_id") or "",
            clock=clock,
        )
        self.ledger = Ledger(store, Journal(journal))
        self.limits: Limits = limits(self.ledger) if limits else MemoryLimits(self.ledger.spent)
        self.limits.crossed = self._crossed
        self.batches = Batches(store, self.limits)
        #: The budgets of providers and deployments that the router goes by.
        self.purses: Sequence[Limit] = ()
        #: Looks at a batch now, where there is somebody to do it.
        self.look: Callable[[Started], Awaitable[None]] | None = None
        self.ledger.charge = self._charge
        self.owners = Owners(store)
        self.prompts, self.notices = Prompts(), Notices(store)
        self._upkeep = Upkeep()
        self._secret = master_key or ""
        self._prices = prices
        self._on_soft_budget = on_soft_budget
        self._ready = False
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Bring the tables up to date and begin to drain. Raises ServiceUnavailableError."""
        async with self._starting:
            if not self._ready:
                await self.store.migrate()
                self.ledger.start()
                self._upkeep.start((1.0, self._write_prompts), (1.0, self._tell), (EVERY, self._drop_old))
                self._ready = True

    async def begin(self) -> None:
        """Start with the server; a database that is away then is asked again when the first request comes."""
        try:
            await self.start()
        except ServiceUnavailableError as error:
            log.warning("%s It is asked again when somebody calls.", error.message)

    async def identify(
        self, token: str | None, client: str | None = None, path: str = "", *, team: str = ""
    ) -> Principal:
        """Return who has a key, for the management's routes, if it may be used on a path. Raises GateError."""
        await self._started()
        principal = await self.identity.identify(token, team)
        _check(principal, client, path)
        return principal

    async def admit(self, asked: Asked) -> Admitted:
        """Return the admission of a request, with what it may use reserved. Raises GateError."""
        await self._started()
        principal = await self.identity.identify(asked.token, asked.headers.get(TEAM, ""))
        admitted = self._enter(asked, principal)
        limits = self._limits(admitted, await self._customer(admitted))
        if limits.each:
            admitted.taken = await self._reserve(limits, *self._estimate(admitted, limits), self.clock())
        return admitted

    async def trace(self, admission: Admission, seal: begun.Seal) -> begun.Begun:
        """Return by what who was let in is known again; see `begun`. Raises GateError while the database is away."""
        assert isinstance(admission, Admitted)
        try:
            async with self.store.reading() as connection:
                return await begun.by(admission.principal, seal, connection)
        except ServiceUnavailableError as error:
            raise GateError(503, "store_unavailable", error.message, retry_after=1) from error

    async def resume(self, began: begun.Begun, seal: begun.Seal, path: str, client: str | None) -> None:
        """Raise GateError where who began something may not go on: as their key would be refused now."""
        if not began:
            return
        await self._started()
        name = f"begun {digest(repr(began))}"
        found = await self.identity.known(name, lambda connection: begun.beginner(began, seal, connection))
        if found is None:
            raise GateError(401, "invalid_api_key", "Whoever began this is not known here any more: begin again.")
        _check(found, client, path)

    def admit_now(self, asked: Asked) -> Admitted | None:
        """Admit a request as `admit` does, where nothing must be waited for; else return None, with nothing done."""
        if not self._ready or asked.headers.get(TEAM):
            return None
        principal = self.identity.identify_now(asked.token)
        if principal is None:
            return None
        admitted = self._enter(asked, principal)
        customer = self.identity.customer_now(admitted.customer) if admitted.customer else None
        if customer is UNKNOWN:
            return None
        limits = self._limits(admitted, customer)
        if limits.each:
            tokens, nano = self._estimate(admitted, limits)
            found = self.limits.reserve_now(limits.each, tokens, nano, self.clock())
            if found is None:
                return None
            admitted.taken = _let_in(found, tokens)
        return admitted

    def follow(self, master_key: str | None, on_store_failure: str) -> None:
        """Go by another master key, and by another rule for a database that is away, from now on."""
        self.allow = on_store_failure != "deny"
        self.identity.follow(master_key, known_while_away=self.allow)
        self._secret = master_key or ""

    async def aclose(self) -> None:
        """Drain what there is, and close everything."""
        await self._upkeep.aclose()
        await self.ledger.aclose()
        with contextlib.suppress(ServiceUnavailableError):
            await self._write_prompts()
            await self.notices.write()
        await self.notices.aclose()
        await self.limits.aclose()
        await self.store.aclose()

    async def _started(self) -> None:
        if not self._ready:
            try:
                await self.start()
            except ServiceUnavailableError as error:
                raise GateError(503, "store_unavailable", error.message, retry_after=1) from error

    # --- before the call ---

    def _enter(self, asked: Asked, principal: Principal) -> Admitted:
        """Return the admission of a request that has nothing reserved yet. Raises GateError for what it may not do."""
        if principal.bound:
            _check(principal, asked.client, asked.path)
            if asked.operation and principal.role == "viewer":
                raise GateError(403, "viewer", "A key with the role viewer reads, and calls no models.")
        return Admitted(self, asked, principal)

    async def _customer(self, admitted: Admitted) -> Party | None:
        """Return a request's customer, with what its key says of it. Raises GateError."""
        name = admitted.customer
        return await self.identity.customer(name, admitted.principal.of_customer) if name else None

    def _limits(self, admitted: Admitted, customer: Party | None, model: str | None = None) -> Together:
        """Return what limits a request: whoever has the key, its customer, and what holds for everybody."""
        model = admitted.model if model is None else model
        asked, principal, terms = admitted.asked, admitted.principal, self.general().terms
        if not asked.operation:
            return NOTHING
        if terms.store_prompts:
            CURRENT.set(asked.request_id)
        if terms.observers:
            CURRENT_TEAM.set(principal.team_id)
        limits = principal.limits_for(model)
        if customer is None and terms.everybody is None and not terms.tags:
            return limits
        others = [one for one in (customer, terms.everybody) if one is not None]
        tags = tags_of(principal, asked) if terms.tags and self.general().request_tags else principal.tags
        tagged = [terms.tags[tag] for tag in tags if tag in terms.tags]
        return together([*limits.each, *limits_of(others, model), *tagged])

    async def _reserve(self, limits: Together, tokens: int, nano: int, now: float) -> Reservation:
        try:
            found = await self.limits.reserve(limits.each, tokens, nano, now)
        except ServiceUnavailableError as error:
            if not self.allow:
                raise GateError(503, "store_unavailable", error.message, retry_after=1) from error
            log.warning("What was spent cannot be looked up now: a request is let in without its budgets")
            unpaid = [msgspec.structs.replace(limit, budget=None, soft=None) for limit in limits.each]
            found = await self.limits.reserve(unpaid, tokens, nano, now)
        return _let_in(found, tokens)

    def _estimate(self, admitted: Admitted, limits: Together) -> tuple[int, int]:
        """Return the tokens and nano-dollars to reserve; models without a price reserve no money."""
        if not limits.tokens:
            return 0, 0
        asked, model = admitted.asked, admitted.model
        prompt, answer = estimate.tokens(asked.operation, asked.fields)
        if asked.price is not None:
            return prompt + answer, asked.price
        if not limits.money or self._prices is None or not model:
            return prompt + answer, 0
        nano = estimate.nano(prompt, answer, asked.fields, self._prices(model))
        return prompt + answer, nano or 0

    # --- after it ---

    async def settle(self, admitted: Admitted, outcome: Outcome) -> None:
        """Write an outcome down, then give back what was reserved. Raises GateError where it could not be kept."""
        entry = entry_of(admitted, outcome, self.clock(), tagging=self.general().request_tags)
        try:
            self._write(entry, admitted.made)
        finally:
            if admitted.taken is not None:
                used = _used(entry, outcome)
                for limit in await self.limits.settle(admitted.taken, used, entry.nano, entry.at):
                    self._crossed(limit)

    def settle_now(self, admitted: Admitted, held: Held | None, outcome: Outcome) -> None:
        """Do the same where nothing was reserved, or it is held in this process."""
        entry = entry_of(admitted, outcome, self.clock(), tagging=self.general().request_tags)
        try:
            self._write(entry, admitted.made)
        finally:
            if held is not None:
                for limit in self.limits.settle_now(held, _used(entry, outcome), entry.nano, entry.at):
                    self._crossed(limit)

    def _write(self, entry: Entry, made: Sequence[Owned]) -> None:
        try:
            self.ledger.record(entry)
        except OSError as error:
            log.critical("The journal takes nothing any more (%s): nothing is acknowledged until it does", error)
            raise GateError(503, "journal_unavailable", "The gateway cannot write down what calls cost.") from error
        for one in made:
            self.owners.remember(one)

    # --- batches ---

    def pause(self) -> float:
        """Return for how long a batch is left alone, in seconds: about as long as the terms say."""
        return self.general().terms.batch_check_interval * random.uniform(0.8, 1.2)  # noqa: S311  no secret

    async def hold(self, admitted: Admitted, row: Started) -> Refusal | None:
        """Hold what a batch may cost. Raises GateError while the database is away: nobody would bill the batch."""
        try:
            limits = self._limits(admitted, await self._customer(admitted), row.model)
            return await self.batches.hold(row, limits.each, self.clock())
        except ServiceUnavailableError as error:
            raise GateError(503, "store_unavailable", error.message, retry_after=1) from error

    async def afford(self, admitted: Admitted, nano: int) -> None:
        """Raise GateError where a budget has no room for so much more.

        It is reserved and given back at once: what counts in the end is what the request comes to.
        """
        limits = self._limits(admitted, await self._customer(admitted))
        budgets = [one for one in limits.each if one.budget is not None]
        if nano > 0 and budgets:
            bare = [msgspec.structs.replace(one, rpm=None, tpm=None, parallel=None, soft=None) for one in budgets]
            taken = await self._reserve(together(bare), 0, nano, self.clock())
            await self.limits.settle(taken, 0, 0, self.clock())

    def bill(self, entry: Entry | None) -> None:
        """Put the entry of a batch that is over into the journal. Raises GateError where it could not be kept."""
        if entry is not None:
            try:
                self.ledger.record(entry)
            except OSError as error:
                self.owners.unpaid(entry.id)
                raise GateError(503, "journal_unavailable", "The gateway cannot write down what calls cost.") from error

    # --- now and then ---

    async def _charge(self, entry: Entry) -> None:
        """Have the accounts know of what was spent without them: a batch that is over."""
        more = [(kind, name) for kind in ("provider", "deployment") if (name := getattr(entry, kind))]
        more += [("tag", tag) for tag in entry.tags]
        names = [*accounts(entry, entry.model), *(Limit(about=(one,)).account for one in more)]
        await self.limits.charge(names, entry.nano)
        await self.batches.share(self.clock())

    def _stranger(self, name: str, budget: BudgetRow | None) -> Party | None:
        return self.general().terms.customer(name, budget)

    def _crossed(self, limit: Limit) -> None:
        self.notices.note(limit, self.clock())
        if self._on_soft_budget is not None:
            self._on_soft_budget(limit)

    async def _write_prompts(self) -> None:
        while await self.prompts.write(self.store):
            pass

    async def _tell(self) -> None:
        terms = self.general().terms
        await self.notices.send(terms.budget_webhook, terms.budget_webhook_secret or self._secret)

    async def _drop_old(self) -> None:
        await drop_old(self.store, self.general().terms)


def _check(principal: Principal, client: str | None, path: str) -> None:
    """Raise GateError for a key that may not be used on a path, or from an address."""
    if path and not allows_route(principal, path):
        raise GateError(403, "route_not_allowed", f"The key {principal.key_id} may not be used for {path}.")
    if not allows_address(principal, client):
        raise GateError(403, "address_not_allowed", f"The key {principal.key_id} may not be used from here.")


def _let_in(found: Reservation | Refusal, tokens: int) -> Reservation:
    """Return what was taken. Raises GateError where it was refused."""
    if isinstance(found, Refusal):
        raise refused(found, tokens)
    return found


def _used(entry: Entry, outcome: Outcome) -> int | None:
    """Return the tokens that a request used; None where nobody knows."""
    return entry.prompt + entry.completion if outcome.usage or outcome.status >= 400 else None
