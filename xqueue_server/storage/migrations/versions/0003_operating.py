"""Operating: order and caps, regrades, timings, workers, deadlines, people. Only adds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
step = "before"
works_from = "0002"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.BigInteger()


def upgrade() -> None:
    _allow_roles("lms", "grader", "viewer", "author", "operator", "admin")

    op.create_table(
        "course_weights",
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("course", sa.String(length=255), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("queue", "course", name="pk_course_weights"),
    )
    op.create_table(
        "deadlines",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("course", sa.String(length=255), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("opens_at", INSTANT, nullable=True),
        sa.Column("submissions", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=160), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", sa.String(length=160), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deadlines"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deadlines_at", "deadlines", ["at"], unique=False)
    op.create_table(
        "load_minutes",
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("minute", INSTANT, nullable=False),
        sa.Column("arrived", sa.Integer(), nullable=False),
        sa.Column("graded", sa.Integer(), nullable=False),
        sa.Column("service_us", sa.BigInteger(), nullable=False),
        sa.Column("service_sq_s2", sa.Float(), nullable=False),
        sa.Column("wait_us", sa.BigInteger(), nullable=False),
        sa.Column("longest_wait_us", sa.BigInteger(), nullable=False),
        sa.Column("queued", sa.Integer(), nullable=True),
        sa.Column("leased", sa.Integer(), nullable=True),
        sa.Column("oldest_us", sa.BigInteger(), nullable=True),
        sa.Column("workers", sa.Integer(), nullable=True),
        sa.Column("desired", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("queue", "minute", name="pk_load_minutes"),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_marks"),
    )
    op.create_table(
        "regrade_batches",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.Column("requested_by", sa.String(length=160), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("selection", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_regrade_batches"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "regrades",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("batch_id", ROW_ID, nullable=False),
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("old_result_id", ROW_ID, nullable=True),
        sa.Column("new_result_id", ROW_ID, nullable=True),
        sa.Column("old_score", sa.Float(), nullable=True),
        sa.Column("new_score", sa.Float(), nullable=True),
        sa.Column("lms_had_it", sa.Boolean(), nullable=True),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("detail", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'same', 'changed', 'failed', 'cancelled')",
            name="ck_regrades_state",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_regrades"),
    )
    op.create_index("ix_regrades_batch_id", "regrades", ["batch_id"], unique=False)
    op.create_index("ix_regrades_submission_id", "regrades", ["submission_id"], unique=False)
    op.create_index(
        "uq_regrades_waiting",
        "regrades",
        ["submission_id"],
        unique=True,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "stored_files",
        sa.Column("blob", sa.String(length=128), nullable=False),
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("blob", name="pk_stored_files"),
    )
    op.create_index(
        "ix_stored_files_submission_id", "stored_files", ["submission_id"], unique=False
    )
    op.create_table(
        "timings",
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("leased_at", INSTANT, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("wait_us", sa.BigInteger(), nullable=False),
        sa.Column("service_us", sa.BigInteger(), nullable=False),
        sa.Column("prepare_us", sa.BigInteger(), nullable=True),
        sa.Column("run_us", sa.BigInteger(), nullable=True),
        sa.Column("deliver_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("submission_id", "attempt", name="pk_timings"),
    )
    op.create_index("ix_timings_queue", "timings", ["queue", "received_at"], unique=False)
    op.create_table(
        "worker_hosts",
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("account_id", ROW_ID, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("backend", sa.String(length=64), nullable=False),
        sa.Column("is_canary_ok", sa.Boolean(), nullable=True),
        sa.Column("canary", sa.LargeBinary(), nullable=True),
        sa.Column("cpus", sa.Integer(), nullable=False),
        sa.Column("autoscale_min", sa.Integer(), nullable=True),
        sa.Column("autoscale_max", sa.Integer(), nullable=True),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("beat_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("host", name="pk_worker_hosts"),
    )
    op.create_table(
        "worker_wishes",
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("wished_by", sa.String(length=160), nullable=False),
        sa.Column("wished_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("host", "queue", name="pk_worker_wishes"),
    )
    op.create_table(
        "workers",
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("submission_id", ROW_ID, nullable=True),
        sa.Column("since", INSTANT, nullable=False),
        sa.CheckConstraint(
            "state IN ('starting', 'idle', 'grading', 'waiting', 'draining')",
            name="ck_workers_state",
        ),
        sa.PrimaryKeyConstraint("host", "name", name="pk_workers"),
    )
    op.create_table(
        "course_grants",
        sa.Column("account_id", ROW_ID, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("course", sa.String(length=255), nullable=False),
        sa.CheckConstraint(
            "role IN ('viewer', 'operator', 'proctor')", name="ck_course_grants_role"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name="fk_course_grants_account_id_accounts",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "role", "course", name="pk_course_grants"),
    )
    op.create_table(
        "identities",
        sa.Column("issuer", sa.String(length=300), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("account_id", ROW_ID, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("last_used_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name="fk_identities_account_id_accounts",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_identities"),
    )
    op.create_index("ix_identities_account_id", "identities", ["account_id"], unique=False)
    op.create_table(
        "admin_sessions",
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account_id", ROW_ID, nullable=False),
        sa.Column("credential_version", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name="fk_admin_sessions_account_id_accounts",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("hash", name="pk_admin_sessions"),
    )
    op.create_index("ix_admin_sessions_account_id", "admin_sessions", ["account_id"], unique=False)
    op.create_index("ix_admin_sessions_expires_at", "admin_sessions", ["expires_at"], unique=False)
    op.add_column(
        "contents", sa.Column("course", sa.String(length=255), server_default="", nullable=False)
    )
    op.add_column(
        "contents", sa.Column("learner", sa.String(length=64), server_default="", nullable=False)
    )
    op.add_column(
        "contents", sa.Column("problem", sa.String(length=255), server_default="", nullable=False)
    )
    op.add_column("contents", sa.Column("traceparent", sa.String(length=64), nullable=True))
    op.create_index("ix_contents_course", "contents", ["course", "submission_id"], unique=False)
    op.create_index("ix_contents_learner", "contents", ["learner", "submission_id"], unique=False)
    op.create_index("ix_contents_problem", "contents", ["problem", "submission_id"], unique=False)
    op.add_column(
        "queues", sa.Column("priority", sa.SmallInteger(), server_default="0", nullable=False)
    )
    op.add_column("readiness", sa.Column("image_created", INSTANT, nullable=True))
    op.add_column("queues", sa.Column("learner_cap", sa.Integer(), nullable=True))
    op.add_column("queues", sa.Column("paused_at", INSTANT, nullable=True))
    op.add_column("queues", sa.Column("paused_by", sa.String(length=160), nullable=True))
    op.add_column("queues", sa.Column("paused_reason", sa.LargeBinary(), nullable=True))
    op.add_column(
        "submissions", sa.Column("course", sa.String(length=255), server_default="", nullable=False)
    )
    op.add_column(
        "submissions", sa.Column("learner", sa.String(length=64), server_default="", nullable=False)
    )
    op.add_column(
        "submissions", sa.Column("turn", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column(
        "submissions",
        sa.Column("is_capped", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column(
        "submissions",
        sa.Column("is_blocked", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.create_index(
        "ix_submissions_blocked",
        "submissions",
        ["queue", "learner", "id"],
        unique=False,
        sqlite_where=sa.text("is_blocked IS 1"),
        postgresql_where=sa.text("is_blocked IS true"),
    )
    op.create_index(
        "ix_submissions_capped",
        "submissions",
        ["queue", "learner"],
        unique=False,
        sqlite_where=sa.text(
            "is_capped IS 1 AND is_blocked IS 0 AND state IN ('queued', 'leased')"
        ),
        postgresql_where=sa.text(
            "is_capped IS true AND is_blocked IS false AND state IN ('queued', 'leased')"
        ),
    )
    op.create_index(
        "ix_submissions_course",
        "submissions",
        ["queue", "priority", "course", "turn"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' AND available_at IS NULL AND is_blocked IS 0"),
        postgresql_where=sa.text(
            "state = 'queued' AND available_at IS NULL AND is_blocked IS false"
        ),
    )
    op.create_index(
        "ix_submissions_line",
        "submissions",
        ["queue", sa.literal_column("priority DESC"), "turn", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' AND available_at IS NULL AND is_blocked IS 0"),
        postgresql_where=sa.text(
            "state = 'queued' AND available_at IS NULL AND is_blocked IS false"
        ),
    )


def downgrade() -> None:
    """Grants of roles that 0002 does not know go first."""

    op.drop_index("ix_submissions_line", table_name="submissions")
    op.drop_index("ix_submissions_course", table_name="submissions")
    op.drop_index("ix_submissions_capped", table_name="submissions")
    op.drop_index("ix_submissions_blocked", table_name="submissions")
    op.drop_column("submissions", "is_blocked")
    op.drop_column("submissions", "is_capped")
    op.drop_column("submissions", "turn")
    op.drop_column("submissions", "learner")
    op.drop_column("submissions", "course")
    op.drop_column("queues", "paused_reason")
    op.drop_column("queues", "paused_by")
    op.drop_column("queues", "paused_at")
    op.drop_column("queues", "learner_cap")
    op.drop_column("readiness", "image_created")
    op.drop_column("queues", "priority")
    op.drop_index("ix_contents_problem", table_name="contents")
    op.drop_index("ix_contents_learner", table_name="contents")
    op.drop_index("ix_contents_course", table_name="contents")
    op.drop_column("contents", "traceparent")
    op.drop_column("contents", "problem")
    op.drop_column("contents", "learner")
    op.drop_column("contents", "course")
    op.drop_index("ix_admin_sessions_expires_at", table_name="admin_sessions")
    op.drop_index("ix_admin_sessions_account_id", table_name="admin_sessions")
    op.drop_table("admin_sessions")
    op.drop_index("ix_identities_account_id", table_name="identities")
    op.drop_table("identities")
    op.drop_table("course_grants")
    op.drop_table("workers")
    op.drop_table("worker_wishes")
    op.drop_table("worker_hosts")
    op.drop_index("ix_timings_queue", table_name="timings")
    op.drop_table("timings")
    op.drop_index("ix_stored_files_submission_id", table_name="stored_files")
    op.drop_table("stored_files")
    op.drop_index("uq_regrades_waiting", table_name="regrades")
    op.drop_index("ix_regrades_submission_id", table_name="regrades")
    op.drop_index("ix_regrades_batch_id", table_name="regrades")
    op.drop_table("regrades")
    op.drop_table("regrade_batches")
    op.drop_table("marks")
    op.drop_table("load_minutes")
    op.drop_index("ix_deadlines_at", table_name="deadlines")
    op.drop_table("deadlines")
    op.drop_table("course_weights")
    op.execute("DELETE FROM grants WHERE role IN ('viewer', 'admin')")
    _allow_roles("lms", "grader", "operator", "author")


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
