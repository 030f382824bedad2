"""How budgets stand: what is spent of each in the window that runs now, and when it begins anew.

A plain function of a store and of who asks, like those of `management`. What is counted is what `limits` counts by: the
ledger, whole days from the roll-ups; of this process what is still in its journal comes a moment later.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Text, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from polyport.errors import BadRequestError
from polyport.types.bill import NANO
from polyport_gateway.asking import PAGE, only
from polyport_gateway.fields import KINDS
from polyport_gateway.identity import Principal, party
from polyport_gateway.ledger import ABOUT
from polyport_gateway.limits import Limit, period
from polyport_gateway.management import visible
from polyport_gateway.rollups import DAY
from polyport_gateway.store import Store
from polyport_gateway.store.tables import DayRow, Entity, EntryRow

#: Who can have a budget.
SPENDERS = ("key", "user", "team", "project", "customer")
#: (kind, id, model or "") -> nano-dollars.
Sums = dict[tuple[str, str, str], int]


async def usage(store: Store, by: Principal, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the budgets of all whom one may see, or of a `kind`, or of one `id`: what each holds, and what is spent.

    Amounts are in USD, instants in seconds since 1970; `resets_at` is None for a budget that is never reset. Of a kind
    at most PAGE spenders are returned: `more` says whether there are others.
    """
    only({"kind", "id"}, "/budget/usage", body)
    kind = body.get("kind")
    if kind is not None and kind not in SPENDERS:
        raise BadRequestError(f"kind is one of {', '.join(SPENDERS)}.")
    now = time.time()
    found: list[tuple[str, Entity, Limit]] = []
    more = False
    async with store.reading() as session:
        for one in SPENDERS if kind is None else (str(kind),):
            rows = await _with_budgets(session, by, one, body.get("id"))
            more = more or len(rows) > PAGE
            for row in rows[:PAGE]:
                found += [(one, row, limit) for limit in await _budgets(session, one, row)]
        spent = await _spent(session, [limit for _, _, limit in found], now)
    return {"results": [_shown(one, row, limit, spent, now) for one, row, limit in found], "more": more}


async def _with_budgets(session: AsyncSession, by: Principal, kind: str, id: Any) -> list[Entity]:
    table = KINDS[kind][0]
    has = or_(table.max_budget.is_not(None), table.budget_id != "", cast(table.model_limits, Text) != "{}")
    query = select(table).where(has).order_by(table.id).limit(PAGE + 1)
    if id is not None:
        query = query.where(table.id == str(id))
    if by.role not in ("admin", "viewer"):
        query = query.where(visible(by, kind))
    return list((await session.execute(query)).scalars().all())


async def _budgets(session: AsyncSession, kind: str, row: Entity) -> list[Limit]:
    found = await party(session, kind, row)
    return [limit for limit in (found.limit, *found.by_model.values()) if limit.budget is not None]


# --- what is spent ---


async def _spent(session: AsyncSession, limits: Sequence[Limit], now: float) -> Sums:
    """Add up for all limits of one window in one question."""
    asked: dict[tuple[str, bool, float | None], set[str]] = {}
    for limit in limits:
        (kind, name), by_model = limit.about[0], len(limit.about) > 1
        asked.setdefault((kind, by_model, period(limit.duration, now)[0]), set()).add(name)
    sums: dict[tuple[str, bool, float | None], Sums] = {}
    for (kind, by_model, since), ids in asked.items():
        sums[kind, by_model, since] = await _sums(session, kind, ids, since, by_model=by_model)
    return {
        _mark(limit): sums[limit.about[0][0], len(limit.about) > 1, period(limit.duration, now)[0]].get(_mark(limit), 0)
        for limit in limits
    }


async def _sums(session: AsyncSession, kind: str, ids: set[str], since: float | None, *, by_model: bool) -> Sums:
    first = 0 if since is None else -(-int(since) // DAY) * DAY
    days = await _added(session, DayRow, kind, ids, [DayRow.at >= first], by_model=by_model)
    if since is None or since >= first:
        return days
    between = [EntryRow.at >= since, EntryRow.at < first]
    single = await _added(session, EntryRow, kind, ids, between, by_model=by_model)
    return {mark: days.get(mark, 0) + single.get(mark, 0) for mark in days.keys() | single.keys()}


async def _added(
    session: AsyncSession, table: type[Any], kind: str, ids: set[str], where: list[Any], *, by_model: bool
) -> Sums:
    column = getattr(table, ABOUT[kind])
    columns = [column, table.model] if by_model else [column]
    query = select(*columns, func.sum(table.nano)).where(column.in_(sorted(ids)), *where).group_by(*columns)
    rows = (await session.execute(query)).all()
    return {(kind, row[0], row[1] if by_model else ""): int(row[-1]) for row in rows}


def _mark(limit: Limit) -> tuple[str, str, str]:
    (kind, name), *model = limit.about
    return kind, name, model[0][1] if model else ""


def _shown(kind: str, row: Entity, limit: Limit, spent: Sums, now: float) -> dict[str, Any]:
    begun, ends = period(limit.duration, now)
    mark = _mark(limit)
    return {
        "kind": kind,
        "id": row.id,
        "model": mark[2] or None,
        "budget_id": row.budget_id if row.budget_id and row.max_budget is None and not mark[2] else None,
        "max_budget": (limit.budget or 0) / NANO,
        "soft_budget": None if limit.soft is None else limit.soft / NANO,
        "budget_duration": limit.duration,
        "spend": spent[mark] / NANO,
        "began_at": begun,
        "resets_at": ends,
    }
