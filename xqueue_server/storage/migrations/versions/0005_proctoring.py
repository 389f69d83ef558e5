"""Proctored exams: LMSes, exams, attempts, what they hold back, and messages. Only adds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
step = "before"
works_from = "0002"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.BigInteger()
IN_PROGRESS = sa.text(
    "status IN ('started', 'ready_to_submit') AND clock_owner = 'us' AND removed_at IS NULL"
)
OPEN = sa.text(
    "status IN ('created', 'download_software_clicked', 'ready_to_start', 'started', "
    "'ready_to_submit') AND clock_owner = 'us' AND removed_at IS NULL"
)
STATES = "'pending', 'withheld', 'delivered', 'dead', 'cancelled'"
KINDS = "'result', 'give_up', 'lms', 'provider', 'event', 'webhook'"
OLD_STATES = "'pending', 'delivered', 'dead', 'cancelled'"
OLD_KINDS = "'result', 'give_up'"


def upgrade() -> None:
    op.create_table(
        "exam_attempt_history",
        sa.Column("attempt_id", ROW_ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.String(length=16), nullable=False),
        sa.Column("who", sa.String(length=160), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("before", sa.String(length=32), nullable=False),
        sa.Column("after", sa.String(length=32), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.Column("reason_digest", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", "version", name="pk_exam_attempt_history"),
    )
    op.create_table(
        "exam_courses",
        sa.Column("lms", sa.String(length=64), nullable=False),
        sa.Column("course_id", sa.String(length=255), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("escalation_email", sa.String(length=320), nullable=False),
        sa.Column("terms", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("lms", "course_id", name="pk_exam_courses"),
    )
    op.create_table(
        "exam_course_staff",
        sa.Column("lms", sa.String(length=64), nullable=False),
        sa.Column("course_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("granted_by", sa.String(length=160), nullable=False),
        sa.Column("granted_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("lms", "course_id", "user_id", name="pk_exam_course_staff"),
    )
    op.create_table(
        "signing_keys",
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("purpose", name="pk_signing_keys"),
    )
    op.create_table(
        "exam_incidents",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("attempt_id", ROW_ID, nullable=False),
        sa.Column("incident_id", sa.String(length=128), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=128), nullable=False),
        sa.Column("severity", sa.Float(), nullable=False),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.Column("reported_by", sa.String(length=160), nullable=False),
        sa.Column("happened_at", INSTANT, nullable=False),
        sa.Column("reported_at", INSTANT, nullable=False),
        sa.Column("strike", sa.Integer(), nullable=True),
        sa.Column("consequences", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_exam_incidents"),
        sa.UniqueConstraint("attempt_id", "incident_id", name="uq_exam_incidents_incident_id"),
    )
    op.create_table(
        "exam_learners",
        sa.Column("lms", sa.String(length=64), nullable=False),
        sa.Column("learner", sa.String(length=64), nullable=False),
        sa.Column("full_name", sa.LargeBinary(), nullable=False),
        sa.Column("email", sa.LargeBinary(), nullable=False),
        sa.Column("username", sa.LargeBinary(), nullable=False),
        sa.Column("told_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("lms", "learner", name="pk_exam_learners"),
    )
    op.create_table(
        "exam_news",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("writer", sa.BigInteger(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("lms", sa.String(length=64), nullable=False),
        sa.Column("course_id", sa.String(length=255), nullable=False),
        sa.Column("attempt_id", ROW_ID, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_exam_news"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_exam_news_writer", "exam_news", ["writer", "id"], unique=False)
    op.create_table(
        "exam_reviews",
        sa.Column("attempt_id", ROW_ID, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("actor", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("reviewed_by", sa.LargeBinary(), nullable=False),
        sa.Column("reviewer_email", sa.LargeBinary(), nullable=False),
        sa.Column("comments", sa.LargeBinary(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("effect", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", "place", name="pk_exam_reviews"),
        sa.UniqueConstraint("attempt_id", "digest", name="uq_exam_reviews_digest"),
    )
    op.create_table(
        "lmses",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("base_url", sa.String(length=300), nullable=False),
        sa.Column("origins", sa.LargeBinary(), nullable=False),
        sa.Column("page_origins", sa.LargeBinary(), nullable=False),
        sa.Column("backend", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("our_client_id", sa.String(length=128), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("jwt_issuer", sa.String(length=300), nullable=False),
        sa.Column("jwt_keys", sa.LargeBinary(), nullable=False),
        sa.Column("sends_events", sa.Boolean(), nullable=False),
        sa.Column("loads_worker", sa.Boolean(), nullable=False),
        sa.Column("forwards_exams", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lmses"),
        sa.UniqueConstraint("client_id", name="uq_lmses_client_id"),
    )
    op.create_table(
        "proctoring_providers",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("plugin", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.LargeBinary(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_proctoring_providers"),
    )
    op.create_table(
        "used_tokens",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_used_tokens"),
    )
    op.create_index("ix_used_tokens_until", "used_tokens", ["until"], unique=False)
    op.create_table(
        "console_sessions",
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("credential_version", sa.Integer(), nullable=True),
        sa.Column("lms", sa.String(length=64), nullable=False),
        sa.Column("course_id", sa.String(length=255), nullable=False),
        sa.Column("who", sa.String(length=160), nullable=False),
        sa.Column("reviewer", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_console_sessions"),
    )
    op.create_index(
        "ix_console_sessions_expires_at", "console_sessions", ["expires_at"], unique=False
    )
    op.create_table(
        "webhook_subscribers",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("lms", sa.String(length=64), nullable=False),
        sa.Column("course_id", sa.String(length=255), nullable=False),
        sa.Column("url", sa.LargeBinary(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("sends_user_id", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_webhook_subscribers"),
    )
    op.create_table(
        "exams",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("lms", sa.String(length=64), nullable=False),
        sa.Column("course_id", sa.String(length=255), nullable=False),
        sa.Column("content_id", sa.String(length=255), nullable=False),
        sa.Column("exam_name", sa.LargeBinary(), nullable=False),
        sa.Column("exam_type", sa.String(length=16), nullable=False),
        sa.Column("time_limit_mins", sa.Integer(), nullable=False),
        sa.Column("due_at", INSTANT, nullable=True),
        sa.Column("hide_after_due", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("clock_owner", sa.String(length=8), nullable=False),
        sa.Column("external_id", sa.String(length=64), nullable=False),
        sa.Column("lms_exam_id", sa.String(length=64), nullable=False),
        sa.Column("provider_exam_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("terms", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("clock_owner IN ('lms', 'us')", name="ck_exams_clock_owner"),
        sa.CheckConstraint(
            "exam_type IN ('timed', 'proctored', 'practice', 'onboarding')",
            name="ck_exams_exam_type",
        ),
        sa.ForeignKeyConstraint(["lms"], ["lmses.name"], name="fk_exams_lms_lmses"),
        sa.PrimaryKeyConstraint("id", name="pk_exams"),
        sa.UniqueConstraint("external_id", name="uq_exams_external_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_exams_active",
        "exams",
        ["lms", "course_id", "content_id"],
        unique=True,
        sqlite_where=sa.text("is_active IS 1"),
        postgresql_where=sa.text("is_active IS true"),
    )
    op.create_table(
        "exam_allowances",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("exam_id", ROW_ID, nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("granted_by", sa.String(length=160), nullable=False),
        sa.Column("granted_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "kind IN ('additional_time_granted', 'time_multiplier')", name="ck_exam_allowances_kind"
        ),
        sa.ForeignKeyConstraint(["exam_id"], ["exams.id"], name="fk_exam_allowances_exam_id_exams"),
        sa.PrimaryKeyConstraint("id", name="pk_exam_allowances"),
        sa.UniqueConstraint("exam_id", "user_id", name="uq_exam_allowances_exam_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "exam_attempts",
        sa.Column("id", ROW_ID, sa.Identity(always=False), nullable=False),
        sa.Column("exam_id", ROW_ID, nullable=False),
        sa.Column("lms", sa.String(length=64), nullable=False),
        sa.Column("course_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("obscured_id", sa.String(length=64), nullable=False),
        sa.Column("external_id", sa.String(length=64), nullable=False),
        sa.Column("clock_owner", sa.String(length=8), nullable=False),
        sa.Column("exam_type", sa.String(length=16), nullable=False),
        sa.Column("is_proctored", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("resumes", ROW_ID, nullable=True),
        sa.Column("lms_host", sa.LargeBinary(), nullable=False),
        sa.Column("exception", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("allowed_s", sa.Integer(), nullable=True),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("completed_at", INSTANT, nullable=True),
        sa.Column("was_submitted", sa.Boolean(), nullable=False),
        sa.Column("is_judged_by_a_person", sa.Boolean(), nullable=False),
        sa.Column("is_flagged", sa.Boolean(), nullable=False),
        sa.Column("mark_factor", sa.Float(), nullable=False),
        sa.Column("is_resumable", sa.Boolean(), nullable=False),
        sa.Column("ready_to_resume", sa.Boolean(), nullable=False),
        sa.Column("remaining_s", sa.Integer(), nullable=True),
        sa.Column("provider_attempt_id", sa.String(length=255), nullable=False),
        sa.Column("history_head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("removed_at", INSTANT, nullable=True),
        sa.CheckConstraint("clock_owner IN ('lms', 'us')", name="ck_exam_attempts_clock_owner"),
        sa.ForeignKeyConstraint(["exam_id"], ["exams.id"], name="fk_exam_attempts_exam_id_exams"),
        sa.PrimaryKeyConstraint("id", name="pk_exam_attempts"),
        sa.UniqueConstraint("external_id", name="uq_exam_attempts_external_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_exam_attempts_course", "exam_attempts", ["lms", "course_id", "id"], unique=False
    )
    op.create_index("ix_exam_attempts_exam", "exam_attempts", ["exam_id", "user_id"], unique=False)
    op.create_index(
        "ix_exam_attempts_expires_at",
        "exam_attempts",
        ["expires_at"],
        unique=False,
        sqlite_where=IN_PROGRESS,
        postgresql_where=IN_PROGRESS,
    )
    op.create_index("ix_exam_attempts_obscured_id", "exam_attempts", ["obscured_id"], unique=False)
    op.create_index(
        "ix_exam_attempts_provider_attempt_id",
        "exam_attempts",
        ["provider_attempt_id"],
        unique=False,
    )
    op.create_index("ix_exam_attempts_user_id", "exam_attempts", ["user_id"], unique=False)
    op.create_index(
        "uq_exam_attempts_in_progress",
        "exam_attempts",
        ["lms", "user_id"],
        unique=True,
        sqlite_where=IN_PROGRESS,
        postgresql_where=IN_PROGRESS,
    )
    op.create_index(
        "uq_exam_attempts_open",
        "exam_attempts",
        ["exam_id", "user_id"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_table(
        "exam_claims",
        sa.Column("lms", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.Column("exam_id", ROW_ID, nullable=False),
        sa.Column("claimed_by", sa.String(length=160), nullable=False),
        sa.Column("claimed_at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('problem', 'queue')", name="ck_exam_claims_kind"),
        sa.ForeignKeyConstraint(["exam_id"], ["exams.id"], name="fk_exam_claims_exam_id_exams"),
        sa.PrimaryKeyConstraint("lms", "kind", "value", name="pk_exam_claims"),
    )
    op.create_index("ix_exam_claims_exam_id", "exam_claims", ["exam_id"], unique=False)
    op.create_index("ix_exam_claims_value", "exam_claims", ["value", "kind"], unique=False)
    op.create_table(
        "exam_submissions",
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.Column("exam_id", ROW_ID, nullable=False),
        sa.Column("attempt_id", ROW_ID, nullable=True),
        sa.Column("standing", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("factor", sa.Float(), nullable=False),
        sa.Column("decided_by", sa.String(length=160), nullable=False),
        sa.Column("decided_at", INSTANT, nullable=True),
        sa.Column("is_unwritten", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "standing IN ('in_time', 'overdue', 'late', 'no_attempt', 'preview')",
            name="ck_exam_submissions_standing",
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'flagged', 'released', 'withheld')",
            name="ck_exam_submissions_state",
        ),
        sa.ForeignKeyConstraint(
            ["exam_id"], ["exams.id"], name="fk_exam_submissions_exam_id_exams"
        ),
        sa.ForeignKeyConstraint(
            ["submission_id"],
            ["submissions.id"],
            name="fk_exam_submissions_submission_id_submissions",
        ),
        sa.PrimaryKeyConstraint("submission_id", name="pk_exam_submissions"),
    )
    op.create_index(
        "ix_exam_submissions_attempt_id", "exam_submissions", ["attempt_id"], unique=False
    )
    op.create_index("ix_exam_submissions_exam_id", "exam_submissions", ["exam_id"], unique=False)
    op.create_index(
        "ix_exam_submissions_unwritten",
        "exam_submissions",
        ["exam_id"],
        unique=False,
        sqlite_where=sa.text("is_unwritten IS 1"),
        postgresql_where=sa.text("is_unwritten IS true"),
    )
    op.create_table(
        "exam_workers",
        sa.Column("attempt_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("heard_at", INSTANT, nullable=False),
        sa.Column("has_ended", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_exam_workers"),
    )
    op.create_table(
        "mark_sheets",
        sa.Column("exam_id", ROW_ID, nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(length=160), nullable=False),
        sa.Column("held_until", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["exam_id"], ["exams.id"], name="fk_mark_sheets_exam_id_exams"),
        sa.PrimaryKeyConstraint("exam_id", name="pk_mark_sheets"),
    )
    op.create_table(
        "exam_marks",
        sa.Column("exam_id", ROW_ID, nullable=False),
        sa.Column("learner", sa.String(length=64), nullable=False),
        sa.Column("problem", sa.String(length=255), nullable=False),
        sa.Column("submission_id", ROW_ID, nullable=False),
        sa.Column("attempt_id", ROW_ID, nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("factor", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("written_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["exam_id"], ["mark_sheets.exam_id"], name="fk_exam_marks_exam_id_mark_sheets"
        ),
        sa.PrimaryKeyConstraint("exam_id", "learner", "problem", name="pk_exam_marks"),
    )
    op.add_column("submissions", sa.Column("exam_id", ROW_ID, nullable=True))
    op.add_column("callbacks", sa.Column("attempt_id", ROW_ID, nullable=True))
    op.add_column("accounts", sa.Column("email", sa.String(length=254), nullable=True))
    _change_callbacks(STATES, KINDS, is_submission_optional=True)
    op.create_index(
        "ix_callbacks_attempt_id",
        "callbacks",
        ["attempt_id"],
        unique=False,
        sqlite_where=sa.text("attempt_id IS NOT NULL"),
        postgresql_where=sa.text("attempt_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_callbacks_attempt_id", table_name="callbacks")
    op.execute("DELETE FROM callbacks WHERE submission_id IS NULL OR state = 'withheld'")
    _change_callbacks(OLD_STATES, OLD_KINDS, is_submission_optional=False)
    op.drop_column("accounts", "email")
    op.drop_column("callbacks", "attempt_id")
    op.drop_column("submissions", "exam_id")
    op.drop_table("exam_marks")
    op.drop_table("mark_sheets")
    op.drop_table("exam_submissions")
    op.drop_table("exam_claims")
    op.drop_table("exam_attempts")
    op.drop_table("exam_allowances")
    op.drop_table("exams")
    op.drop_table("webhook_subscribers")
    op.drop_table("used_tokens")
    op.drop_table("console_sessions")
    op.drop_table("signing_keys")
    op.drop_table("exam_course_staff")
    op.drop_table("proctoring_providers")
    op.drop_table("lmses")
    op.drop_table("exam_workers")
    op.drop_table("exam_reviews")
    op.drop_table("exam_news")
    op.drop_table("exam_learners")
    op.drop_table("exam_incidents")
    op.drop_table("exam_courses")
    op.drop_table("exam_attempt_history")


def _change_callbacks(states: str, kinds: str, *, is_submission_optional: bool) -> None:
    """SQLite can not alter a column or a check: there the table is written anew."""
    checks = {
        "ck_callbacks_state": f"state IN ({states})",
        "ck_callbacks_kind": f"kind IN ({kinds})",
    }
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("callbacks", "submission_id", nullable=is_submission_optional)
        for name, condition in checks.items():
            op.drop_constraint(name, "callbacks", type_="check")
            op.create_check_constraint(name, "callbacks", condition)
        return
    with op.batch_alter_table(
        "callbacks", recreate="always", table_kwargs={"sqlite_autoincrement": True}
    ) as table:
        table.alter_column("submission_id", nullable=is_submission_optional)
        for name, condition in checks.items():
            table.create_check_constraint(name, condition)
