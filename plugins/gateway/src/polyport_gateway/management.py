"""Managing keys, users, teams, projects, customers and budgets, and reading who changed what.

Plain functions of a store, of who asks, and of a request's body; the routes are the application's. Each change is in
the audit log, in the same transaction, with what was before and after. A key's text is in the answer that makes it,
and nowhere else.

Who may: an admin everything; a viewer read everything; a team_admin what belongs to the teams it leads; a member the
keys of its own user, in its own team and project (limits that must hold for it stand with those); any key ask about
itself.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, or_, select

from polyport.errors import BadRequestError, ConflictError, NotFoundError, PermissionDeniedError
from polyport.types.bill import NANO
from polyport_gateway.asking import limit_of, number, only
from polyport_gateway.fields import COMMON, KINDS, Part, read, show
from polyport_gateway.identity import Principal, digest, make_key
from polyport_gateway.issuing import Issuing
from polyport_gateway.ledger import spent
from polyport_gateway.lines import ABOUT
from polyport_gateway.rows import AuditRow, BudgetRow, CustomerRow, Entity, KeyRow, ProjectRow, TeamRow, UserRow
from polyport_gateway.store import Connection, Store, tables
from polyport_gateway.store.tables import TABLES

#: What a key may belong to -> its table; named ones must be there.
OWNERS: dict[str, type[Entity]] = {"user_id": UserRow, "team_id": TeamRow, "project_id": ProjectRow}
#: What only an admin may say of a key: they lift limits that others set.
ADMINS = ("role", "budget_id")
#: What only an admin may give to anybody: it opens what is not the giver's. To take it away is everybody's who may.
GRANTED = ("allowed_storage",)
#: What holds for keys where nothing is said.
FREE = Issuing()
#: How many customers one request blocks.
MANY = 1000


# --- keys ---


def check_granting(by: Principal, body: Mapping[str, Any]) -> None:
    """Raise PermissionDeniedError for what only an admin gives to anybody, itself included."""
    given = next((name for name in GRANTED if body.get(name)), None)
    if given is not None and by.role != "admin":
        raise PermissionDeniedError(f"Giving {given} takes the role admin.")


async def generate_key(
    store: Store, by: Principal, body: Mapping[str, Any], *, issuing: Issuing = FREE
) -> dict[str, Any]:
    """Make a key and return it, this once, with all that is known of it."""
    fields = KINDS["key"][1]
    values = whole(read(fields, "/key/generate", body))
    issuing.bound(values, whole=True)
    if by.role == "member":
        values = {"user_id": by.user_id, "team_id": by.team_id, "project_id": by.project_id, **values}
    text = make_key()
    async with store.change() as connection:
        row = KeyRow(id=_new_id("key"), digest=digest(text), hint=_hint(text), **_blank(), **values)
        await _owned(connection, by, row, values)
        await issuing.allow(connection, by, row, body)
        await connection.add(row)
        await _audit(connection, by, "generate", "key", row.id, {}, show("key", row))
        return {"key": text, **await _shown(connection, "key", row)}


async def rotate_key(store: Store, by: Principal, body: Mapping[str, Any]) -> dict[str, Any]:
    """Put a new text in the place of a key's old one, which is refused from now on; all else stays."""
    text = make_key()
    async with store.change() as connection:
        row = await _key(connection, by, body)
        before = show("key", row)
        row.digest, row.hint, row.updated_at = digest(text), _hint(text), time.time()
        await connection.save(row)
        await _audit(connection, by, "rotate", "key", row.id, before, show("key", row))
        return {"key": text, **await _shown(connection, "key", row)}


async def block_key(store: Store, by: Principal, body: Mapping[str, Any], *, blocked: bool = True) -> dict[str, Any]:
    """Refuse a key from now on, or let it in again."""
    return await update(store, by, "key", {**_name_of("key", body), "blocked": blocked})


async def block(
    store: Store, by: Principal, kind: str, body: Mapping[str, Any], *, blocked: bool = True
) -> dict[str, Any]:
    """Refuse calls of a user, team or project from now on, or let them in again."""
    only({f"{kind}_id"}, f"/{kind}/{'block' if blocked else 'unblock'}", body)
    return await update(store, by, kind, {**_name_of(kind, body), "blocked": blocked})


