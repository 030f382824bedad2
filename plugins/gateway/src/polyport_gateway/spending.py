"""Reading what was spent: reports, series over time, single requests and one request's whole story.

Plain functions of a store, of who asks, and of what is asked, like those of `management`. Everybody sees what is
theirs: an admin and a viewer all, a team_admin what the teams it leads spent, others what their user and key did.
Instants are seconds since 1970, or ISO dates and times (UTC where they do not say); spans begin with `start` and end
before `end`.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, Table, and_, func, or_, select

from polyport.errors import BadRequestError, NotFoundError
from polyport.types.bill import NANO
from polyport_gateway.asking import LARGEST, limit_of, number, only, texts
from polyport_gateway.identity import Principal
from polyport_gateway.ledger import has_tag
from polyport_gateway.rollups import DAY, HOUR, SUMS, percentile
from polyport_gateway.rows import Entity, KeyRow, ProjectRow, TeamRow, UserRow
from polyport_gateway.store import Store, tables
from polyport_gateway.store.tables import BUCKETS, is_one_of

#: What reports and series can be grouped and narrowed by -> the column.
DIMENSIONS = {
    **{name: f"{name}_id" for name in ("key", "user", "team", "project", "customer")},
    **{name: name for name in ("model", "provider", "deployment", "operation", "status", "tag")},
}
#: What single requests can be narrowed by; a tag is looked for in their lists.
FILTERS = {name: column for name, column in DIMENSIONS.items() if name not in ("status", "tag")} | {
    name: name for name in ("surface", "upstream", "error")
}
#: (step, by tag) -> the table that has it.
TABLES: dict[tuple[str, bool], Table] = {
    ("hour", False): tables.hours,
    ("day", False): tables.days,
    ("hour", True): tables.tag_hours,
    ("day", True): tables.tag_days,
}
#: The columns of single requests.
LEDGER = tables.ledger.c
STEPS = {"hour": HOUR, "day": DAY}
#: The step of a series that is one sum of its whole span; what it is read from, hour by hour.
ALL, OF_ALL = "all", "hour"
#: How far back a series goes that does not say.
BACK = {"hour": 2 * DAY, "day": 30 * DAY, ALL: 2 * DAY}
#: Rows of a series at most.
POINTS = 20_000
#: Characters of a request's whole id; fewer are the beginning of one.
WHOLE = 32
#: Rows of one step of an export.
CHUNK = 500
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
#: Whose names a story tells: table, and how it is called.
NAMED: dict[str, type[Entity]] = {"key": KeyRow, "user": UserRow, "team": TeamRow, "project": ProjectRow}


async def report(store: Store, by: Principal, body: Mapping[str, Any]) -> dict[str, Any]:
    """Add up what was spent by any dimensions, and by day: {"start_date", "end_date", "group_by": ["team", "day"]}.

    `end_date` is the last day that counts. Any dimension may be given to narrow it down. Amounts are in USD.
    """
    only({"start_date", "end_date", "group_by", *DIMENSIONS}, "/spend/report", body)
    groups = _groups(body, {"day", *DIMENSIONS}, ["day"])
    table = TABLES["day", _tagged(body, groups)]
    columns = [(table.c.at if one == "day" else table.c[DIMENSIONS[one]]).label(one) for one in groups]
    query = _summed(table, columns, SUMS).where(readable(by, table), *_narrowed(table, body))
    if "start_date" in body:
        query = query.where(table.c.at >= int(instant("start_date", body["start_date"]) // DAY * DAY))
    if "end_date" in body:
        query = query.where(table.c.at <= int(instant("end_date", body["end_date"])))
    async with store.transaction() as connection:
        rows = (await connection.execute(query)).mappings().all()
    return {"results": [_reported(row) for row in rows]}


async def series(store: Store, by: Principal, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what requests came to: cost in USD, latencies p50, p95, p99 in seconds.

    `step` is hour, day, or all: the whole span, which then begins and ends with an hour, in one row a group.
    """
    only({"start", "end", "step", "group_by", *DIMENSIONS}, "/spend/series", body)
    step = str(body.get("step", "hour"))
    if step not in BACK:
        raise BadRequestError("step is hour, day or all.")
    width = STEPS.get(step, HOUR)
    groups = _groups(body, {*DIMENSIONS}, [])
    table = TABLES[OF_ALL if step == ALL else step, _tagged(body, groups)]
    end = instant("end", body["end"]) if "end" in body else time.time() + 1
    start = instant("start", body["start"]) if "start" in body else end - BACK[step]
    columns = [] if step == ALL else [table.c.at.label("at")]
    columns += [table.c[DIMENSIONS[one]].label(one) for one in groups]
    query = _summed(table, columns, (*SUMS, *BUCKETS)).where(
        readable(by, table),
        *_narrowed(table, body),
        table.c.at >= int(start // width * width),
        table.c.at < math.ceil(end),
    )
    async with store.transaction() as connection:
        rows = (await connection.execute(query.limit(POINTS + 1))).mappings().all()
    if len(rows) > POINTS:
        raise BadRequestError(f"That are more than {POINTS} rows: take a shorter span, or group by less.")
    return {"results": [_point(row) for row in rows if row["requests"]]}


async def logs(store: Store, by: Principal, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return single requests, the newest first, and `next`: what to give as `cursor` for the page after; or None."""
    size = limit_of(body)
    query = _requests(store.dialect, by, body)
    async with store.transaction() as connection:
        rows = (await connection.execute(query.limit(size + 1))).mappings().all()
    found = [_shown(row) for row in rows[:size]]
    return {"results": found, "next": _cursor(found[-1]) if len(rows) > size else None}


async def export(store: Store, by: Principal, body: Mapping[str, Any]) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield all single requests that are asked for, some hundred at a time: a page is read when it is wanted."""
    asked = {**body, "limit": CHUNK}
    while True:
        page = await logs(store, by, asked)
        yield page["results"]
        if page["next"] is None:
            return
        asked["cursor"] = page["next"]


async def story(store: Store, by: Principal, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that is known of one request, with the names of whose it was.

    `content` is what was asked and answered, where that is kept (`store_prompts`) and an admin asks.
    """
    only({"request_id"}, "/spend/story", body)
    wanted = _id(body)
    query = select(tables.ledger).where(LEDGER.id == wanted, readable(by, tables.ledger))
    async with store.reading() as connection:
        row = (await connection.execute(query)).mappings().first()
        if row is None:
            raise NotFoundError(f"There is no request {wanted[:64]!r} in the ledger (yet).")
        named = {}
        for kind, table in NAMED.items():
            owner = await connection.get(table, row[f"{kind}_id"]) if row[f"{kind}_id"] else None
            named[kind] = None if owner is None else _name(owner)
        asked = select(tables.prompts).where(tables.prompts.c.id == row["id"])
        kept = (await connection.execute(asked)).first() if by.role == "admin" else None
    return {"request": _shown(row), **named, "content": None if kept is None else _content(kept)}


def to_csv(rows: Sequence[Mapping[str, Any]], *, header: bool = True) -> str:
    """Return rows as CSV. A text that a spreadsheet would run as a formula gets an apostrophe."""
    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return out.getvalue()


def instant(name: str, value: Any) -> float:
    """Read an instant: seconds since 1970, a date, or a date with a time. Raises BadRequestError."""
    try:
        return number(name, value)
    except BadRequestError:
        pass
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise BadRequestError(f"{name} must be seconds since 1970, or a date such as 2026-11-30T12:00.") from error
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return (found - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)


def readable(by: Principal, table: Table) -> ColumnElement[bool]:
    """Return whose spending somebody may see: all, the teams one leads, one's own."""
    found: ColumnElement[bool] = table.c.key_id.is_not(None)
    if by.role in ("admin", "viewer"):
        return found
    seen = [is_one_of(table.c.key_id, [by.key_id] if by.key_id else []), is_one_of(table.c.team_id, list(by.teams_led))]
    if by.user_id and by.role in ("member", "team_admin"):
        seen.append(is_one_of(table.c.user_id, [by.user_id]))
    return or_(*seen)


# --- queries ---


def _groups(body: Mapping[str, Any], known: set[str], default: list[str]) -> list[str]:
    groups = body.get("group_by", default)
    groups = [one for one in groups.split(",") if one] if isinstance(groups, str) else groups
    if not isinstance(groups, list) or not all(isinstance(one, str) and one in known for one in groups):
        raise BadRequestError(f"group_by is a list of {', '.join(sorted(known))}.")
    return list(dict.fromkeys(groups))


def _tagged(body: Mapping[str, Any], groups: Sequence[str]) -> bool:
    return "tag" in groups or "tag" in body


def _summed(table: Table, columns: Sequence[Any], sums: Sequence[str]) -> Select[Any]:
    added = [func.sum(table.c[one]).label(one) for one in sums]
    return select(*columns, *added).group_by(*columns).order_by(*columns)


def _narrowed(table: Table, body: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    found = []
    for name in DIMENSIONS.keys() & body.keys():
        column = table.c[DIMENSIONS[name]]
        found.append(_of_status(column, body[name]) if name == "status" else column.in_(texts(name, body[name])))
    return found


def _requests(dialect: str, by: Principal, body: Mapping[str, Any]) -> Select[Any]:
    known = {"start", "end", "before", "after", "cursor", "limit", "request_id", "status", "tag", "stream", *FILTERS}
    only(known, "/spend/logs", body)
    query = select(tables.ledger).where(readable(by, tables.ledger)).order_by(LEDGER.at.desc(), LEDGER.id.desc())
    for name in ("start", "after"):
        if name in body:
            query = query.where(LEDGER.at >= instant(name, body[name]))
    for name in ("end", "before"):
        if name in body:
            query = query.where(LEDGER.at < instant(name, body[name]))
    if "cursor" in body:
        query = query.where(_after(str(body["cursor"])))
    if "request_id" in body:
        start = _id(body)
        whole = len(start) >= WHOLE
        query = query.where(LEDGER.id == start if whole else LEDGER.id.startswith(start, autoescape=True))
    if "status" in body:
        query = query.where(_of_status(LEDGER.status, body["status"]))
    if "stream" in body:
        query = query.where(LEDGER.stream.is_(str(body["stream"]).lower() in ("true", "1")))
    if "tag" in body:
        query = query.where(or_(*(has_tag(dialect, one) for one in texts("tag", body["tag"]))))
    for name in FILTERS.keys() & body.keys():
        query = query.where(is_one_of(LEDGER[FILTERS[name]], texts(name, body[name])))
    return query


def _id(body: Mapping[str, Any]) -> str:
    return ",".join(texts("request_id", body.get("request_id", "")))


def _of_status(column: Any, value: Any) -> ColumnElement[bool]:
    """Return what a status, or a class of them, asks for: 429, 5xx, ok, failed; or several behind commas."""
    found: list[ColumnElement[bool]] = []
    for one in texts("status", value):
        if one in ("ok", "failed"):
            found.append(column < 400 if one == "ok" else column >= 400)
        elif len(one) == 3 and one[0].isdigit() and one[1:].lower() == "xx":
            found.append(and_(column >= int(one[0]) * 100, column < int(one[0]) * 100 + 100))
        else:
            found.append(column == max(-1, min(int(number("status", one)), LARGEST)))
    return or_(*found)


def _after(cursor: str) -> ColumnElement[bool]:
    at, _, name = cursor.partition("_")
    last = number("cursor", at)
    return or_(LEDGER.at < last, and_(LEDGER.at == last, LEDGER.id < name))


def _cursor(row: Mapping[str, Any]) -> str:
    return f"{row['at']!r}_{row['id']}"


# --- rows ---


def _reported(row: Mapping[Any, Any]) -> dict[str, Any]:
    shown = {str(name): value for name, value in row.items()}
    if "day" in shown:
        shown["day"] = datetime.fromtimestamp(shown["day"], UTC).strftime("%Y-%m-%d")
    amount = int(shown.pop("nano"))
    return {**shown, **{name: int(shown[name]) for name in SUMS if name != "nano"}, "spend": amount / NANO}


def _point(row: Mapping[Any, Any]) -> dict[str, Any]:
    counts = [int(row[name]) for name in BUCKETS]
    shown = {str(name): value for name, value in row.items() if name not in BUCKETS and name not in SUMS}
    sums = {name: int(row[name]) for name in SUMS}
    cost = sums.pop("nano") / NANO
    return {**shown, **sums, "cost": cost, **{name: percentile(counts, share) for name, share in SHARES.items()}}


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    shown = {str(name): value for name, value in row.items()}
    spend, reserved = int(shown.pop("nano")) / NANO, int(shown.pop("reserved")) / NANO
    return {**shown, "spend": spend, "reserved": reserved}


def _name(row: Entity) -> dict[str, Any]:
    told = {"id": row.id, "alias": row.alias}
    if isinstance(row, KeyRow):
        told["key_name"] = row.hint
    if isinstance(row, UserRow):
        told["email"] = row.email
    return told


def _content(row: Any) -> dict[str, Any]:
    return {"asked": _read(row.asked), "answer": _read(row.answer)}


def _read(text: str) -> Any:
    """Return JSON as data; what was cut off, as it is."""
    try:
        return msgspec.json.decode(text) if text else None
    except msgspec.DecodeError:
        return text


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        texts_only = bool(value) and all(isinstance(one, str) for one in value) and isinstance(value, list)
        value = ",".join(value) if texts_only else msgspec.json.encode(value).decode()
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
