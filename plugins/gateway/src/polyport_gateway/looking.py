"""Looks at batches that were started, whether or not their callers do: so that each is paid, and gives its budget back.

Every replica has a look now and then at those that are due (`general_settings.batch_check_interval`); a lease in the
database sees to it that one does at a time. What a look comes to is what a caller's comes to: the same entry of the
ledger, by the same code, which counts once whoever writes it. A provider that does not answer is asked again, later
each time; a batch is given up a day after its provider gives it up, told of in the log, and then holds nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from polyport.border import Call
from polyport.errors import PolyportError, ServiceUnavailableError
from polyport.flow import Flow, Streaming
from polyport.operations import BY_FUNCTION
from polyport.types.batch import SINCE, Batch, BatchList
from polyport.types.record import Meta
from polyport_gateway.app import ASGI
from polyport_gateway.keeper import Keeper
from polyport_gateway.lines import Entry
from polyport_gateway.owning import Owned, Results, answers_of, entry_id
from polyport_gateway.rollups import DAY
from polyport_gateway.running import Running
from polyport_gateway.started import STARTING, Started
from polyport_gateway.upkeep import Upkeep

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

log = logging.getLogger("polyport.gateway.looking")
#: Batches that are claimed at once, and the seconds within which they are looked at, results read.
MOST, LEASE = 10, 900.0
#: Seconds between two rounds of one replica, at least and at most; rounds after which limits are told all once more.
OFTEN, SELDOM, WHOLE = 0.5, 15.0, 40
#: The longest pause after a look that failed, in seconds; how many times longer each pause is than the one before.
LATEST, LONGER = 3600.0, 2.0
#: Pages of a provider's batches that are turned in search of one that nobody confirmed, and how long each is.
PAGES, PAGE = 10, 100
#: By how many seconds a provider's clock may be off.
SKEW = 300.0


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part: it serves nothing."""
    if gateway.keeper is not None:
        looking = Looking(gateway, gateway.keeper)
        gateway.app.starting.append(looking.start)
        gateway.app.closing.append(looking.aclose)
    return {}