async def block_customers(
    store: Store, by: Principal, body: Mapping[str, Any], *, blocked: bool = True
) -> dict[str, Any]:
    """Refuse calls for customers from now on, or let them in again; those that nobody has set up are set up.

    `user_ids` names several, `customer_id` one.
    """
    where = "/customer/block" if blocked else "/customer/unblock"
    only({"customer_id", "user_ids"}, where, body)
    names = body.get("user_ids", [body.get("customer_id")])
    if not isinstance(names, list) or not 0 < len(names) <= MANY:
        raise BadRequestError(f"user_ids are 1 to {MANY} customers.")
    ids = [_split("customer", {"customer_id": name})[0] for name in names]
    if not all(ids):
        raise BadRequestError("Say which customers by user_ids, or one by customer_id.")
    shown = []
    async with store.change() as connection:
        for named in dict.fromkeys(ids):
            known = await connection.get(CustomerRow, named)
            before = {} if known is None else show("customer", known)
            row = known or CustomerRow(id=named, **_blank())
            await _may_change(connection, by, "customer", row)
            row.blocked, row.updated_at = blocked, time.time()
            await (connection.add(row) if known is None else connection.save(row))
            action = "create" if known is None else "update"
            await _audit(connection, by, action, "customer", named, before, show("customer", row))
            shown.append(show("customer", row))
    return {"blocked_users" if blocked else "unblocked_users": shown}


# --- everything that has an id ---


