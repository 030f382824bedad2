"""Rows as everybody but the database sees them: who can spend, who people are elsewhere, what is whose.

Nothing here knows of a database, so that a gateway without accounts, which reads the same configuration, carries none.
What columns they are is in `store.tables`.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Row(msgspec.Struct, kw_only=True):
    """A row of a table, which `store.tables.TABLES` names. Its fields are the table's columns."""


class Entity(Row, kw_only=True):
    """Who can spend, or be limited: what keys, users, teams, projects, customers and budgets share."""

    id: str
    created_at: float
    updated_at: float
    alias: str = ""
    blocked: bool = False
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    max_budget: int | None = None
    soft_budget: int | None = None
    budget_duration: str = ""
    budget_id: str = ""
    model_limits: dict[str, Any] = {}
    models: list[str] = []
    tags: list[str] = []
    #: The column is called `metadata`.
    details: dict[str, Any] = {}
    policy: dict[str, Any] = {}


class KeyRow(Entity, kw_only=True):
    """A virtual key: its SHA-256 digest, and a hint by which its owner knows it again. Never the key."""

    digest: str
    hint: str
    user_id: str = ""
    team_id: str = ""
    project_id: str = ""
    role: str = ""
    expires: float | None = None
    aliases: dict[str, Any] = {}
    routes: list[str] = []
    ips: list[str] = []


class UserRow(Entity, kw_only=True):
    """A person or a service account."""

    email: str = ""
    role: str = "member"


class TeamRow(Entity, kw_only=True):
    """Users who spend together. `members` maps a user's id to a role in this team; `member_limits` holds for each."""

    members: dict[str, Any] = {}
    member_limits: dict[str, Any] = {}


class ProjectRow(Entity, kw_only=True):
    """A piece of work of a team."""

    team_id: str = ""


class CustomerRow(Entity, kw_only=True):
    """Somebody's user: the `user` of a request."""


class BudgetRow(Entity, kw_only=True):
    """Limits by a name, for those who name it by `budget_id`."""


class AuditRow(Row, kw_only=True):
    """A change that somebody made: who, what, before, after. No secret is in it. The database counts its id."""

    at: float
    by: str
    action: str
    kind: str
    entity_id: str
    before: dict[str, Any]
    after: dict[str, Any]


class IdentityRow(Row, kw_only=True):
    """Who a user is at a provider of identities. `teams` are those that the provider put the user into.

    `user_made` is when the user was made: another one by the same id is not meant.
    """

    provider: str
    subject: str
    user_id: str
    user_made: float
    teams: list[str]


class RevokedRow(Row, kw_only=True):
    """A session that was ended before its time, which is `until`."""

    id: str
    until: float
