"""The tables. Amounts of money are whole nano-dollars, instants are seconds since 1970, absent names are ""."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Dialect,
    Float,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    and_,
    literal_column,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column
from sqlalchemy.types import TypeEngine

#: SQLite counts rows by INTEGER only; PostgreSQL needs more than 32 bits.
Serial = BigInteger().with_variant(Integer, "sqlite")
#: The number in `RevisionRow` of what batches hold.
BATCHES = 2
#: How a roll-up counts latencies: bucket n holds those below 10^((n + 1) / 5) ms, the last one all longer ones.
BUCKETS = tuple(f"h{number:02}" for number in range(30))


class Sought(TypeDecorator[Any]):
    """JSON that is looked into: PostgreSQL's JSONB, which only a process that uses PostgreSQL imports."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type that a database has for it."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON())
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB())


class Base(DeclarativeBase):
    """What all tables have in common: JSON columns for lists and objects."""

    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON, list[Any]: JSON, str: String(255), float: Float(53)}


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
    policy: Mapped[dict[str, Any]] = mapped_column(default=dict)
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
    """Users who spend together. `members` maps a user's id to a role in this team; `member_limits` holds for each."""

    __tablename__ = "teams"
    members: Mapped[dict[str, Any]] = mapped_column(default=dict)
    member_limits: Mapped[dict[str, Any]] = mapped_column(default=dict)


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


class Whose:
    """Whose something is: the columns of `ledger.Whose`."""

    key_id: Mapped[str] = mapped_column(sort_order=-1)
    user_id: Mapped[str] = mapped_column(sort_order=-1)
    team_id: Mapped[str] = mapped_column(sort_order=-1)
    project_id: Mapped[str] = mapped_column(sort_order=-1)
    customer_id: Mapped[str] = mapped_column(sort_order=-1)


WHO = ("key", "user", "team", "project", "customer")


def is_one_of(owner: ColumnElement[str], ids: Sequence[str]) -> ColumnElement[bool]:
    """Return whether a column of owners has one of these ids. It asks so that indexes without "" can be used."""
    found = owner.in_(ids)
    return found if "" in ids else and_(found, owner != literal_column("''"))


class EntryRow(Whose, Base):
    """One request that was answered. Its id comes once, however often its line is drained.

    Ids begin with their time, so that indexes grow at their ends: where ids are scattered, a row costs five times as
    much in a table of half a million. Indexes of owners leave out what has none: `is_one_of` asks for the others.

    On PostgreSQL a table of partitions, one a month; so `at` is in its primary key. One line has one `at`.
    """

    __tablename__ = "ledger"
    id: Mapped[str] = mapped_column(String(64), primary_key=True, sort_order=-2)
    at: Mapped[float] = mapped_column(primary_key=True, sort_order=-2)
    model: Mapped[str]
    provider: Mapped[str]
    upstream: Mapped[str]
    deployment: Mapped[str]
    operation: Mapped[str] = mapped_column(String(64))
    surface: Mapped[str] = mapped_column(String(16))
    stream: Mapped[bool]
    status: Mapped[int]
    error: Mapped[str] = mapped_column(String(64))
    message: Mapped[str] = mapped_column(Text)
    prompt: Mapped[int] = mapped_column(BigInteger)
    completion: Mapped[int] = mapped_column(BigInteger)
    usage: Mapped[dict[str, Any]] = mapped_column(Sought)
    nano: Mapped[int] = mapped_column(BigInteger)
    reserved: Mapped[int] = mapped_column(BigInteger)
    estimated: Mapped[bool]
    cache_hit: Mapped[bool]
    seconds: Mapped[float]
    first_byte: Mapped[float | None]
    attempts: Mapped[int]
    failures: Mapped[list[Any]] = mapped_column(Sought)
    adaptations: Mapped[list[Any]] = mapped_column(Sought)
    guardrails: Mapped[list[Any]] = mapped_column(Sought)
    upstream_id: Mapped[str]
    tags: Mapped[list[Any]] = mapped_column(Sought)

    __table_args__ = (
        Index("ix_ledger_at", "at", "id"),
        *(Index(f"ix_ledger_{name}_at", f"{name}_id", "at", sqlite_where=text(f"{name}_id <> ''")) for name in WHO),
    )


