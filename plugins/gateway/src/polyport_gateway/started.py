"""Batches that were started: what they hold of budgets until they are paid, in the database, for all replicas.

hold:   before its provider is asked, a row is written of a batch that starts, with what it may cost; then its caller's
        budgets must have room for it, else the row goes, and nothing is started
bind:   the provider has answered: the row has the batch's id from now on
over:   its entry comes into the ledger, and in the same transaction it holds nothing more: never neither, never both

Limits are told what all batches together hold of an account, never a difference: so it is right again after any kill.
Each change has a number, and what is older than what limits know they do not believe. A row whose batch nobody has
confirmed (a kill, a provider that did not answer) is looked for among the provider's batches: see `looking`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, case, func, insert, literal, or_, select, true, update

from polyport.errors import ServiceUnavailableError
from polyport_gateway.limits import Limit, Limits, Refusal
from polyport_gateway.lines import Whose
from polyport_gateway.rollups import DAY
from polyport_gateway.store import Connection, Store
from polyport_gateway.store.tables import BATCHES, WHO, batches, is_one_of, revision

log = logging.getLogger("polyport.gateway.started")
STARTING, OPEN, OVER, LOST, VOID = "starting", "open", "over", "lost", "void"
#: States in which a batch holds something.
HOLDING = (STARTING, OPEN)
#: Seconds for which limits are told of batches that hold nothing more.
TOLD = 7 * DAY
#: Seconds after which a batch that nobody confirmed is looked for: longer than any provider takes to answer.
UNCONFIRMED = 900.0
#: Seconds after which a batch ends that does not say when: no provider's may take longer.
LONGEST = 7 * DAY
VERSION = select(revision.c.number).where(revision.c.id == BATCHES)


class Started(Whose, frozen=True, kw_only=True):
    """A row: a batch, whose it is, and what it holds in nano-dollars."""

    id: str
    state: str = STARTING
    entry: str = ""
    at: float = 0.0
    model: str = ""
    provider: str = ""
    deployment: str = ""
    file: str = ""
    nano: int = 0
    expires: float = 0.0
    due: float = 0.0
    lease: float = 0.0
    ended: float = 0.0
    tries: int = 0


class Batches:
    """The batches of one store, and the limits that are told what these hold. `seen` is how many, and how much."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.store, self.limits = store, limits
        self.seen = (0, 0)
        self._version = -1
        #: Rows whose batch has an id that could not be written down: the database was away.
        self._unbound: dict[str, tuple[str, str, float]] = {}
        limits.opened = self.opened

    # --- a batch that starts ---

    async def hold(self, row: Started, limits: Sequence[Limit], now: float) -> Refusal | None:
        """Write down that a batch starts, unless a budget has no room for it. Raises ServiceUnavailableError."""
        row = msgspec.structs.replace(row, at=now, due=now + UNCONFIRMED, expires=now + LONGEST)
        async with self.store.transaction() as connection:
            version = await _turn(connection)
            await connection.execute(insert(batches).values(**msgspec.structs.asdict(row)))
            held = await held_beside(connection, row)
        await self.limits.hold(held, version)
        refusal = await self.limits.full(limits, now)
        if refusal is not None:
            await self.let_go(row, now)
        return refusal

    async def let_go(self, row: Started, now: float) -> None:
        """Forget a batch that did not start."""
        async with self.store.transaction() as connection:
            version = await _turn(connection)
            gone = update(batches).where(batches.c.id == row.id, batches.c.state == STARTING)
            await connection.execute(gone.values(state=VOID, ended=now, lease=0.0))
            held = await held_beside(connection, row)
        await self.limits.hold(held, version)

    async def name_file(self, row: Started, file: str) -> None:
        """Write down where the requests of a batch are that starts."""
        async with self.store.transaction() as connection:
            await connection.execute(update(batches).where(batches.c.id == row.id).values(file=file))

    async def bind(self, row: str, batch: str, entry: str, due: float) -> None:
        """Write down which batch it is: at once, or when the database is back."""
        self._unbound[row] = batch, entry, due
        try:
            await self._bind_all()
        except ServiceUnavailableError as error:
            log.warning("%s Which batch was started is written down when it is back.", error.message)

    async def _bind_all(self) -> None:
        for row, (batch, entry, due) in [*self._unbound.items()]:
            async with self.store.transaction() as connection:
                known = await connection.execute(select(batches.c.id).where(batches.c.id == batch))
                if known.first() is None:
                    values = {"id": batch, "entry": entry, "state": OPEN, "due": due, "lease": 0.0}
                    where = (batches.c.id == row, batches.c.state == STARTING)
                    await connection.execute(update(batches).where(*where).values(**values))
                else:  # it was there already, or was found by `looking`
                    await _turn(connection)
                    twice = update(batches).where(batches.c.id == row)
                    await connection.execute(twice.values(state=VOID, ended=due, lease=0.0))
            self._unbound.pop(row, None)

    # --- now and then ---

    async def share(self, now: float, *, whole: bool = False) -> None:
        """Tell the limits of this process what batches hold, where that has changed, or all of it once more."""
        await self._bind_all()
        async with self.store.transaction() as connection:
            version = (await connection.execute(VERSION)).scalar_one()
            if version == self._version and not whole:
                return
            told = await held_by_all(connection, now)
            held = func.coalesce(func.sum(batches.c.nano), 0)
            count = await connection.execute(select(func.count(), held).where(batches.c.state.in_(HOLDING)))
            number, nano = tuple(count.one())
        self.seen = number, int(nano)
        if told:
            await self.limits.hold(told, version)
        self._version = version

    async def claim(self, now: float, most: int, lease: float) -> list[Started]:
        """Return batches that are due, for this process alone to look at within so many seconds."""
        found = []
        free = (batches.c.state.in_(HOLDING), batches.c.due <= now, batches.c.lease <= now)
        async with self.store.transaction() as connection:
            due = select(batches).where(*free).order_by(batches.c.due).limit(most)
            rows = (await connection.execute(due)).mappings().all()
        for row in rows:
            taken = update(batches).where(batches.c.id == row["id"], *free).values(lease=now + lease)
            async with self.store.transaction() as connection:
                if (await connection.execute(taken)).rowcount:
                    found.append(Started(**row))
        return found

    async def put_off(self, row: Started, due: float, *, expires: float | None = None, failed: bool = False) -> None:
        """Have a batch looked at again later."""
        values: dict[str, Any] = {"due": due, "lease": 0.0, "tries": row.tries + 1 if failed else 0}
        if expires is not None:
            values["expires"] = expires
        async with self.store.transaction() as connection:
            await connection.execute(update(batches).where(batches.c.id == row.id).values(**values))

    async def give_up(self, row: Started, now: float) -> None:
        """Have a batch hold nothing more, of which nobody knows what it cost."""
        async with self.store.transaction() as connection:
            version = await _turn(connection)
            values = {"state": LOST, "ended": now, "lease": 0.0}
            await connection.execute(update(batches).where(batches.c.id == row.id).values(**values))
            held = await held_beside(connection, row)
        await self.limits.hold(held, version)

    async def known(self, ids: Sequence[str]) -> set[str]:
        """Return which of these batches are written down."""
        async with self.store.transaction() as connection:
            return set((await connection.execute(select(batches.c.id).where(batches.c.id.in_(ids)))).scalars())

    async def find(self, batch: str) -> Started | None:
        """Return a batch, where it was started here."""
        async with self.store.transaction() as connection:
            query = select(batches).where(batches.c.id == batch)
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else Started(**row)

    # --- what is held ---

    async def opened(self, about: Mapping[str, str]) -> tuple[int, int]:
        """Return the number of the last change, and what batches hold of an account: {"team": id, "model": name}."""
        if not about.keys() <= {*WHO, "model"}:  # of providers, deployments and tags they hold nothing
            return 0, 0
        where = [_is_of(name, value) for name, value in about.items()]
        held = select(func.coalesce(func.sum(batches.c.nano), 0)).where(batches.c.state.in_(HOLDING), *where)
        async with self.store.transaction() as connection:
            number = (await connection.execute(VERSION)).scalar_one()
            return number, int((await connection.execute(held)).scalar_one())


