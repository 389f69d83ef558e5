"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
step = "before"
works_from = "0001"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.BigInteger()

HOT_TABLES = ("submissions", "callbacks")
"""Updated in place several times a row: room on the page, and early vacuuming."""


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("password_hash", sa.String(length=512), nullable=False),
        sa.Column("credential_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("name", name="uq_accounts_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "callback_attempts",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("callback_id", ROW_ID, nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_callback_attempts"),
    )
    op.create_index(
        "ix_callback_attempts_callback_id", "callback_attempts", ["callback_id"], unique=False
    )
    op.create_table(
        "callbacks",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.Column("result_id", ROW_ID, nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("url", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.String(length=300), nullable=False),
        sa.Column("order_key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("next_at", INSTANT, nullable=True),
        sa.Column("claim_token", sa.LargeBinary(length=16), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("retry_from", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("kind IN ('result', 'give_up')", name="ck_callbacks_kind"),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'dead', 'cancelled')", name="ck_callbacks_state"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_callbacks"),
        sa.UniqueConstraint("result_id", name="uq_callbacks_result_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_callbacks_dead",
        "callbacks",
        ["origin", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'dead'"),
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index(
        "ix_callbacks_due",
        "callbacks",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_callbacks_order",
        "callbacks",
        ["order_key", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_callbacks_origin",
        "callbacks",
        ["origin", "next_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_callbacks_submission_id", "callbacks", ["submission_id"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("submission_id", ROW_ID, nullable=True),
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("actor", sa.String(length=160), nullable=False),
        sa.Column("from_state", sa.String(length=16), nullable=True),
        sa.Column("to_state", sa.String(length=16), nullable=True),
        sa.Column("why", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.LargeBinary(), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_submission_id", "events", ["submission_id"], unique=False)
    op.create_table(
        "leases",
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("leased_by", sa.String(length=128), nullable=False),
        sa.Column("leased_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name="pk_leases"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "origins",
        sa.Column("origin", sa.String(length=300), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("first_failure_at", INSTANT, nullable=True),
        sa.Column("open_since", INSTANT, nullable=True),
        sa.Column("probe_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("origin", name="pk_origins"),
    )
    op.create_table(
        "queues",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("lease_s", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("give_up_after_s", sa.Integer(), nullable=False),
        sa.Column("max_platform_failures", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_queues"),
    )
    op.create_table(
        "results",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.Column("sent_by", sa.String(length=128), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "disposition IN ('accepted', 'amended', 'rejected', 'unused')",
            name="ck_results_disposition",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_results"),
    )
    op.create_index("ix_results_submission_id", "results", ["submission_id"], unique=False)
    op.create_table(
        "submissions",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("platform_failures", sa.Integer(), nullable=False),
        sa.Column("available_at", INSTANT, nullable=True),
        sa.Column("arrived_at", INSTANT, nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("submitted_by", sa.String(length=128), nullable=False),
        sa.Column("callback_url", sa.LargeBinary(), nullable=False),
        sa.Column("lms_key", sa.LargeBinary(), nullable=False),
        sa.Column("learner_submitted_at", INSTANT, nullable=True),
        sa.Column("lease_key", sa.LargeBinary(length=32), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("leased_by", sa.String(length=128), nullable=True),
        sa.Column("accepted_key", sa.LargeBinary(length=32), nullable=True),
        sa.Column("held_reason", sa.String(length=16), nullable=True),
        sa.Column("held_detail", sa.LargeBinary(), nullable=True),
        sa.Column("held_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'leased', 'graded', 'held', 'superseded', 'given_up')",
            name="ck_submissions_state",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_submissions"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_submissions_delayed",
        "submissions",
        ["available_at"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' AND available_at IS NOT NULL"),
        postgresql_where=sa.text("state = 'queued' AND available_at IS NOT NULL"),
    )
    op.create_index(
        "ix_submissions_held",
        "submissions",
        ["held_at"],
        unique=False,
        sqlite_where=sa.text("state = 'held'"),
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index(
        "ix_submissions_leased",
        "submissions",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state = 'leased'"),
        postgresql_where=sa.text("state = 'leased'"),
    )
    op.create_index(
        "ix_submissions_ready",
        "submissions",
        ["queue", sa.literal_column("priority DESC"), "id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' AND available_at IS NULL"),
        postgresql_where=sa.text("state = 'queued' AND available_at IS NULL"),
    )
    op.create_table(
        "contents",
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("files", sa.LargeBinary(), nullable=True),
        sa.Column("supersede_key", sa.LargeBinary(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name="fk_contents_submission_id_submissions"
        ),
        sa.PrimaryKeyConstraint("submission_id", name="pk_contents"),
    )
    op.create_index(
        "ix_contents_supersede_key",
        "contents",
        ["supersede_key"],
        unique=False,
        sqlite_where=sa.text("supersede_key IS NOT NULL"),
        postgresql_where=sa.text("supersede_key IS NOT NULL"),
    )
    op.create_table(
        "grants",
        sa.Column("account_id", ROW_ID, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.CheckConstraint("role IN ('lms', 'grader', 'operator')", name="ck_grants_role"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name="fk_grants_account_id_accounts",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "role", "queue", name="pk_grants"),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in HOT_TABLES:
            op.execute(
                f"ALTER TABLE {table} SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01,"
                " autovacuum_vacuum_threshold = 200)"
            )


def downgrade() -> None:
    op.drop_table("grants")
    op.drop_table("contents")
    op.drop_table("submissions")
    op.drop_table("results")
    op.drop_table("queues")
    op.drop_table("origins")
    op.drop_table("leases")
    op.drop_table("events")
    op.drop_table("callbacks")
    op.drop_table("callback_attempts")
    op.drop_table("accounts")
