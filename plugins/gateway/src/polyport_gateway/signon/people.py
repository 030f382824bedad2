"""People: who a provider says somebody is -> a user of ours, with role and teams; and a user as who calls."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport_gateway.gate import GateError
from polyport_gateway.identity import Principal, common, not_theirs, parties_of, tags_of
from polyport_gateway.lines import clean
from polyport_gateway.policy import policy_of
from polyport_gateway.rows import Entity, IdentityRow, TeamRow, UserRow
from polyport_gateway.signon import audit
from polyport_gateway.signon.settings import ROLES, Rules
from polyport_gateway.store import Connection, Store, tables

log = logging.getLogger("polyport.gateway.signon")

#: Kind -> the columns that a new one begins with.
Starts = Callable[[str], Mapping[str, Any]]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom a provider knows. `subject` never changes there; `user_id` is what we are to call it.

    `roles` and `teams` are the provider's words; None where it is not asked for them.
    """

    provider: str
    subject: str
    user_id: str
    email: str = ""
    name: str = ""
    roles: list[str] | None = None
    teams: list[str] | None = None

    def __post_init__(self) -> None:
        """See that the database can take it as it is: what is cut could be somebody else's."""
        for text, length in ((self.subject, 255), (self.user_id, 240), (self.email, 255), (self.name, 100)):
            if len(text) > length or not text.isprintable():
                raise GateError(403, "name_too_long", "The provider's name of you cannot be taken here.")


# --- a provider's person -> a user ---


async def admit(store: Store, person: Person, rules: Rules, starts: Starts = lambda _: {}) -> UserRow:
    """Return the user that a person is, made or brought up to date. Raises GateError: 403 for who is not let in.

    `starts` returns the columns that a new user or team begins with, by its kind.
    """
    _check_domain(person, rules)
    role = role_of(person.roles, rules)
    async with store.change() as connection:
        known = await connection.get(IdentityRow, person.provider, person.subject)
        user = await _user(connection, person, rules, known)
        if user is None:
            user = _new(person, role or rules.default_role or "member", starts)
            await connection.add(user)
            await audit.change(connection, f"user:{user.id}", "create", "user", user.id, {}, _shown(user))
        if user.blocked:
            raise GateError(403, "user_blocked", "This user is blocked.")
        bound = _bound(person, user, known)
        await _update(connection, user, person, role)
        if person.teams is not None:
            bound.teams = await _join(connection, user, bound, person.teams, rules, starts)
        await (connection.add(bound) if known is None else connection.save(bound))
        return user


def role_of(words: list[str] | None, rules: Rules) -> str | None:
    """Return the highest role that a provider's words stand for; None where it says nothing of roles."""
    if words is None:
        return None
    meant = {rules.roles.get(word) if rules.roles else word for word in words}
    found = next((role for role in ROLES if role in meant), rules.default_role)
    if found is None:
        raise GateError(403, "no_role", "You have no role here: ask whoever runs this gateway for one.")
    return found


def _check_domain(person: Person, rules: Rules) -> None:
    domain = person.email.rpartition("@")[2].casefold()
    if rules.allowed_domains and domain not in {one.casefold().lstrip("@") for one in rules.allowed_domains}:
        raise GateError(403, "domain_not_allowed", "E-mail addresses of this domain are not let in here.")


async def _user(connection: Connection, person: Person, rules: Rules, known: IdentityRow | None) -> UserRow | None:
    """Return the user that a person is; None for one that is to be made."""
    if known is not None:
        user = await connection.get(UserRow, known.user_id)
        if user is not None and user.created_at == known.user_made:
            return user
    user = await connection.get(UserRow, person.user_id)
    if user is None:
        if not rules.create_users:
            raise GateError(403, "no_such_user", "You are no user of this gateway yet: ask whoever runs it.")
        return None
    columns = tables.identities.c
    others = await connection.all(IdentityRow, columns.user_id == user.id, columns.user_made == user.created_at)
    if not rules.link_users and (others or rules.create_users):
        log.warning("%s knows somebody as the user %r, who was there before: see link_users", rules.id, user.id)
        raise GateError(403, "user_is_another", "There is another user by your name here: ask whoever runs it.")
    return user