def complete() -> None:
    """Say of the ledger what PostgreSQL has of it; said beside the table, it would be imported for SQLite, too."""
    ledger = EntryRow.metadata.tables["ledger"]
    ledger.dialect_options["postgresql"]["partition_by"] = "RANGE (at)"
    for index in ledger.indexes:
        index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


class Rolled(Whose, Base):
    """What requests of one time, of one kind, by the same, came to. `id` is a digest of all that tells rows apart.

    `at` is when the time began, in UTC.
    """

    __abstract__ = True

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[int] = mapped_column(BigInteger)
    model: Mapped[str]
    provider: Mapped[str]
    deployment: Mapped[str]
    operation: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    requests: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int] = mapped_column(BigInteger)
    prompt: Mapped[int] = mapped_column(BigInteger)
    completion: Mapped[int] = mapped_column(BigInteger)
    nano: Mapped[int] = mapped_column(BigInteger)

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Index, ...]:
        """Index what budgets and reports ask for."""
        name: str = cls.__tablename__
        who = (Index(f"ix_{name}_{one}_at", f"{one}_id", "at") for one in WHO)
        return (Index(f"ix_{name}_at", "at"), Index(f"ix_{name}_model_at", "model", "at"), *who)


for bucket in BUCKETS:
    setattr(Rolled, bucket, mapped_column(Integer, nullable=False))


class DayRow(Rolled):
    """Requests of a day: what budgets are counted by."""

    __tablename__ = "days"


class HourRow(Rolled):
    """Requests of an hour."""

    __tablename__ = "hours"


class TagDayRow(Rolled):
    """Requests of a day with a tag; one with several tags is in several."""

    __tablename__ = "tag_days"
    tag: Mapped[str]


class TagHourRow(Rolled):
    """Requests of an hour with a tag."""

    __tablename__ = "tag_hours"
    tag: Mapped[str]


class PromptRow(Base):
    """What was asked and answered in a request, as JSON, where it is kept at all. No key is in it."""

    __tablename__ = "prompts"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[float] = mapped_column(index=True)
    asked: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)


class NoticeRow(Base):
    """Something that a webhook is told, once: a soft budget that was crossed. `state` is waiting, sent or failed."""

    __tablename__ = "notices"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[float] = mapped_column(index=True)
    body: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))
    tries: Mapped[int]
    due: Mapped[float] = mapped_column(index=True)


class OwnedRow(Whose, Base):
    """Something that a provider keeps for a caller: a file, a batch, a video, a response. See `owning`.

    `asks` says of a file of requests what they ask for. See `foreseen`.
    """

    __tablename__ = "owned"
    id: Mapped[str] = mapped_column(String(512), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    at: Mapped[float] = mapped_column(index=True)
    model: Mapped[str]
    batch: Mapped[str] = mapped_column(String(512))
    deployment: Mapped[str]
    asks: Mapped[str] = mapped_column(Text)

    __table_args__ = tuple(Index(f"ix_owned_{name}_id", f"{name}_id") for name in ("key", "user", "team"))


class BatchRow(Whose, Base):
    """A batch that was started, and what of budgets it holds (`nano`) until it is paid. See `started`.

    `state` is starting, open, over, lost (nobody knows what it cost) or void (there was none); `entry` is its entry's
    id in the ledger, `file` where its requests are.
    `due` is when it is looked at next, `lease` until when somebody is looking, `ended` when it held no more.
    """

    __tablename__ = "batches"
    id: Mapped[str] = mapped_column(String(512), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    entry: Mapped[str] = mapped_column(String(64), index=True)
    at: Mapped[float] = mapped_column(index=True)
    model: Mapped[str]
    provider: Mapped[str]
    deployment: Mapped[str]
    file: Mapped[str] = mapped_column(String(512))
    nano: Mapped[int] = mapped_column(BigInteger)
    expires: Mapped[float]
    due: Mapped[float]
    lease: Mapped[float]
    ended: Mapped[float]
    tries: Mapped[int]

    __table_args__ = (Index("ix_batches_state_due", "state", "due"),)


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
    """Numbers that are counted up by every change: other processes see by one that what they remember is old.

    Row 1 counts changes of accounts, row 2 (`BATCHES`) those of what batches hold.
    """

    __tablename__ = "revision"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(Text, default="")
