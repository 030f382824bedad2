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
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from polyport.errors import ServiceUnavailableError
from polyport.flow import Flow, Streaming
from polyport.types.batch import Batch
from polyport.types.bill import NANO
from polyport.types.record import Meta
from polyport.types.upload import Upload
from polyport_gateway import begun, buckets, estimate, foreseen
from polyport_gateway.config import General
from polyport_gateway.entries import entry_of, tags_of
from polyport_gateway.gate import Admission, Asked, GateError, Outcome, Start, storage_refused
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
from polyport_gateway.lines import Entry, clean
from polyport_gateway.notices import Notices
from polyport_gateway.owning import (
    BATCHES,
    LISTS,
    LONGEST,
    MADE,
    STORED,
    STREAMED,
    Owned,
    Owners,
    Results,
    containers_of,
    entry_id,
    owns,
)
from polyport_gateway.policy import Policy
from polyport_gateway.prompts import CURRENT, Prompts
from polyport_gateway.replies import usd
from polyport_gateway.retention import EVERY, drop_old
from polyport_gateway.rows import BudgetRow
from polyport_gateway.signon.credential import TEAM
from polyport_gateway.started import OPEN, Batches, Started, accounts
from polyport_gateway.store import Store
from polyport_gateway.team_observers import CURRENT_TEAM
from polyport_gateway.telling import refused, told
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


