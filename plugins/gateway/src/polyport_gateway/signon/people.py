"""People: a user of the database as who calls."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from polyport_gateway.identity import Principal, common, party, tags_of
from polyport_gateway.store.tables import Entity, TeamRow, UserRow


def mark_of(user: UserRow) -> str:
    """Return by what a user is known again: another one may have got the id of one that was deleted."""
    return repr(user.created_at)


async def principal_of(session: AsyncSession, user: UserRow, team: str = "") -> Principal:
    """Return a user as who calls: with its own role and limits, and those of the team that its calls count on.

    That is the team which is named, where the user is in it, and else the first of its teams that is not blocked. Who
    leads a team and has no higher role is a team_admin. Nobody's blocked team keeps an admin from managing.
    """
    rows = (await session.execute(select(TeamRow).order_by(TeamRow.id))).scalars().all()
    mine = [row for row in rows if user.id in row.members]
    led = frozenset(row.id for row in mine if row.members[user.id] == "admin")
    role = "team_admin" if led and user.role in ("", "member") else user.role
    spends = _team(mine, team, anyhow=role != "admin")
    owners: list[tuple[str, Entity]] = [("user", user), *([("team", spends)] if spends else [])]
    parties = tuple([await party(session, kind, row) for kind, row in owners])
    return Principal(
        id=f"user:{user.id}"[:255],
        role=role,
        user_id=user.id,
        team_id=spends.id if spends else "",
        teams_led=led if role == "team_admin" else frozenset(),
        parties=parties,
        tags=tags_of(row for _, row in owners),
        metadata=user.details,
        models=common(parties),
    )


def _team(mine: list[TeamRow], named: str, *, anyhow: bool) -> TeamRow | None:
    usable = [row for row in mine if not row.blocked] or (mine if anyhow else [])
    return next((row for row in usable if row.id == named), next(iter(usable), None))
