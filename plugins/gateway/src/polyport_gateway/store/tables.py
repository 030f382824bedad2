"""The tables. Amounts of money are whole nano-dollars, instants are seconds since 1970, absent names are ""."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Float, Index, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

#: SQLite counts rows by INTEGER only; PostgreSQL needs more than 32 bits.
Serial = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """What all tables have in common: JSON columns for lists and objects."""

    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON, str: String(255), float: Float(53)}


class Entity:
    """Who can spend, or be limited: the columns that keys, users, teams, projects, customers and budgets share."""

    id: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(default="")
    blocked: Mapped[bool] = mapped_column(Boolean, default=False)
    rpm: Mapped[int | None]
    tpm: Mapped[int | None] = mapped_column(BigInteger)
    parallel: Mapped[int | None]
    max_budget: Mapped[int | None] = mapped_column(BigInteger)
    soft_budget: Mapped[int | None] = mapped_column(BigInteger)
    budget_duration: Mapped[str] = mapped_column(String(16), default="")
    budget_id: Mapped[str] = mapped_column(default="")
    model_limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    models: Mapped[list[str]] = mapped_column(default=list)
    tags: Mapped[list[str]] = mapped_column(default=list)
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    created_at: Mapped[float]
    updated_at: Mapped[float]


class KeyRow(Entity, Base):
    """A virtual key: its SHA-256 digest, and a hint by which its owner knows it again. Never the key."""

    __tablename__ = "keys"
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[str] = mapped_column(default="", index=True)
    team_id: Mapped[str] = mapped_column(default="", index=True)
    project_id: Mapped[str] = mapped_column(default="", index=True)
    role: Mapped[str] = mapped_column(String(16), default="")
    expires: Mapped[float | None]
    aliases: Mapped[dict[str, Any]] = mapped_column(default=dict)
    routes: Mapped[list[str]] = mapped_column(default=list)
    ips: Mapped[list[str]] = mapped_column(default=list)


class UserRow(Entity, Base):
    """A person or a service account."""

    __tablename__ = "users"
    email: Mapped[str] = mapped_column(default="", index=True)
    role: Mapped[str] = mapped_column(String(16), default="member")


class TeamRow(Entity, Base):
    """Users who spend together. `members` maps a user's id to a role in this team."""

    __tablename__ = "teams"
    members: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ProjectRow(Entity, Base):
    """A piece of work of a team."""

    __tablename__ = "projects"
    team_id: Mapped[str] = mapped_column(default="", index=True)


class CustomerRow(Entity, Base):
    """Somebody's user: the `user` of a request."""

    __tablename__ = "customers"


class BudgetRow(Entity, Base):
    """Limits by a name, for those who name it by `budget_id`."""

    __tablename__ = "budgets"


class EntryRow(Base):
    """One request that was answered. Its id comes once, however often its line is drained."""

    __tablename__ = "ledger"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[float] = mapped_column(index=True)
    key_id: Mapped[str]
    user_id: Mapped[str]
    team_id: Mapped[str]
    project_id: Mapped[str]
    customer_id: Mapped[str]
    model: Mapped[str]
    provider: Mapped[str]
    upstream: Mapped[str]
    operation: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    error: Mapped[str] = mapped_column(String(64))
    prompt: Mapped[int] = mapped_column(BigInteger)
    completion: Mapped[int] = mapped_column(BigInteger)
    nano: Mapped[int] = mapped_column(BigInteger)
    estimated: Mapped[bool]
    seconds: Mapped[float]
    attempts: Mapped[int]
    tags: Mapped[list[str]]

    __table_args__ = tuple(
        Index(f"ix_ledger_{name}_at", f"{name}_id", "at") for name in ("key", "user", "team", "project", "customer")
    )


class DayRow(Base):
    """What was spent on a day (UTC), by whom, on what."""

    __tablename__ = "days"
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    key_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int] = mapped_column(BigInteger)
    prompt: Mapped[int] = mapped_column(BigInteger)
    completion: Mapped[int] = mapped_column(BigInteger)
    nano: Mapped[int] = mapped_column(BigInteger)


class AuditRow(Base):
    """A change that somebody made: who, what, before, after. No secret is in it."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    at: Mapped[float] = mapped_column(index=True)
    by: Mapped[str]
    action: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(16))
    entity_id: Mapped[str] = mapped_column(index=True)
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]


class IdentityRow(Base):
    """Who a user is at a provider of identities. `teams` are those that the provider put the user into.

    `user_made` is when the user was made: another one by the same id is not meant.
    """

    __tablename__ = "identities"
    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(index=True)
    user_made: Mapped[float]
    teams: Mapped[list[str]]


class RevokedRow(Base):
    """A session that was ended before its time, which is `until`."""

    __tablename__ = "revoked"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    until: Mapped[float]


class RevisionRow(Base):
    """One row, counted up by every change: other processes see by it that what they remember is old."""

    __tablename__ = "revision"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(Text, default="")
