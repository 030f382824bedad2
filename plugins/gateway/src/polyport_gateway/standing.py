"""How budgets stand: what is spent of each in the window that runs now, and when it begins anew.

A plain function of a store and of who asks, like those of `management`. What is counted is what `limits` counts by: the
ledger, whole days from the roll-ups; of this process what is still in its journal comes a moment later.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, Text, cast, func, or_, select

from polyport.errors import BadRequestError
from polyport.types.bill import NANO
from polyport_gateway.asking import PAGE, only
from polyport_gateway.fields import KINDS
from polyport_gateway.identity import Party, Principal, fits, member_of, party
from polyport_gateway.ledger import COLUMN_OF, has_tag
from polyport_gateway.limits import Limit, period
from polyport_gateway.management import visible
from polyport_gateway.rollups import DAY
from polyport_gateway.rows import Entity, TeamRow
from polyport_gateway.store import Connection, Store, tables
from polyport_gateway.store.tables import TABLES, is_one_of
from polyport_gateway.terms import Terms

#: Who can have a budget; and the whole gateway, which is in no table.
SPENDERS = ("key", "user", "team", "project", "customer")
GATEWAY = "gateway"
#: What else has a budget, of everybody's calls together.
PURSES = ("provider", "deployment", "tag")
#: The roles that see everybody.
ALL = ("admin", "viewer")
#: Ids, one for each of what a limit is about -> nano-dollars.
Sums = dict[tuple[str, ...], int]


async def usage(
    store: Store, by: Principal, body: Mapping[str, Any], *, terms: Terms | None = None, purses: Sequence[Limit] = ()
) -> dict[str, Any]:
    """Return the budgets of all whom one may see, or of a `kind`, or of one `id`: what each holds, and what is spent.

    The kind `gateway` is everybody together, for admins and viewers, as `terms` say; their limits are in `gateway`. So
    are `provider`, `deployment` (the `purses`) and `tag` (as `terms` say), of everybody's calls there, or with it. A
    team's row with a `user_id` is what the team lets that member spend; one with a `model` holds for it alone.
    Amounts are in USD, instants in seconds since 1970; `resets_at` is None for a budget that is never reset. Of a kind
    at most PAGE spenders are returned: `more` says whether there are others.
    """
    only({"kind", "id"}, "/budget/usage", body)
    kind = body.get("kind")
    if kind is not None and kind not in (GATEWAY, *SPENDERS, *PURSES):
        raise BadRequestError(f"kind is one of {', '.join((GATEWAY, *SPENDERS, *PURSES))}.")
    now, everybodys = time.time(), by.role in ALL
    whole = terms if everybodys and kind in (None, GATEWAY) and body.get("id") is None else None
    found: list[tuple[Entity | None, Limit]] = [] if whole is None else [(None, one) for one in _held(whole.everybody)]
    more = False
    async with store.reading() as connection:
        for one in SPENDERS if kind is None else {str(kind)} - {GATEWAY, *PURSES}:
            rows = await _with_budgets(connection, by, one, body.get("id"))
            more = more or len(rows) > PAGE
            for row in rows[:PAGE]:
                found += [(row, limit) for limit in await _budgets(connection, one, row)]
        if everybodys:
            tags = () if terms is None else terms.tags.values()
            found += [(None, one) for one in (*purses, *tags) if _asked(one.about[0], kind, body.get("id"))]
        sums = await _spent(connection, [limit for _, limit in found], now)
    told = [_shown(row, limit, nano, now) for (row, limit), nano in zip(found, sums, strict=True)]
    return {"results": told, "more": more, "gateway": {} if whole is None else whole.global_limits}


async def _with_budgets(connection: Connection, by: Principal, kind: str, id: Any) -> list[Entity]:
    table = KINDS[kind][0]
    columns = TABLES[table].c
    has = [columns.max_budget.is_not(None), columns.budget_id != "", cast(columns.model_limits, Text) != "{}"]
    if table is TeamRow:
        has.append(cast(columns.member_limits, Text) != "{}")
    query = select(TABLES[table]).where(or_(*has)).order_by(columns.id).limit(PAGE + 1)
    if id is not None:
        query = query.where(columns.id == str(id))
    if by.role not in ALL:
        query = query.where(visible(by, kind))
    return [*await connection.of(table, query)]


def _held(everybody: Party | None) -> list[Limit]:
    """Return the budgets of the whole gateway."""
    limits = [] if everybody is None else [everybody.limit, *everybody.by_model.values()]
    return [limit for limit in limits if limit.budget is not None]


async def _budgets(connection: Connection, kind: str, row: Entity) -> list[Limit]:
    own = await party(connection, kind, row)
    members = [member_of(row, user) for user in row.members] if isinstance(row, TeamRow) and row.member_limits else []
    limits = [own.limit, *own.by_model.values(), *(one.limit for one in members)]
    return [limit for limit in limits if limit.budget is not None]


# --- what is spent ---


async def _spent(connection: Connection, limits: Sequence[Limit], now: float) -> list[int]:
    """Return what is spent of each, in nano-dollars: one question for all that are alike and of one window."""
    alike: dict[tuple[tuple[str, ...], float | None], set[str]] = {}
    for limit in limits:
        alike.setdefault(_likeness(limit, now), set()).update(name for _, name in limit.about[:1])
    sums = {one: await _sums(connection, one[0], ids, one[1]) for one, ids in alike.items()}
    return [_of(sums[_likeness(limit, now)], limit) for limit in limits]


def _of(sums: Sums, limit: Limit) -> int:
    """Return what of the sums is a limit's: those of all models that begin so, where it is about several."""
    names = tuple(name for _, name in limit.about)
    if not limit.about or limit.about[-1][0] != "model" or not names[-1].endswith("*"):
        return sums.get(names, 0)
    return sum(nano for mark, nano in sums.items() if mark[:-1] == names[:-1] and fits(names[-1], mark[-1]))


