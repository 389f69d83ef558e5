"""Publishing graders: bundles, versions, tokens, trials and faults."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
step = "before"
works_from = "0002"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.BigInteger()


def upgrade() -> None:
    _allow_roles("lms", "grader", "operator", "author")
    # With a default of the database's: 0001's programs go on storing results beside ours.
    op.add_column(
        "results", sa.Column("forgeable", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_table(
        "schema_compatibility",
        sa.Column("works_from", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("works_from", name="pk_schema_compatibility"),
    )
    op.create_table(
        "bundles",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("stored_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_bundles"),
    )
    op.create_table(
        "fault_submissions",
        sa.Column("fault_id", ROW_ID, nullable=False),
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("fault_id", "submission_id", name="pk_fault_submissions"),
    )
    op.create_table(
        "faults",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("kind_key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("grader", sa.String(length=63), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", INSTANT, nullable=False),
        sa.Column("last_at", INSTANT, nullable=False),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_faults"),
        sa.UniqueConstraint("kind_key", name="uq_faults_kind_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_faults_queue", "faults", ["queue"], unique=False)
    op.create_table(
        "grader_versions",
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("image", sa.String(length=512), nullable=True),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("isolation", sa.String(length=32), nullable=True),
        sa.Column("published_by", sa.String(length=128), nullable=False),
        sa.Column("published_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("queue", "name", "version", name="pk_grader_versions"),
    )
    op.create_index("ix_grader_versions_digest", "grader_versions", ["digest"], unique=False)
    op.create_table(
        "graders",
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("active", sa.Integer(), nullable=True),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("queue", "name", name="pk_graders"),
    )
    op.create_table(
        "lease_graders",
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("grader", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("isolation", sa.String(length=32), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name="pk_lease_graders"),
    )
    op.create_index(
        "ix_lease_graders_submission_id", "lease_graders", ["submission_id"], unique=False
    )
    op.create_table(
        "notifications",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("fault_id", ROW_ID, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("target", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("next_at", INSTANT, nullable=True),
        sa.Column("claim_token", sa.LargeBinary(length=16), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("last_error", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("channel IN ('webhook', 'email')", name="ck_notifications_channel"),
        sa.CheckConstraint("state IN ('pending', 'sent', 'dead')", name="ck_notifications_state"),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_notifications_due",
        "notifications",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "queue_policies",
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("max_wall_s", sa.Float(), nullable=True),
        sa.Column("max_memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("max_cpus", sa.Float(), nullable=True),
        sa.Column("max_pids", sa.Integer(), nullable=True),
        sa.Column("max_output_bytes", sa.Integer(), nullable=True),
        sa.Column("legacy_reason", sa.LargeBinary(), nullable=True),
        sa.Column("isolation", sa.String(length=32), nullable=True),
        sa.Column("runtime", sa.String(length=16), nullable=True),
        sa.Column("webhook_url", sa.LargeBinary(), nullable=True),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.PrimaryKeyConstraint("queue", name="pk_queue_policies"),
    )
    op.create_table(
        "readiness",
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("is_ready", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.LargeBinary(), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("queue", "name", "version", "host", name="pk_readiness"),
    )
    op.create_table(
        "test_counts",
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("grader", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("test_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "queue", "grader", "version", "test_id", "status", name="pk_test_counts"
        ),
    )
    op.create_table(
        "trials",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.Column("account_id", ROW_ID, nullable=False),
        sa.Column("token_id", ROW_ID, nullable=True),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("image", sa.String(length=512), nullable=True),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trials"),
        sa.UniqueConstraint("submission_id", name="uq_trials_submission_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_trials_created_at", "trials", ["created_at"], unique=False)
    op.create_index("ix_trials_digest", "trials", ["digest"], unique=False)
    op.create_table(
        "api_tokens",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account_id", ROW_ID, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(length=160), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("last_used_at", INSTANT, nullable=True),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name="fk_api_tokens_account_id_accounts",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("hash", name="uq_api_tokens_hash"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "bundle_uploads",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("account_id", ROW_ID, nullable=False),
        sa.Column("stored_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name="fk_bundle_uploads_account_id_accounts",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["bundles.digest"],
            name="fk_bundle_uploads_digest_bundles",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", "account_id", name="pk_bundle_uploads"),
    )
    op.create_table(
        "token_scopes",
        sa.Column("token_id", ROW_ID, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["api_tokens.id"],
            name="fk_token_scopes_token_id_api_tokens",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_id", "role", "queue", name="pk_token_scopes"),
    )


def downgrade() -> None:
    """Grants of the role that 0001 does not know go first."""

    op.drop_table("token_scopes")
    op.drop_table("bundle_uploads")
    op.drop_table("api_tokens")
    op.drop_table("trials")
    op.drop_table("test_counts")
    op.drop_table("readiness")
    op.drop_table("queue_policies")
    op.drop_table("notifications")
    op.drop_table("lease_graders")
    op.drop_table("graders")
    op.drop_table("grader_versions")
    op.drop_table("faults")
    op.drop_table("fault_submissions")
    op.drop_table("bundles")
    op.drop_table("schema_compatibility")
    op.drop_column("results", "forgeable")
    op.execute("DELETE FROM grants WHERE role = 'author'")
    _allow_roles("lms", "grader", "operator")


def _allow_roles(*roles: str) -> None:
    """Replace the check of `grants.role`. SQLite can not alter one: the table is written anew."""
    condition = f"role IN ({', '.join(repr(role) for role in roles)})"
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("ck_grants_role", "grants", type_="check")
        op.create_check_constraint("ck_grants_role", "grants", condition)
        return
    with op.batch_alter_table("grants", copy_from=_grants(condition), recreate="always"):
        pass


def _grants(condition: str) -> sa.Table:
    return sa.Table(
        "grants",
        sa.MetaData(),
        sa.Column("account_id", ROW_ID, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.CheckConstraint(condition, name="ck_grants_role"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name="fk_grants_account_id_accounts",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "role", "queue", name="pk_grants"),
    )