async def over(connection: Connection, entries: Sequence[str], now: float) -> None:
    """Have batches hold nothing more whose entries come into the ledger, in the transaction that brings these."""
    where = (batches.c.entry.in_(entries), batches.c.state.in_(HOLDING))
    if (await connection.execute(select(batches.c.id).where(*where).limit(1))).first() is not None:
        await _turn(connection)  # before the rows, as everybody does
        await connection.execute(update(batches).where(*where).values(state=OVER, ended=now, lease=0.0))


#: What an account is about, but for its model: ("team", its id) and so on; () is everybody.
_About = tuple[tuple[str, str], ...]


def accounts(who: Mapping[str, str] | Whose, model: str) -> list[str]:
    """Return the names of all accounts that something may count for: of its owners, each for all models and for it."""
    return [name for about in _abouts(who) for name in (_name(about), *_names(about, model))]


def _abouts(who: Mapping[str, str] | Whose) -> list[_About]:
    owners = who if isinstance(who, Mapping) else {one: getattr(who, f"{one}_id") for one in WHO}
    abouts: list[_About] = [(), *(((kind, owners[kind]),) for kind in WHO if owners[kind])]
    if owners["team"] and owners["user"]:
        abouts.append((("team", owners["team"]), ("user", owners["user"])))
    return abouts