class Admitted:
    """A request that was let in; see `polyport_gateway.gate.Admission`."""

    __slots__ = (
        "_keeper", "_settled", "aliases", "asked", "caller", "customer", "held", "made", "model", "models", "policy",
        "principal", "started", "taken",
    )  # fmt: skip

    def __init__(self, keeper: Keeper, asked: Asked, principal: Principal) -> None:
        self._keeper, self.asked, self.principal = keeper, asked, principal
        self.caller, self.aliases = principal.caller, principal.aliases
        self.models: Collection[str] | None = principal.models
        self.policy: Policy | None = principal.policy
        model = asked.model or ""
        self.model = self.aliases.get(model, model)
        user = principal.customer or asked.user
        self.customer = clean(user) if user and asked.operation else ""
        self.taken: Reservation | None = None
        self.made: Sequence[Owned] = ()
        #: The row of a batch that is about to start.
        self.started: Started | None = None
        #: What a batch that was started holds, as its caller is told.
        self.held: bytes | None = None
        self._settled = False

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """How much is left of the tightest limits, by the names that OpenAI's SDK knows; what a batch holds in USD."""
        left = () if self.taken is None else told(self.taken, self.asked.surface, self._keeper.clock)
        return left if self.held is None else (*left, (b"x-polyport-held", self.held))

    async def check(self, ids: Sequence[str]) -> None:
        """Raise GateError, 404, for what is not the caller's."""
        keeper = self._keeper
        await keeper.owners.check(self.principal, ids, keeper.general().terms.shared_within)

    async def reach(self, addresses: Sequence[str]) -> None:
        """Raise GateError, 403, for an address in cloud storage that is neither allowed nor a file of the caller's."""
        keeper, by = self._keeper, self.principal
        left = buckets.beyond(addresses, self.policy.storage if self.policy is not None else ())
        if by.role == "admin" or not left:
            return
        found = await keeper.owners.find(left)
        for one in left:
            if one not in found or not owns(by, found[one], keeper.general().terms.shared_within):
                raise storage_refused(one)

    async def note(self, function: str, fields: Mapping[str, Any], result: Any, meta: Meta) -> Any:
        """Take note of what was made, and of a batch that is over; return what of a list is the caller's."""
        owners = self._keeper.owners
        kind = MADE.get(function) or (STORED.get(function) if fields.get("store") else None)
        if function == "create_file":
            await self._own_file(fields, result.id, meta.deployment or "")
        elif kind is not None:
            self.own(kind, getattr(result, "id", None), meta.deployment or "")
            if function == "create_batch":
                await self._bind(result)
            for container in containers_of(fields, result) if function == "responses" else ():
                self.own("container", container, meta.deployment or "")
        elif function in BATCHES:
            owner = (await owners.find([result.id])).get(result.id)
            if owner is not None:
                self.made = [*self.made, *owners.outputs(result, owner)]
                self._bill(owners.bill(result, owner, meta))
        elif function in LISTS:
            return await self._seen(result)
        elif function in STREAMED:
            await self._note_results(str(fields.get("file_id")), result, meta)
        return result

    @property
    def budgeted(self) -> bool:
        """Whether a budget holds for this request."""
        return self.taken is not None and any(limit.budget is not None for limit in self.taken.limits)

    async def _own_file(self, fields: Mapping[str, Any], name: str, deployment: str) -> None:
        """Take note of a file, of a batch's requests with what they ask for; or where those of this batch are."""
        asks = ""
        if self.started is not None:
            await self._keeper.batches.name_file(self.started, clean(name, LONGEST))
        elif fields.get("purpose", "batch") == "batch" and "file" in fields:
            asks = foreseen.pack(await foreseen.of_lines(Upload.of(fields["file"]).read()))
        self.own("file", name, deployment, asks=asks)

    async def hold(self, start: Start) -> None:
        """Hold what a batch may cost that is about to start. Raises GateError where a budget has no room for it."""
        keeper, who = self._keeper, self.principal
        asks = start.asks
        if asks is None:
            file = (await keeper.owners.find([start.file])).get(start.file)
            asks = foreseen.unpack(file.asks) if file is not None else {}
            self._may(asks, start)
        model = clean(self.model or start.model_of(next(iter(asks), "")))
        nano, whole = foreseen.nano(asks, start.rates_of), foreseen.is_whole(asks, start.rates_of)
        if not whole:
            nano += round(keeper.general().terms.unpriced_batch_hold * NANO)
        row = Started(
            id=f"start-{self.asked.request_id}", model=model, provider=clean(start.provider),
            deployment=clean(start.deployment), file=clean(start.file, LONGEST),
            nano=nano, key_id=who.key_id, user_id=who.user_id, team_id=who.team_id,
            project_id=who.project_id, customer_id=self.customer,
        )  # fmt: skip
        refusal = await keeper.hold(self, row)
        if refusal is not None:
            raise refused(refusal, 0)
        self.model, self.started = model, row
        self.held = usd(nano / NANO) if nano or whole else b"unknown"

    def _may(self, asks: foreseen.Foreseen, start: Start) -> None:
        """Refuse a file that asks for models which are not the caller's, or of which nobody knows. Raises GateError."""
        if self.models is None:
            return
        if not asks or len(asks) >= foreseen.MODELS:
            why = "asks for too many of them" if asks else "came in parts or is read elsewhere: upload it here, whole"
            raise GateError(403, "model_not_allowed", f"This key may use some models, and the file {why}.")
        for model in asks:
            if not start.may_use(model):
                raise GateError(403, "model_not_allowed", f"This key may not use {model[:200]!r}, as the file does.")

    async def let_go(self) -> None:
        """Give back what is held for a batch that did not start; where that cannot be, `looking` will see to it."""
        row, self.started, self.held = self.started, None, None
        if row is not None:
            with contextlib.suppress(ServiceUnavailableError):
                await self._keeper.batches.let_go(row, self._keeper.clock())

    async def afford(self, nano: int) -> None:
        """Raise GateError where a budget has no room for so much more."""
        await self._keeper.afford(self, nano)

    async def look_once_more(self, batch: str) -> None:
        """Have a batch looked at, and paid if it is over, since it is about to be deleted."""
        keeper = self._keeper
        try:
            row = await keeper.batches.find(clean(batch, LONGEST))
            if row is not None and row.state == OPEN and keeper.look is not None:
                await keeper.look(row)
        except ServiceUnavailableError as error:
            raise GateError(503, "store_unavailable", error.message, retry_after=1) from error

    async def pay(self, job: str, nano: int, usage: Mapping[str, int], meta: Meta) -> None:
        """Bill a job that is over to whose it is, where that is known."""
        owners = self._keeper.owners
        owner = (await owners.known([job])).get(job)
        if owner is not None:
            self._bill(owners.bill_job(owner, nano, usage, meta))

    async def _bind(self, batch: Batch) -> None:
        row, self.started = self.started, None
        if row is not None:
            keeper = self._keeper
            due = keeper.clock() + keeper.pause()
            await keeper.batches.bind(row.id, clean(batch.id, LONGEST), entry_id(batch.id), due)

    def own(self, kind: str, name: object, deployment: str = "", part_of: str = "", asks: str = "") -> None:
        """Take note of something at a deployment's account: the caller's, or whose what it is part of is."""
        if isinstance(name, str) and 0 < len(name) <= LONGEST:
            whole = self._keeper.owners.remembered(part_of) if part_of else None
            who = whole or self.principal
            customer = self.customer if whole is None else whole.customer_id
            made = Owned(
                id=clean(name, LONGEST), kind=kind, at=self._keeper.clock(), key_id=who.key_id, user_id=who.user_id,
                team_id=who.team_id, project_id=who.project_id, customer_id=customer, model=clean(self.model),
                deployment=clean(deployment),
                asks=asks,
            )  # fmt: skip
            self.made = [*self.made, made]

    async def visible(self, ids: Sequence[str]) -> Collection[str]:
        """Return which of these things are the caller's."""
        keeper = self._keeper
        return await keeper.owners.visible(self.principal, ids, keeper.general().terms.shared_within)

    async def places(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return, of things that are somebody's, the deployments at whose accounts they are; none is waited for."""
        found = await self._keeper.owners.known(ids)
        return {name: one.deployment for name, one in found.items()}

    async def _note_results(self, file_id: str, content: Any, meta: Meta) -> None:
        """Add up what the results of a batch cost, whole or while they go by."""
        owners = self._keeper.owners
        file = next((one for one in self.made if one.id == file_id), None)  # the batch was looked at just now
        file = file or (await owners.find([file_id])).get(file_id)
        batch = (await owners.find([file.batch])).get(file.batch) if file is not None and file.batch else None
        if file is None or batch is None:
            return
        results = Results(meta.provider)
        if not isinstance(content, Streaming):
            results.feed(content.content)
            results.finish()
            self._bill(owners.bill_results(results, file, batch, meta))
            return

        def finish(error: BaseException | None) -> Flow[None]:
            yield from ()
            if error is None:
                results.finish()
                self._bill(owners.bill_results(results, file, batch, meta))

        content.tap(results.feed).epilogue(finish)

    def _bill(self, entry: Entry | None) -> None:
        self._keeper.bill(entry)

    async def _seen(self, result: Any) -> Any:
        ids = [one.id for one in result.data]
        mine = await self.visible(ids)
        if len(mine) == len(ids):
            return result
        data = [one for one in result.data if one.id in mine]
        plain: dict[str, Any] = {**result.to_dict(), "data": [one.to_dict() for one in data]}
        return plain | {name: data[place].id if data else None for name, place in (("first_id", 0), ("last_id", -1))}

    async def settle(self, outcome: Outcome) -> None:
        """Take note of how it ended. Only the first call counts."""
        if not self.settle_now(outcome):
            self._end(outcome)
            await self._keeper.settle(self, outcome)

    def settle_now(self, outcome: Outcome) -> bool:
        """Do so at once; return False where something must be waited for, with nothing done."""
        taken = self.taken
        if self._settled or not self.asked.operation:
            return True
        if taken is not None and not isinstance(taken, Held):
            return False
        self._end(outcome)
        self._keeper.settle_now(self, taken, outcome)
        return True

    def _end(self, outcome: Outcome) -> None:
        self._settled = True
        if outcome.kept and self.asked.operation == "responses":
            self.own("response", outcome.kept, outcome.deployment or "")


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