async def create(store: Store, by: Principal, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Make a user, team, project, customer or budget. Its id may be given, as `team_id` and so on."""
    table, fields = KINDS[kind]
    named, rest = _split(kind, body)
    values = whole(read(fields, f"/{kind}/new", rest))
    async with store.change() as connection:
        if named and await connection.get(table, named) is not None:
            raise ConflictError(f"There is a {kind} {named!r} already: change it by /{kind}/update.", retryable=False)
        row = table(**{"id": named or _new_id(kind), **_blank(), **values})
        await _may_change(connection, by, kind, row)
        await connection.add(row)
        await _audit(connection, by, "create", kind, row.id, {}, show(kind, row))
        return await _shown(connection, kind, row)


async def update(
    store: Store, by: Principal, kind: str, body: Mapping[str, Any], *, issuing: Issuing = FREE
) -> dict[str, Any]:
    """Change what is given, and only that; null takes a limit away."""
    fields = KINDS[kind][1]
    values = read(fields, f"/{kind}/update", _split(kind, body)[1])
    if kind == "key":
        issuing.bound(values, whole=False)
    async with store.change() as connection:
        row = await _found(connection, kind, body)
        await _may_change(connection, by, kind, row)
        before = show(kind, row)
        for name, value in values.items():
            setattr(row, name, value.of(getattr(row, name)) if isinstance(value, Part) else value)
        if isinstance(row, KeyRow):
            await _owned(connection, by, row, values)
        else:
            await _may_change(connection, by, kind, row)  # nor may it be moved to where one has no say
        row.updated_at = time.time()
        await connection.save(row)
        await _audit(connection, by, "update", kind, row.id, before, show(kind, row))
        return await _shown(connection, kind, row)


async def delete(store: Store, by: Principal, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Remove one; what it spent stays in the ledger. What has keys, or is a project's team, is not removed."""
    only({*_naming(kind)}, f"/{kind}/delete", body)
    async with store.change() as connection:
        row = await _found(connection, kind, body)
        await _may_change(connection, by, kind, row)
        used = await _used_by(connection, kind, row.id)
        if used:
            raise ConflictError(f"The {kind} {row.id!r} has {used}: delete or move those first.", retryable=False)
        await connection.remove(row)
        await _audit(connection, by, "delete", kind, row.id, show(kind, row), {})
        return {"deleted": row.id}


async def info(store: Store, by: Principal, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return one, with what it has spent, in USD. A key that names none asks about itself."""
    if kind == "key" and not body and by.key_id:
        body = {"key_id": by.key_id}
    only({*_naming(kind)}, f"/{kind}/info", body)
    async with store.reading() as connection:
        row = await _found(connection, kind, body)
        _may_read(by, kind, row)
        shown = await _shown(connection, kind, row)
    if kind in ABOUT:
        shown["spend"] = await spent(store, {kind: row.id}, None) / NANO
    return shown


async def list_all(store: Store, by: Principal, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return those that one may see, by id; `after` is the last id of the page before, `limit` how many."""
    table = KINDS[kind][0]
    columns = TABLES[table].c
    known = {"after", "limit", *(OWNERS if kind == "key" else ()), *(("team_id",) if kind == "project" else ())}
    only(known, f"/{kind}/list", body)
    query = select(TABLES[table]).where(columns.id > str(body.get("after", ""))).order_by(columns.id)
    for name in known & OWNERS.keys() & body.keys():
        query = query.where(columns[name] == str(body[name]))
    if by.role not in ("admin", "viewer"):
        query = query.where(visible(by, kind))
    async with store.reading() as connection:
        rows = await connection.of(table, query.limit(limit_of(body)))
        budgets = await _budgets(connection, rows)
    return {f"{kind}s": [show(kind, row, budgets.get(row.budget_id)) for row in rows]}


async def _shown(connection: Connection, kind: str, row: Entity) -> dict[str, Any]:
    return show(kind, row, (await _budgets(connection, [row])).get(row.budget_id))


async def _budgets(connection: Connection, rows: Sequence[Entity]) -> dict[str, BudgetRow]:
    """Return the shared budgets that rows name, by id."""
    ids = sorted({row.budget_id for row in rows} - {""})
    found = await connection.all(BudgetRow, tables.budgets.c.id.in_(ids)) if ids else ()
    return {one.id: one for one in found}


# --- who changed what ---


async def audit_log(store: Store, by: Principal, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes, the newest first: who, what, before, after."""
    if by.role not in ("admin", "viewer"):
        raise PermissionDeniedError("The audit log is for roles admin and viewer.")
    only({"before", "limit", "kind", "id"}, "/audit", body)
    query = select(tables.audit).order_by(tables.audit.c.id.desc())
    if "before" in body:
        query = query.where(tables.audit.c.id < int(number("before", body["before"])))
    if "kind" in body:
        query = query.where(tables.audit.c.kind == str(body["kind"]))
    if "id" in body:
        query = query.where(tables.audit.c.entity_id == str(body["id"]))
    async with store.transaction() as connection:
        rows = (await connection.execute(query.limit(limit_of(body)))).mappings().all()
    return {"changes": [dict(row) for row in rows]}


# --- who may ---


async def _may_change(connection: Connection, by: Principal, kind: str, row: Entity) -> None:
    leads = (
        kind == "project" and isinstance(row, ProjectRow) and row.team_id in by.teams_led and by.role == "team_admin"
    )
    owns = isinstance(row, KeyRow) and await _manages_key(connection, by, row)
    if by.role != "admin" and not leads and not owns:
        raise PermissionDeniedError(f"Changing this {kind} takes the role admin, or team_admin of its team.")


async def _manages_key(connection: Connection, by: Principal, row: KeyRow) -> bool:
    if by.role == "team_admin":
        project = await connection.get(ProjectRow, row.project_id) if row.project_id else None
        teams = {row.team_id, project.team_id if project else row.team_id}
        return bool(row.team_id or project) and teams <= by.teams_led and not row.role
    mine = bool(by.user_id) and row.user_id == by.user_id
    same = (row.team_id or "", row.project_id or "") == (by.team_id, by.project_id)  # not out of its team's limits
    return by.role == "member" and mine and same and not row.role


async def _owned(connection: Connection, by: Principal, row: KeyRow, values: Mapping[str, Any]) -> None:
    """See that a key's owners are there, and that who asks may give it to them, as it now stands."""
    if by.role != "admin":
        forbidden = next((name for name in ADMINS if values.get(name)), None)
        if forbidden:
            raise PermissionDeniedError(f"Giving a key a {forbidden} takes the role admin.")
        if by.role == "member" and values.get("blocked") is False:
            raise PermissionDeniedError("Letting a blocked key in again takes the role admin or team_admin.")
    await _may_change(connection, by, "key", row)
    for name, table in OWNERS.items():
        owner = values.get(name)
        if owner and await connection.get(table, owner) is None:
            raise NotFoundError(f"There is no {name.removesuffix('_id')} {owner!r}: make it first.")


def _may_read(by: Principal, kind: str, row: Entity) -> None:
    own = {"key": by.key_id, "user": by.user_id, "team": by.team_id, "project": by.project_id}.get(kind)
    belongs = isinstance(row, KeyRow) and (
        (by.role in ("member", "team_admin") and by.user_id != "" and row.user_id == by.user_id)
        or row.team_id in by.teams_led
    )
    led = row.id in by.teams_led or (isinstance(row, ProjectRow) and row.team_id in by.teams_led)
    if by.role not in ("admin", "viewer") and row.id != own and not belongs and not led:
        raise PermissionDeniedError(f"Reading this {kind} takes the role admin or viewer.")


def visible(by: Principal, kind: str) -> Any:
    """Return which rows of a list somebody without a view of all may see."""
    table = KINDS[kind][0]
    columns = TABLES[table].c
    own = {"key": by.key_id, "user": by.user_id, "team": by.team_id, "project": by.project_id}.get(kind, "")
    seen = [columns.id == own]
    led = list(by.teams_led)
    if table is KeyRow:
        seen.append(columns.team_id.in_(led))
        if by.user_id and by.role in ("member", "team_admin"):
            seen.append(columns.user_id == by.user_id)
    elif table is TeamRow:
        seen.append(columns.id.in_(led))
    elif table is ProjectRow:
        seen.append(columns.team_id.in_(led))
    return or_(*seen)


# --- finding ---


async def _found(connection: Connection, kind: str, body: Mapping[str, Any]) -> Any:
    if kind == "key":
        return await _by_key(connection, body)
    named = _name_of(kind, body)[f"{kind}_id"]
    row = await connection.get(KINDS[kind][0], _split(kind, body)[0])
    if row is None:
        raise NotFoundError(f"There is no {kind} {named[:60]!r}.")
    return row


async def _key(connection: Connection, by: Principal, body: Mapping[str, Any]) -> KeyRow:
    only({"key", "key_id"}, "/key", body)
    row = await _by_key(connection, body)
    await _may_change(connection, by, "key", row)
    return row


async def _by_key(connection: Connection, body: Mapping[str, Any]) -> KeyRow:
    """Find a key by its id, or by its text. The error quotes neither."""
    name = _name_of("key", body)
    where = {"id": name["key_id"]} if "key_id" in name else {"digest": digest(name["key"])}
    row = await connection.one(KeyRow, **where)
    if row is None:
        raise NotFoundError("There is no such key; say which by key_id, or by the key itself.")
    return row


def _name_of(kind: str, body: Mapping[str, Any]) -> dict[str, str]:
    names = _naming(kind)
    for name in names:
        if isinstance(body.get(name), str):
            return {name: body[name]}
    raise BadRequestError(f"Say which {kind} by {' or '.join(names)}.")


async def _used_by(connection: Connection, kind: str, id: str) -> str:
    column = f"{kind}_id"
    if column in OWNERS and await _counted(connection, KeyRow, column, id):
        return "keys"
    if kind == "team" and await _counted(connection, ProjectRow, column, id):
        return "projects"
    if kind == "budget":
        for other, (table, _) in KINDS.items():
            if await _counted(connection, table, column, id):
                return f"{other}s that name it"
    return ""


async def _counted(connection: Connection, table: type[Entity], column: str, id: str) -> int:
    found = TABLES[table]
    query = select(func.count()).select_from(found).where(found.c[column] == id)
    return int((await connection.execute(query)).scalar_one())


# --- small things ---


async def _audit(
    connection: Connection,
    by: Principal,
    action: str,
    kind: str,
    id: str,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    row = AuditRow(at=time.time(), by=by.id, action=action, kind=kind, entity_id=id, before=before, after=after)
    await connection.add(row)


def whole(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a row that begins with nothing."""
    return {name: value.of({}) if isinstance(value, Part) else value for name, value in values.items()}


def _split(kind: str, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Part what names an entity from what is said of it."""
    names = _naming(kind)
    rest = {name: value for name, value in body.items() if name not in names}
    return read({names[0]: COMMON["budget_id"]}, kind, {names[0]: body.get(names[0])})[COMMON["budget_id"][0]], rest


def _naming(kind: str) -> tuple[str, ...]:
    return ("key_id", "key") if kind == "key" else (f"{kind}_id",)


def _blank() -> dict[str, Any]:
    now = time.time()
    return {"created_at": now, "updated_at": now}


def _new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:20]}"


def _hint(text: str) -> str:
    return f"sk-...{text[-4:]}"