def _names(about: _About, model: str) -> Iterator[str]:
    """Yield the names of an account for a model alone, and for all that begin as it does; members have none."""
    if model and len(about) < 2:
        for name in (model, *(f"{model[:length]}*" for length in range(len(model) + 1))):
            yield _name((*about, ("model", name)))


def _name(about: _About) -> str:
    return Limit(about=about).account


async def held_beside(connection: Connection, row: Started) -> Counter[str]:
    """Return what batches hold of each account that one of them counts for, itself among them: sums, by its model."""
    abouts = _abouts(row)
    held = Counter(dict.fromkeys(accounts(row, row.model), 0))
    rows: Sequence[Any] = (await connection.execute(sums_of(abouts))).all()
    for found in rows:
        for about, nano in zip(abouts, found[1:], strict=True):
            for name in (_name(about), *_names(about, found[0])):
                if name in held:
                    held[name] += int(nano)
    return held


def sums_of(abouts: Sequence[_About]) -> Select[Any]:
    """Return what asks for the sum that is held of each account, model by model."""
    sums = [func.sum(case((_is_about(about), batches.c.nano), else_=literal(0))) for about in abouts]
    return select(batches.c.model, *sums).where(batches.c.state.in_(HOLDING)).group_by(batches.c.model)


async def held_by_all(connection: Connection, now: float) -> Counter[str]:
    """Return what is held of every account; 0 of those of which something was held not long ago."""
    columns = [batches.c.model, *(batches.c[f"{one}_id"] for one in WHO)]
    sums = func.sum(case((batches.c.state.in_(HOLDING), batches.c.nano), else_=literal(0)))
    recent = or_(batches.c.state.in_(HOLDING), batches.c.ended > now - TOLD)
    held: Counter[str] = Counter()
    rows: Sequence[Any] = (await connection.execute(select(sums, *columns).where(recent).group_by(*columns))).all()
    for row in rows:
        for name in accounts(dict(zip(WHO, row[2:], strict=True)), row[1]):
            held[name] += int(row[0])
    return held


async def _turn(connection: Connection) -> int:
    """Wait for one's turn to change what is held, and return the number of the change."""
    query = update(revision).where(revision.c.id == BATCHES).values(number=revision.c.number + 1)
    return int((await connection.execute(query.returning(revision.c.number))).scalar_one())


def _is_about(about: _About) -> ColumnElement[bool]:
    return and_(true(), *(_is_of(*one) for one in about))


def _is_of(name: str, value: str) -> ColumnElement[bool]:
    if name != "model":
        return is_one_of(batches.c[f"{name}_id"], [value])
    if value.endswith("*"):
        return func.substr(batches.c.model, 1, len(value) - 1) == value[:-1]
    return batches.c.model == value