def _likeness(limit: Limit, now: float) -> tuple[tuple[str, ...], float | None]:
    return tuple(kind for kind, _ in limit.about), period(limit.duration, now)[0]


async def _sums(connection: Connection, kinds: Sequence[str], ids: set[str], since: float | None) -> Sums:
    first = 0 if since is None else -(-int(since) // DAY) * DAY
    by_tag = kinds == ("tag",)
    by_day = tables.tag_days if by_tag else tables.days
    days = await _added(connection, by_day, kinds, ids, [by_day.c.at >= first])
    if since is None or since >= first:
        return days
    at = tables.ledger.c.at
    within = [at >= since, at < first]
    if by_tag:
        single = await _with_tags(connection, ids, within)
    else:
        single = await _added(connection, tables.ledger, kinds, ids, within)
    return {mark: days.get(mark, 0) + single.get(mark, 0) for mark in days.keys() | single.keys()}


async def _added(
    connection: Connection, table: Table, kinds: Sequence[str], ids: set[str], where: Sequence[Any]
) -> Sums:
    columns = [table.c[COLUMN_OF.get(kind, kind)] for kind in kinds]
    own = kinds[:1] not in ((), ("model",))  # those of the whole gateway are everybody's
    whose = [is_one_of(columns[0], sorted(ids))] if own else []
    query = select(*columns, func.coalesce(func.sum(table.c.nano), 0)).where(*whose, *where).group_by(*columns)
    return {tuple(row[:-1]): int(row[-1]) for row in (await connection.execute(query)).all()}


async def _with_tags(connection: Connection, tags: set[str], where: Sequence[Any]) -> Sums:
    """Return what single requests with each of these tags cost: one with several is in several sums."""
    found: Sums = {}
    for tag in tags:
        having = has_tag(connection.dialect.name, tag)
        query = select(func.coalesce(func.sum(tables.ledger.c.nano), 0)).where(having, *where)
        found[tag,] = int((await connection.execute(query)).scalar_one())
    return found


def _asked(about: tuple[str, str], kind: Any, id: Any) -> bool:
    """Whether somebody asks for a budget that is about this."""
    return kind in (None, about[0]) and (id is None or str(id) == about[1])


def _shown(row: Entity | None, limit: Limit, nano: int, now: float) -> dict[str, Any]:
    begun, ends = period(limit.duration, now)
    everybodys = row is None and limit.about[:1] and limit.about[0][0] in PURSES
    (kind, name), *others = limit.about if row is not None or everybodys else ((GATEWAY, ""), *limit.about)
    within = dict(others)
    shared = row.budget_id if row is not None and row.max_budget is None and not others else ""
    return {
        "kind": kind,
        "id": name,
        "user_id": within.get("user"),
        "model": within.get("model"),
        "budget_id": shared or None,
        "max_budget": (limit.budget or 0) / NANO,
        "soft_budget": None if limit.soft is None else limit.soft / NANO,
        "budget_duration": limit.duration,
        "spend": nano / NANO,
        "began_at": begun,
        "resets_at": ends,
    }