class Looking:
    """Has batches looked at, and the limits of this process know what these hold."""

    def __init__(self, gateway: Gateway, keeper: Keeper) -> None:
        self._app, self._keeper = gateway.app, keeper
        self._upkeep = Upkeep()
        self._rounds = 0
        keeper.look = self.look

    async def start(self) -> None:
        """Look from now on."""
        self._upkeep.start((OFTEN, self._round))

    async def aclose(self) -> None:
        """Look no more."""
        await self._upkeep.aclose()

    async def _round(self) -> None:
        keeper = self._keeper
        await keeper.start()
        now = keeper.clock()
        await keeper.batches.share(now, whole=self._rounds % WHOLE == 0)
        self._rounds += 1
        for row in await keeper.batches.claim(now, MOST, LEASE):
            await self.look(row)
        interval = keeper.general().terms.batch_check_interval
        await asyncio.sleep(min(SELDOM, interval / 4) - OFTEN)

    async def look(self, row: Started) -> None:
        """Look at one batch. What is wrong with it, or with its provider, is nobody else's matter."""
        running = self._app.running
        try:
            with running:
                await (self._find(running, row) if row.state == STARTING else self._see(running, row))
        except ServiceUnavailableError:
            raise  # the database is away: its lease runs out
        except PolyportError as error:
            await self._failed(row, error)

    async def _failed(self, row: Started, error: PolyportError) -> None:
        keeper = self._keeper
        now = keeper.clock()
        if now > row.expires + DAY:
            log.error(
                "The batch %s of %s is given up (%s): nobody knows what it cost, and it holds no budget any more",
                row.id, row.provider, error.message,
            )  # fmt: skip
            await keeper.batches.give_up(row, now)
            return
        log.warning("The batch %s of %s could not be looked at: %s", row.id, row.provider, error.message)
        pause = min(keeper.pause() * LONGER ** min(row.tries, 20), max(LATEST, keeper.pause()))
        await keeper.batches.put_off(row, now + pause, failed=True)

    # --- one that its provider has confirmed ---

    async def _see(self, running: Running, row: Started) -> None:
        keeper = self._keeper
        call = _call(running, row, "retrieve_batch", batch_id=row.id)
        batch: Batch = await _ask(running, running.router.client.onion(call))
        now = keeper.clock()
        if batch.status not in SINCE:
            expires = float(batch.expires_at) if batch.expires_at else row.expires
            if now > expires + DAY:
                raise _Unanswered(f"It is still {batch.status}.")
            await keeper.batches.put_off(row, now + keeper.pause(), expires=expires)
            return
        keeper.bill(await self._paid(running, row, batch, call.meta))
        await keeper.batches.put_off(row, now + keeper.pause())

    async def _paid(self, running: Running, row: Started, batch: Batch, meta: Meta) -> Entry:
        """Return the entry of a batch that is over: by its usage or by its results, else by what was held for it."""
        owners = self._keeper.owners
        owner = _owner(row)
        owners.unpaid(entry_id(row.id))  # it is open: its entry, if there is one, is not in the ledger yet
        entry = owners.bill(batch, owner, meta)
        made = owners.outputs(batch, owner)
        if entry is None:
            results = await self._results(running, row, answers_of(batch))
            entry = owners.bill_results(results, made[0], owner, meta) if made else None
            entry = entry or owners.bill_held(batch, owner, row.nano, results.usage, meta)
        for one in made:
            owners.remember(one)
        return msgspec.structs.replace(entry, made=[msgspec.to_builtins(one) for one in made])

    async def _results(self, running: Running, row: Started, file: str | None) -> Results:
        """Read the results of a batch, piece by piece, and return what they add up to."""
        results = Results(row.provider)
        if file is None:
            return results
        client = running.router.client
        content = await _ask(running, client.onion(_call(running, row, "file_content", file_id=file, stream=True)))
        if not isinstance(content, Streaming):
            results.feed(content.content)
        else:
            while pieces := await _ask(running, content.pull()):
                for piece in pieces:
                    results.feed(piece)
            await _ask(running, content.end(None))
        results.finish()
        return results

    # --- one that nobody has confirmed ---

    async def _find(self, running: Running, row: Started) -> None:
        """Look for a batch among those of its provider, by the file of its requests; else it did not start."""
        keeper = self._keeper
        found = await self._listed(running, row) if row.file else None
        if found is None:
            log.warning("A batch at %s was not started after all: what it held is given back", row.provider)
            await keeper.batches.let_go(row, keeper.clock())
            return
        log.warning("The batch %s of %s was started, though nobody was told", found.id, row.provider)
        await keeper.owners.write(_owner(row, found.id))
        await keeper.batches.bind(row.id, found.id, entry_id(found.id), keeper.clock())

    async def _listed(self, running: Running, row: Started) -> Batch | None:
        client, page = running.router.client, dict[str, Any](limit=PAGE)
        for _ in range(PAGES):
            listed: BatchList = await _ask(running, client.onion(_call(running, row, "list_batches", **page)))
            fitting = [one for one in listed.data if one.input_file_id == row.file]
            fitting = [one for one in fitting if not one.created_at or one.created_at >= row.at - SKEW]
            known = await self._keeper.batches.known([one.id for one in fitting])
            new = [one for one in fitting if one.id not in known]
            if new or not listed.has_more or not listed.data:
                return new[-1] if new else None
            page = {"limit": PAGE, "after": listed.last_id or listed.data[-1].id}
        return None


class _Unanswered(PolyportError):
    """A provider did not say what was asked; the database that is away is something else."""


async def _ask(running: Running, flow: Flow[Any]) -> Any:
    try:
        return await running.router.client.arun(flow)
    except PolyportError as error:
        raise _Unanswered(type(error).__name__) from error


def _call(running: Running, row: Started, function: str, **fields: Any) -> Call:
    """Return a call to the account that a batch is at. Raises _Unanswered where that is not served here any more."""
    router = running.router
    there = [one for one in router.groups.all() if one.model != "*" and router.place_of(one)[0] == row.provider]
    own = [one for one in there if one.id == row.deployment]
    for one in (own or there)[:1]:
        call = router.client.prepare(
            BY_FUNCTION[function], {**router.account_of(one), "provider": row.provider, **fields}
        )
        call.meta.deployment = one.id
        return call
    raise _Unanswered("NotServedHere")


def _owner(row: Started, id: str = "") -> Owned:
    """Return a batch as its owner's."""
    return Owned(
        id=id or row.id, kind="batch", at=row.at, model=row.model, key_id=row.key_id, user_id=row.user_id,
        team_id=row.team_id, project_id=row.project_id, customer_id=row.customer_id, deployment=row.deployment,
    )  # fmt: skip
