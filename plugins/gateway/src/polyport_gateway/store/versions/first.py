"""The first tables. (The columns are written out: what the code calls them later must not change what was made.)"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "first"
down_revision: str | None = None

WHO = ("key_id", "user_id", "team_id", "project_id", "customer_id")
SOUGHT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("entity_id", sa.String(length=255), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"], unique=False)
    op.create_index(op.f("ix_audit_entity_id"), "audit", ["entity_id"], unique=False)
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=255), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("rpm", sa.Integer(), nullable=True),
        sa.Column("tpm", sa.BigInteger(), nullable=True),
        sa.Column("parallel", sa.Integer(), nullable=True),
        sa.Column("max_budget", sa.BigInteger(), nullable=True),
        sa.Column("soft_budget", sa.BigInteger(), nullable=True),
        sa.Column("budget_duration", sa.String(length=16), nullable=False),
        sa.Column("budget_id", sa.String(length=255), nullable=False),
        sa.Column("model_limits", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("updated_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "customers",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=255), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("rpm", sa.Integer(), nullable=True),
        sa.Column("tpm", sa.BigInteger(), nullable=True),
        sa.Column("parallel", sa.Integer(), nullable=True),
        sa.Column("max_budget", sa.BigInteger(), nullable=True),
        sa.Column("soft_budget", sa.BigInteger(), nullable=True),
        sa.Column("budget_duration", sa.String(length=16), nullable=False),
        sa.Column("budget_id", sa.String(length=255), nullable=False),
        sa.Column("model_limits", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("updated_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    for name in ("days", "hours", "tag_days", "tag_hours"):
        _rollup(name, tagged=name.startswith("tag_"))
    op.create_table(
        "keys",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("team_id", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("expires", sa.Float(precision=53), nullable=True),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("routes", sa.JSON(), nullable=False),
        sa.Column("ips", sa.JSON(), nullable=False),
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=255), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("rpm", sa.Integer(), nullable=True),
        sa.Column("tpm", sa.BigInteger(), nullable=True),
        sa.Column("parallel", sa.Integer(), nullable=True),
        sa.Column("max_budget", sa.BigInteger(), nullable=True),
        sa.Column("soft_budget", sa.BigInteger(), nullable=True),
        sa.Column("budget_duration", sa.String(length=16), nullable=False),
        sa.Column("budget_id", sa.String(length=255), nullable=False),
        sa.Column("model_limits", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("updated_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index(op.f("ix_keys_project_id"), "keys", ["project_id"], unique=False)
    op.create_index(op.f("ix_keys_team_id"), "keys", ["team_id"], unique=False)
    op.create_index(op.f("ix_keys_user_id"), "keys", ["user_id"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        *(_text(name) for name in (*WHO, "model", "provider", "upstream", "deployment")),
        _text("operation", 64),
        _text("surface", 16),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        _text("error", 64),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("prompt", sa.BigInteger(), nullable=False),
        sa.Column("completion", sa.BigInteger(), nullable=False),
        sa.Column("usage", SOUGHT, nullable=False),
        sa.Column("nano", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("cache_hit", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.Float(precision=53), nullable=False),
        sa.Column("first_byte", sa.Float(precision=53), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", SOUGHT, nullable=False),
        sa.Column("adaptations", SOUGHT, nullable=False),
        sa.Column("guardrails", SOUGHT, nullable=False),
        _text("upstream_id"),
        sa.Column("tags", SOUGHT, nullable=False),
        sa.PrimaryKeyConstraint("id", "at"),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("ix_ledger_at", "ledger", ["at", "id"])
    for name in WHO:
        owned = sa.text(f"{name} <> ''")
        index = f"ix_ledger_{name.removesuffix('_id')}_at"
        op.create_index(index, "ledger", [name, "at"], sqlite_where=owned, postgresql_where=owned)
    op.create_table(
        "notices",
        _text("id", 64),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        _text("state", 16),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_notices_at", "notices", ["at"])
    op.create_index("ix_notices_due", "notices", ["due"])
    op.create_table(
        "owned",
        _text("id", 512),
        _text("kind", 16),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        *(_text(name) for name in (*WHO, "model")),
        _text("batch", 512),
        _text("deployment"),
        sa.Column("asks", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    for name in ("at", "key_id", "user_id", "team_id"):
        op.create_index(f"ix_owned_{name}", "owned", [name])
    op.create_table(
        "batches",
        _text("id", 512),
        _text("state", 16),
        _text("entry", 64),
        *(_text(name) for name in (*WHO, "model", "provider", "deployment")),
        _text("file", 512),
        sa.Column("nano", sa.BigInteger(), nullable=False),
        *(sa.Column(one, sa.Float(precision=53), nullable=False) for one in ("at", "expires", "due", "lease", "ended")),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_batches_state_due", "batches", ["state", "due"])
    for name in ("entry", "at"):
        op.create_index(f"ix_batches_{name}", "batches", [name])
    op.create_table(
        "client_secrets",
        _text("id", 64),
        sa.Column("expires", sa.Float(precision=53), nullable=False),
        _text("maker"),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    for name in ("expires", "maker"):
        op.create_index(f"ix_client_secrets_{name}", "client_secrets", [name])
    op.create_table(
        "prompts",
        _text("id", 64),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_prompts_at", "prompts", ["at"])
    op.create_table(
        "projects",
        sa.Column("team_id", sa.String(length=255), nullable=False),
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=255), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("rpm", sa.Integer(), nullable=True),
        sa.Column("tpm", sa.BigInteger(), nullable=True),
        sa.Column("parallel", sa.Integer(), nullable=True),
        sa.Column("max_budget", sa.BigInteger(), nullable=True),
        sa.Column("soft_budget", sa.BigInteger(), nullable=True),
        sa.Column("budget_duration", sa.String(length=16), nullable=False),
        sa.Column("budget_id", sa.String(length=255), nullable=False),
        sa.Column("model_limits", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("updated_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_projects_team_id"), "projects", ["team_id"], unique=False)
    op.create_table(
        "revision",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "teams",
        sa.Column("members", sa.JSON(), nullable=False),
        sa.Column("member_limits", sa.JSON(), nullable=False),
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=255), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("rpm", sa.Integer(), nullable=True),
        sa.Column("tpm", sa.BigInteger(), nullable=True),
        sa.Column("parallel", sa.Integer(), nullable=True),
        sa.Column("max_budget", sa.BigInteger(), nullable=True),
        sa.Column("soft_budget", sa.BigInteger(), nullable=True),
        sa.Column("budget_duration", sa.String(length=16), nullable=False),
        sa.Column("budget_id", sa.String(length=255), nullable=False),
        sa.Column("model_limits", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("updated_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "users",
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=255), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("rpm", sa.Integer(), nullable=True),
        sa.Column("tpm", sa.BigInteger(), nullable=True),
        sa.Column("parallel", sa.Integer(), nullable=True),
        sa.Column("max_budget", sa.BigInteger(), nullable=True),
        sa.Column("soft_budget", sa.BigInteger(), nullable=True),
        sa.Column("budget_duration", sa.String(length=16), nullable=False),
        sa.Column("budget_id", sa.String(length=255), nullable=False),
        sa.Column("model_limits", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("updated_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_users_email"), "users", ["email"], unique=False)
    op.create_table(
        "identities",
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("user_made", sa.Float(precision=53), nullable=False),
        sa.Column("teams", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "subject"),
    )
    op.create_index(op.f("ix_identities_user_id"), "identities", ["user_id"], unique=False)
    op.create_table(
        "revoked",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("until", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute("INSERT INTO revision (id, number, note) VALUES (1, 0, ''), (2, 0, '')")


def _text(name: str, length: int = 255) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=False)


def _rollup(name: str, *, tagged: bool) -> None:
    """Make a table of what requests came to."""
    sums = ("requests", "failures", "prompt", "completion", "nano")
    op.create_table(
        name,
        _text("id", 32),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *(_text(one) for one in (*WHO, "model", "provider", "deployment")),
        _text("operation", 64),
        sa.Column("status", sa.Integer(), nullable=False),
        *(sa.Column(one, sa.BigInteger(), nullable=False) for one in sums),
        *(sa.Column(f"h{number:02}", sa.Integer(), nullable=False) for number in range(30)),
        *([_text("tag")] if tagged else []),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(f"ix_{name}_at", name, ["at"])
    for one in ("model", *WHO):
        op.create_index(f"ix_{name}_{one.removesuffix('_id')}_at", name, [one, "at"])


def downgrade() -> None:
    """Drop them."""
    for table in (
        "revoked",
        "identities",
        "revision",
        "audit",
        "owned",
        "batches",
        "client_secrets",
        "notices",
        "prompts",
        "days",
        "hours",
        "tag_days",
        "tag_hours",
        "ledger",
        "budgets",
        "customers",
        "projects",
        "teams",
        "users",
        "keys",
    ):
        op.drop_table(table)