def _new(person: Person, role: str, starts: Starts) -> UserRow:
    now = time.time()
    about = {"id": person.user_id, "alias": person.name, "email": person.email, "role": role}
    return UserRow(**{**starts("user"), **about}, created_at=now, updated_at=now)


def _bound(person: Person, user: UserRow, known: IdentityRow | None) -> IdentityRow:
    """Return a person's row as it is to be; the teams of another user by the same id are not this one's."""
    teams = known.teams if known is not None and known.user_made == user.created_at else []
    return IdentityRow(
        provider=person.provider, subject=person.subject, user_id=user.id, user_made=user.created_at, teams=teams
    )


async def _update(connection: Connection, user: UserRow, person: Person, role: str | None) -> None:
    before = _shown(user)
    user.role = role or user.role
    user.email = person.email or user.email
    user.alias = person.name or user.alias
    if _shown(user) != before:
        user.updated_at = time.time()
        await connection.save(user)
        await audit.change(connection, f"user:{user.id}", "update", "user", user.id, before, _shown(user))


async def _join(
    connection: Connection, user: UserRow, known: IdentityRow, words: list[str], rules: Rules, starts: Starts
) -> list[str]:
    """Put a user into the teams that its provider says, and out of those that it said before and no longer does.

    Returns the former. Where somebody put the user into a team by hand, it stays as it is.
    """
    asked = teams_of(words, rules)
    rows = {row.id: row for row in await connection.all(TeamRow)}
    for team in sorted(asked.keys() - rows.keys()) if rules.create_teams else ():
        rows[team] = _new_team(team, starts)
        await connection.add(rows[team])
        await audit.change(connection, f"user:{user.id}", "create", "team", team, {}, {"members": {}})
    given = []
    for team, row in rows.items():
        if user.id in row.members and team not in known.teams:
            continue
        members = {name: role for name, role in row.members.items() if name != user.id}
        if team in asked:
            members[user.id] = asked[team]
            given.append(team)
        if members != row.members:
            before, row.members, row.updated_at = {"members": row.members}, members, time.time()
            await connection.save(row)
            await audit.change(connection, f"user:{user.id}", "update", "team", team, before, {"members": members})
    return given


def teams_of(words: list[str], rules: Rules) -> dict[str, str]:
    """Return the teams that a provider's words stand for, and as what somebody is in each."""
    if not rules.teams and not rules.team_admins:
        return dict.fromkeys((clean(word) for word in words if word), "member")
    members = {rules.teams[word]: "member" for word in words if word in rules.teams}
    return members | {rules.team_admins[word]: "admin" for word in words if word in rules.team_admins}


def _new_team(id: str, starts: Starts) -> TeamRow:
    now = time.time()
    return TeamRow(**starts("team"), id=id, members={}, created_at=now, updated_at=now)


def _shown(user: UserRow) -> dict[str, Any]:
    return {"user_role": user.role, "user_email": user.email, "user_alias": user.alias}


# --- a user -> who calls ---


def mark_of(user: UserRow) -> str:
    """Return by what a user is known again: another one may have got the id of one that was deleted."""
    return repr(user.created_at)


async def principal_of(connection: Connection, user: UserRow, team: str = "") -> Principal:
    """Return a user as who calls: with its own role and limits, and those of the team that its calls count on.

    That is the one that is named, or else the first of its teams, by id, that is not blocked. Who leads a team and has
    no higher role is a team_admin. A blocked team keeps no admin from managing.
    """
    mine = [row for row in await connection.all(TeamRow) if user.id in row.members]
    led = frozenset(row.id for row in mine if row.members[user.id] == "admin")
    role = "team_admin" if led and user.role in ("", "member") else user.role
    if team and team not in {row.id for row in mine}:
        raise not_theirs(team)
    named = [row for row in mine if row.id == team]
    usable = named or [row for row in mine if not row.blocked] or (mine if role != "admin" else [])
    spends = next(iter(usable), None)
    owners: list[tuple[str, Entity]] = [("user", user), *([("team", spends)] if spends else [])]
    parties = await parties_of(connection, owners)
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
        policy=policy_of([one.policy for one in parties]),
        teams=tuple(row.id for row in mine),
    )
