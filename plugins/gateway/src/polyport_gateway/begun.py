"""Who began something that goes on without a key: known again by rows of the database, which say whether they may.

What is begun holds the ids of its beginner's rows, each with a mark that changes with what a key or a user is known
by: the key that was rotated, or the user who was deleted and made anew, is another one. A seal makes the marks, so that
they tell nothing of a key. Who has no row (the master key, somebody else's token, whom a function of the operator's let
in) goes on until it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from polyport_gateway.identity import Principal, common, of_key, parties_of, tags_of
from polyport_gateway.policy import policy_of
from polyport_gateway.rows import Entity, KeyRow, ProjectRow, TeamRow, UserRow

if TYPE_CHECKING:
    from polyport_gateway.store import Connection

#: Of each row its kind, its id and its mark.
Begun: TypeAlias = tuple[tuple[str, str, str], ...]
#: Makes a mark of what must not be told.
Seal: TypeAlias = Callable[[str], str]
TABLES: Mapping[str, type[Entity]] = {"key": KeyRow, "user": UserRow, "team": TeamRow, "project": ProjectRow}


async def by(principal: Principal, seal: Seal, connection: Connection) -> Begun:
    """Return by what somebody is known again."""
    named = {kind: getattr(principal, f"{kind}_id") for kind in TABLES}
    rows = {kind: await connection.get(TABLES[kind], name) for kind, name in named.items() if name}
    return tuple((kind, row.id, _mark(row, seal)) for kind, row in rows.items() if row is not None)


async def beginner(begun: Begun, seal: Seal, connection: Connection) -> Principal | None:
    """Return who began something, as they stand now; None where a row is gone, or another's. Raises GateError."""
    rows: dict[str, Entity] = {}
    for kind, name, mark in begun:
        row = await connection.get(TABLES[kind], name) if kind in TABLES else None
        if row is None or _mark(row, seal) != mark:
            return None
        rows[kind] = row
    key, team = rows.get("key"), rows.get("team")
    if isinstance(key, KeyRow):
        return await of_key(connection, key, team.id if team is not None else "")
    parties = await parties_of(connection, rows.items())
    ids = {kind: row.id for kind, row in rows.items()}
    return Principal(
        id=next(f"{kind}:{name}"[:255] for kind, name in ids.items()),
        user_id=ids.get("user", ""),
        team_id=ids.get("team", ""),
        project_id=ids.get("project", ""),
        parties=parties,
        tags=tags_of(rows.values()),
        models=common(parties),
        policy=policy_of([one.policy for one in parties]),
    )


def _mark(row: Entity, seal: Seal) -> str:
    return seal(f"key {row.digest}" if isinstance(row, KeyRow) else f"{row.id} {row.created_at!r}")
