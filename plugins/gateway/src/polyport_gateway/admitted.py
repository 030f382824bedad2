"""A request that the keeper let in: what it may, what is made for it, what it holds, and its end."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polyport.errors import ServiceUnavailableError
from polyport.flow import Flow, Streaming
from polyport.types.batch import Batch
from polyport.types.bill import NANO
from polyport.types.record import Meta
from polyport.types.upload import Upload
from polyport_gateway import buckets, foreseen
from polyport_gateway.gate import Asked, GateError, Outcome, Start, storage_refused
from polyport_gateway.identity import Principal
from polyport_gateway.limits import Held, Reservation
from polyport_gateway.lines import Entry, clean
from polyport_gateway.owning import (
    BATCHES,
    LISTS,
    LONGEST,
    MADE,
    STORED,
    STREAMED,
    Owned,
    Results,
    containers_of,
    entry_id,
    owns,
)
from polyport_gateway.policy import Policy
from polyport_gateway.replies import usd
from polyport_gateway.started import OPEN, Started
from polyport_gateway.telling import refused, told

if TYPE_CHECKING:
    from polyport_gateway.keeper import Keeper


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
