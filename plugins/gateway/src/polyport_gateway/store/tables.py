"""The tables. Amounts of money are whole nano-dollars, instants are seconds since 1970, absent names are "".

They are SQLAlchemy's Core alone: its ORM would take a worker 8 MB more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    and_,
    literal_column,
    text,
)
from sqlalchemy.types import TypeEngine

from polyport_gateway.rows import (
    AuditRow,
    BudgetRow,
    CustomerRow,
    IdentityRow,
    KeyRow,
    ProjectRow,
    RevokedRow,
    Row,
    TeamRow,
    UserRow,
)

#: SQLite counts rows by INTEGER only; PostgreSQL needs more than 32 bits.
Serial = BigInteger().with_variant(Integer, "sqlite")
#: The number in `revision` of what batches hold.
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


METADATA = MetaData()
WHO = ("key", "user", "team", "project", "customer")
Kind = TypeEngine[Any] | type[TypeEngine[Any]]


def _text(name: str, length: int = 255, **more: Any) -> Column[str]:
    return Column(name, String(length), nullable=False, **more)


def _has(name: str, kind: Kind, **more: Any) -> Column[Any]:
    return Column(name, kind, nullable=False, **more)


def _may_have(name: str, kind: Kind) -> Column[Any]:
    return Column(name, kind, nullable=True)


def _instant(name: str, **more: Any) -> Column[float]:
    return Column(name, Float(53), nullable=False, **more)


def _entity() -> tuple[Column[Any], ...]:
    """Return the columns of `rows.Entity`."""
    return (
        _text("id", primary_key=True),
        _text("alias"),
        _has("blocked", Boolean),
        _may_have("rpm", Integer),
        _may_have("tpm", BigInteger),
        _may_have("parallel", Integer),
        _may_have("max_budget", BigInteger),
        _may_have("soft_budget", BigInteger),
        _text("budget_duration", 16),
        _text("budget_id"),
        _has("model_limits", JSON),
        _has("models", JSON),
        _has("tags", JSON),
        _has("metadata", JSON, key="details"),
        _has("policy", JSON),
        _instant("created_at"),
        _instant("updated_at"),
    )


def _whose() -> tuple[Column[str], ...]:
    """Return whose something is: the columns of `lines.Whose`."""
    return tuple(_text(f"{name}_id") for name in WHO)


keys = Table(
    "keys",
    METADATA,
    _text("digest", 64, unique=True),
    _text("hint", 16),
    _text("user_id", index=True),
    _text("team_id", index=True),
    _text("project_id", index=True),
    _text("role", 16),
    _may_have("expires", Float(53)),
    _has("aliases", JSON),
    _has("routes", JSON),
    _has("ips", JSON),
    *_entity(),
)
users = Table("users", METADATA, _text("email", index=True), _text("role", 16), *_entity())
teams = Table("teams", METADATA, _has("members", JSON), _has("member_limits", JSON), *_entity())
projects = Table("projects", METADATA, _text("team_id", index=True), *_entity())
customers = Table("customers", METADATA, *_entity())
budgets = Table("budgets", METADATA, *_entity())

#: One request that was answered. Its id comes once, however often its line is drained.
#:
#: Ids begin with their time, so that indexes grow at their ends: where ids are scattered, a row costs five times as
#: much in a table of half a million. Indexes of owners leave out what has none: `is_one_of` asks for the others.
#:
#: On PostgreSQL a table of partitions, one a month; so `at` is in its primary key. One line has one `at`.
ledger = Table(
    "ledger",
    METADATA,
    _text("id", 64, primary_key=True),
    _instant("at", primary_key=True),
    *_whose(),
    _text("model"),
    _text("provider"),
    _text("upstream"),
    _text("deployment"),
    _text("operation", 64),
    _text("surface", 16),
    _has("stream", Boolean),
    _has("status", Integer),
    _text("error", 64),
    _has("message", Text),
    _has("prompt", BigInteger),
    _has("completion", BigInteger),
    _has("usage", Sought),
    _has("nano", BigInteger),
    _has("reserved", BigInteger),
    _has("estimated", Boolean),
    _has("cache_hit", Boolean),
    _has("seconds", Float(53)),
    _may_have("first_byte", Float(53)),
    _has("attempts", Integer),
    _has("failures", Sought),
    _has("adaptations", Sought),
    _has("guardrails", Sought),
    _text("upstream_id"),
    _has("tags", Sought),
    Index("ix_ledger_at", "at", "id"),
    *(Index(f"ix_ledger_{name}_at", f"{name}_id", "at", sqlite_where=text(f"{name}_id <> ''")) for name in WHO),
)


def complete() -> None:
    """Say of the ledger what PostgreSQL has of it; said beside the table, it would be imported for SQLite, too."""
    ledger.dialect_options["postgresql"]["partition_by"] = "RANGE (at)"
    for index in ledger.indexes:
        index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


def is_one_of(owner: ColumnElement[str], ids: Sequence[str]) -> ColumnElement[bool]:
    """Return whether a column of owners has one of these ids. It asks so that indexes without "" can be used."""
    found = owner.in_(ids)
    return found if "" in ids else and_(found, owner != literal_column("''"))


def _rolled(name: str, *more: Column[Any]) -> Table:
    """Return a table of what requests of one time, of one kind, by the same, came to.

    `id` is a digest of all that tells rows apart; `at` is when the time began, in UTC. Indexes are what budgets and
    reports ask for.
    """
    sums = ("requests", "failures", "prompt", "completion", "nano")
    return Table(
        name,
        METADATA,
        _text("id", 32, primary_key=True),
        _has("at", BigInteger),
        *_whose(),
        _text("model"),
        _text("provider"),
        _text("deployment"),
        _text("operation", 64),
        _has("status", Integer),
        *(_has(one, BigInteger) for one in sums),
        *(_has(one, Integer) for one in BUCKETS),
        *more,
        Index(f"ix_{name}_at", "at"),
        Index(f"ix_{name}_model_at", "model", "at"),
        *(Index(f"ix_{name}_{one}_at", f"{one}_id", "at") for one in WHO),
    )


#: Requests of a day, what budgets are counted by, and of an hour; with a tag: one with several tags is in several rows.
days = _rolled("days")
hours = _rolled("hours")
tag_days = _rolled("tag_days", _text("tag"))
tag_hours = _rolled("tag_hours", _text("tag"))

#: What was asked and answered in a request, as JSON, where it is kept at all. No key is in it.
prompts = Table(
    "prompts",
    METADATA,
    _text("id", 64, primary_key=True),
    _instant("at", index=True),
    _has("asked", Text),
    _has("answer", Text),
)
#: Something that a webhook is told, once: a soft budget that was crossed. `state` is waiting, sent or failed.
notices = Table(
    "notices",
    METADATA,
    _text("id", 64, primary_key=True),
    _instant("at", index=True),
    _has("body", JSON),
    _text("state", 16),
    _has("tries", Integer),
    _instant("due", index=True),
)
#: Something that a provider keeps for a caller: a file, a batch, a video, a response. See `owning`.
#: `asks` says of a file of requests what they ask for. See `foreseen`.
owned = Table(
    "owned",
    METADATA,
    _text("id", 512, primary_key=True),
    _text("kind", 16),
    _instant("at", index=True),
    *_whose(),
    _text("model"),
    _text("batch", 512),
    _text("deployment"),
    _has("asks", Text),
    *(Index(f"ix_owned_{name}_id", f"{name}_id") for name in ("key", "user", "team")),
)
#: A batch that was started, and what of budgets it holds (`nano`) until it is paid. See `started`.
#:
#: `state` is starting, open, over, lost (nobody knows what it cost) or void (there was none); `entry` is its entry's
#: id in the ledger, `file` where its requests are.
#: `due` is when it is looked at next, `lease` until when somebody is looking, `ended` when it held no more.
batches = Table(
    "batches",
    METADATA,
    _text("id", 512, primary_key=True),
    *_whose(),
    _text("state", 16),
    _text("entry", 64, index=True),
    _instant("at", index=True),
    _text("model"),
    _text("provider"),
    _text("deployment"),
    _text("file", 512),
    _has("nano", BigInteger),
    *(_instant(name) for name in ("expires", "due", "lease", "ended")),
    _has("tries", Integer),
    Index("ix_batches_state_due", "state", "due"),
)
#: A client secret, by its digest: until when it begins sessions, who has it, and what only it can open. See
#: `client_secrets`.
client_secrets = Table(
    "client_secrets",
    METADATA,
    _text("id", 64, primary_key=True),
    _instant("expires", index=True),
    _text("maker", index=True),
    _has("sealed", Text),
)
audit = Table(
    "audit",
    METADATA,
    Column("id", Serial, primary_key=True, autoincrement=True),
    _instant("at", index=True),
    _text("by"),
    _text("action", 32),
    _text("kind", 16),
    _text("entity_id", index=True),
    _has("before", JSON),
    _has("after", JSON),
)
identities = Table(
    "identities",
    METADATA,
    _text("provider", 64, primary_key=True),
    _text("subject", primary_key=True),
    _text("user_id", index=True),
    _instant("user_made"),
    _has("teams", JSON),
)
revoked = Table("revoked", METADATA, _text("id", 64, primary_key=True), _instant("until"))
#: Numbers that are counted up by every change: other processes see by one that what they remember is old. Row 1 counts
#: changes of accounts, row 2 (`BATCHES`) those of what batches hold.
revision = Table(
    "revision",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _has("number", BigInteger),
    _has("note", Text),
)

#: Rows -> the table that they are of.
TABLES: Mapping[type[Row], Table] = {
    KeyRow: keys,
    UserRow: users,
    TeamRow: teams,
    ProjectRow: projects,
    CustomerRow: customers,
    BudgetRow: budgets,
    AuditRow: audit,
    IdentityRow: identities,
    RevokedRow: revoked,
}
