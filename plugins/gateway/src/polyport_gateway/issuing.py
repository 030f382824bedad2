"""What keys may be made, and by whom: upper bounds of their limits, roles that may make them, what has to be said.

general_settings:
  upperbound_key_params: {max_budget: 100, budget_duration: 30d, duration: 90d, rpm_limit: 1000}
  key_generation_settings:
    team_key_generation: {allowed_team_member_roles: [admin], required_params: [tags]}
    personal_key_generation: {allowed_user_roles: [admin]}

A key that says nothing of a bound one gets the bound; one that asks for more is refused, when it is made and when it is
changed, whoever asks. Roles hold for whoever is no admin. https://docs.litellm.ai/docs/proxy/virtual_keys
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from polyport.budgets import seconds
from polyport.errors import BadRequestError, PermissionDeniedError
from polyport_gateway.fields import KINDS, LIMITS, read as read_fields
from polyport_gateway.identity import Principal
from polyport_gateway.rows import KeyRow, ProjectRow, TeamRow
from polyport_gateway.signon.settings import ROLES

if TYPE_CHECKING:  # configurations are read without accounts, too, and then without a database
    from polyport_gateway.store import Connection

FIELDS = KINDS["key"][1]
#: What can be bound.
BOUND = {name: row for name, row in {**LIMITS, "duration": FIELDS["duration"]}.items() if name != "soft_budget"}
#: Columns -> the names that they are bound by.
NAMES = {column: name for name, (column, _) in BOUND.items()}
#: LiteLLM's names of roles -> ours. https://docs.litellm.ai/docs/proxy/access_control
USERS: dict[str, tuple[str, ...]] = {
    **{role: (role,) for role in ROLES},
    "proxy_admin": ("admin",),
    "proxy_admin_viewer": ("viewer",),
    "internal_user": ("member", "team_admin"),
    "internal_user_viewer": ("viewer",),
}
#: Roles in a team: LiteLLM's names, and ours.
MEMBERS = {"admin": "admin", "member": "member", "user": "member"}


class Making(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may make keys of one kind, None: whoever may anyway; and what they have to say of each."""

    allowed_team_member_roles: tuple[str, ...] | None = None
    allowed_user_roles: tuple[str, ...] | None = None
    required_params: tuple[str, ...] = ()


class Issuing(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for keys that are made. `bounds` are in the wire's names."""

    bounds: Mapping[str, Any] = {}
    team: Making = Making()
    personal: Making = Making()

    def bound(self, values: dict[str, Any], *, whole: bool) -> None:
        """Fill in what a key says nothing of, where it is `whole`. Raises BadRequestError for too much."""
        if not self.bounds:
            return
        for column, most in read_fields(BOUND, "upperbound_key_params", self.bounds).items():
            asked = values.get(column)
            if asked is None or asked == "":
                if whole or column in values:
                    values[column] = most
            elif _size(column, asked) > _size(column, most):
                name = NAMES[column]
                raise BadRequestError(f"{name} is at most {self.bounds[name]} for the keys of this gateway.")

    async def allow(self, connection: Connection, by: Principal, row: KeyRow, body: Mapping[str, Any]) -> None:
        """Raise PermissionDeniedError for who may not make this key, BadRequestError for what is not said of it."""
        team = await _team(connection, row)
        making, whose = (self.team, "a team's keys") if team else (self.personal, "keys that belong to no team")
        if by.role != "admin":
            role, roles = by.role, making.allowed_user_roles
            if team:
                role, roles = await _role_in(connection, team, by), making.allowed_team_member_roles
            if roles is not None and role not in roles:
                told = ", ".join(roles) or "admin"
                raise PermissionDeniedError(f"Making {whose} here takes one of the roles {told}.")
        missing = next((name for name in making.required_params if body.get(name) in (None, "", [], {})), None)
        if missing is not None:
            raise BadRequestError(f"{missing} has to be said of {whose} here.")


def read(bounds: Mapping[str, Any], settings: Mapping[str, Any], defaults: Mapping[str, Any], place: str) -> Issuing:
    """Return what the settings say. Raises BadRequestError naming the place, also of `defaults` out of bounds."""
    columns = read_fields(BOUND, f"{place}.upperbound_key_params", bounds)
    if None in columns.values() or "" in columns.values():
        raise BadRequestError(f"{place}.upperbound_key_params has a bound that is none: leave it out.")
    kinds = {"team_key_generation": "team", "personal_key_generation": "personal"}
    found = {}
    for name, given in settings.items():
        if name not in kinds:
            raise BadRequestError(f"{place}.key_generation_settings has no {name!r}{_near(name, kinds)}")
        found[kinds[name]] = _making(given, f"{place}.key_generation_settings.{name}", of_team=kinds[name] == "team")
    made = Issuing(bounds=dict(bounds), **found)
    try:
        made.bound(read_fields(FIELDS, "", {**defaults}), whole=True)
    except BadRequestError as error:
        raise BadRequestError(f"{place}.default_key_params: {error.message}") from error
    return made


def _making(given: Any, path: str, *, of_team: bool) -> Making:
    named, other = "allowed_team_member_roles", "allowed_user_roles"
    known = MEMBERS if of_team else USERS
    named, other = (named, other) if of_team else (other, named)
    try:
        made: Making = msgspec.convert(given, Making)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{path}: {error}") from error
    if getattr(made, other) is not None:
        raise BadRequestError(f"{path} has no {other!r}: did you mean {named!r}?")
    roles = getattr(made, named)
    for role in roles or ():
        if role not in known:
            raise BadRequestError(f"{path}.{named} has {role!r}{_near(role, known)}")
    for name in made.required_params:
        if name not in FIELDS:
            raise BadRequestError(f"{path}.required_params has {name!r}{_near(name, FIELDS)}")
    if roles is None:
        return made
    meant = (MEMBERS[role] for role in roles) if of_team else (one for role in roles for one in USERS[role])
    return msgspec.structs.replace(made, **{named: tuple(dict.fromkeys(meant))})


def _near(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(name), known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}."


def _size(column: str, value: Any) -> float:
    """Return how large a limit is; of a length of time, its seconds."""
    return (seconds(value) or 0.0) if column == "budget_duration" else value


async def _team(connection: Connection, row: KeyRow) -> str:
    """Return the team that a key counts for, by itself or by its project."""
    if row.team_id or not row.project_id:
        return row.team_id or ""
    project = await connection.get(ProjectRow, row.project_id)
    return project.team_id if project is not None else ""


async def _role_in(connection: Connection, team: str, by: Principal) -> str:
    """Return somebody's role in a team; who leads none of its people is a member."""
    row = await connection.get(TeamRow, team)
    return str(row.members.get(by.user_id, "member")) if row is not None and by.user_id else "member"
