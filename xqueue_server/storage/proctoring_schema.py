"""Tables of proctored exams: LMSes, exams, attempts with their history, and what they hold back.

Learners are named here by ids alone; their names are in `exam_learners`, apart, to be erased.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    and_,
    literal_column,
    true,
)

from xqueue_server.storage.schema import Instant, RowId, Utf8, metadata, one_of

# -- whom we serve, and who serves us -----------------------------------------------------------

lmses = Table(
    "lmses",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("base_url", String(300), nullable=False),
    Column("origins", Utf8, nullable=False),  # JSON list
    Column("page_origins", Utf8, nullable=False),  # JSON list
    Column("backend", String(64), nullable=False),
    Column("client_id", String(128), nullable=False, unique=True),
    Column("our_client_id", String(128), nullable=False),
    Column("secrets", LargeBinary, nullable=False),  # sealed (see `sealing`)
    Column("jwt_issuer", String(300), nullable=False),
    Column("jwt_keys", Utf8, nullable=False),
    Column("sends_events", Boolean, nullable=False),
    Column("loads_worker", Boolean, nullable=False),
    Column("forwards_exams", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
)

proctoring_providers = Table(
    "proctoring_providers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("plugin", String(64), nullable=False),  # name of an entry point
    Column("settings", Utf8, nullable=False),  # JSON, nothing secret
    Column("secrets", LargeBinary, nullable=False),  # sealed
    Column("created_at", Instant, nullable=False),
)

webhook_subscribers = Table(
    "webhook_subscribers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("lms", String(64), nullable=False),
    Column("course_id", String(255), nullable=False),  # "": all
    Column("url", Utf8, nullable=False),
    Column("secret", LargeBinary, nullable=False),  # sealed
    Column("sends_user_id", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
)

# -- exams ---------------------------------------------------------------------------------------

exams = Table(
    "exams",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("lms", String(64), ForeignKey("lmses.name"), nullable=False),
    Column("course_id", String(255), nullable=False),
    Column("content_id", String(255), nullable=False),
    Column("exam_name", Utf8, nullable=False),
    Column("exam_type", String(16), nullable=False),
    Column("time_limit_mins", Integer, nullable=False),
    Column("due_at", Instant),
    Column("hide_after_due", Boolean, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("clock_owner", String(8), nullable=False),
    Column("external_id", String(64), nullable=False, unique=True),
    Column("lms_exam_id", String(64), nullable=False),
    Column("provider_exam_id", String(255), nullable=False, server_default=""),
    Column("terms", Utf8, nullable=False),  # JSON of `Terms`
    Column("created_at", Instant, nullable=False),
    one_of("exam_type", ("timed", "proctored", "practice", "onboarding")),
    one_of("clock_owner", ("lms", "us")),
    sqlite_autoincrement=True,
)
IS_ACTIVE_EXAM = exams.c.is_active.is_(true())
Index(
    "uq_exams_active",
    exams.c.lms,
    exams.c.course_id,
    exams.c.content_id,
    unique=True,
    sqlite_where=IS_ACTIVE_EXAM,
    postgresql_where=IS_ACTIVE_EXAM,
)

exam_courses = Table(  # what holds for a course's exams until one of them says otherwise
    "exam_courses",
    metadata,
    Column("lms", String(64), primary_key=True),
    Column("course_id", String(255), primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("escalation_email", String(320), nullable=False),
    Column("terms", Utf8, nullable=False),
)

exam_claims = Table(  # which submissions belong to an exam
    "exam_claims",
    metadata,
    Column("lms", String(64), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("value", String(255), primary_key=True),  # usage id of a problem, or a queue's name
    Column("exam_id", RowId, ForeignKey("exams.id"), nullable=False, index=True),
    Column("claimed_by", String(160), nullable=False),
    Column("claimed_at", Instant, nullable=False),
    one_of("kind", ("problem", "queue")),
)
Index("ix_exam_claims_value", exam_claims.c.value, exam_claims.c.kind)

exam_allowances = Table(
    "exam_allowances",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("exam_id", RowId, ForeignKey("exams.id"), nullable=False),
    # Of the LMS; or what stands for a name (see `awaited_id`), until its learner has come.
    Column("user_id", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("value", Float, nullable=False),
    Column("granted_by", String(160), nullable=False),
    Column("granted_at", Instant, nullable=False),
    one_of("kind", ("additional_time_granted", "time_multiplier")),
    UniqueConstraint("exam_id", "user_id", name="uq_exam_allowances_exam_id"),
    sqlite_autoincrement=True,
)

exam_course_staff = Table(  # of an LMS's course, beside those that its tokens call staff
    "exam_course_staff",
    metadata,
    Column("lms", String(64), primary_key=True),
    Column("course_id", String(255), primary_key=True),
    Column("user_id", String(64), primary_key=True),
    Column("granted_by", String(160), nullable=False),
    Column("granted_at", Instant, nullable=False),
)

exam_learners = Table(  # names, for the people who proctor; the first to be erased
    "exam_learners",
    metadata,
    Column("lms", String(64), primary_key=True),
    Column("learner", String(64), primary_key=True),  # user id, or obscured id
    Column("full_name", Utf8, nullable=False),
    Column("email", Utf8, nullable=False),
    Column("username", Utf8, nullable=False),
    Column("told_at", Instant, nullable=False),
)

# -- attempts ------------------------------------------------------------------------------------

exam_attempts = Table(
    "exam_attempts",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("exam_id", RowId, ForeignKey("exams.id"), nullable=False),
    Column("lms", String(64), nullable=False),
    Column("course_id", String(255), nullable=False),
    Column("user_id", String(64), nullable=False),  # "": unknown
    Column("obscured_id", String(64), nullable=False),  # "": unknown
    Column("external_id", String(64), nullable=False, unique=True),
    Column("clock_owner", String(8), nullable=False),
    Column("exam_type", String(16), nullable=False),
    Column("is_proctored", Boolean, nullable=False),
    Column("number", Integer, nullable=False),
    Column("resumes", RowId),
    Column("lms_host", Utf8, nullable=False),
    Column("exception", Utf8, nullable=False),
    Column("status", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("allowed_s", Integer),
    Column("started_at", Instant),
    Column("expires_at", Instant),
    Column("completed_at", Instant),
    Column("was_submitted", Boolean, nullable=False),
    Column("is_judged_by_a_person", Boolean, nullable=False),
    Column("is_flagged", Boolean, nullable=False),
    Column("mark_factor", Float, nullable=False),
    Column("is_resumable", Boolean, nullable=False),
    Column("ready_to_resume", Boolean, nullable=False),
    Column("remaining_s", Integer),
    Column("provider_attempt_id", String(255), nullable=False),
    Column("history_head", LargeBinary(32), nullable=False),
    Column("removed_at", Instant),  # reset by staff: nobody sees it but its history
    one_of("clock_owner", ("lms", "us")),
    sqlite_autoincrement=True,
)
_A = exam_attempts.c
_IS_OURS = and_(_A.clock_owner == literal_column("'us'"), _A.removed_at.is_(None))
IS_IN_PROGRESS = and_(
    _A.status.in_([literal_column("'started'"), literal_column("'ready_to_submit'")]), _IS_OURS
)
IS_OPEN = and_(
    _A.status.in_(
        [
            literal_column(f"'{status}'")
            for status in (
                "created",
                "download_software_clicked",
                "ready_to_start",
                "started",
                "ready_to_submit",
            )
        ]
    ),
    _IS_OURS,
)
Index("ix_exam_attempts_exam", _A.exam_id, _A.user_id)
Index("ix_exam_attempts_course", _A.lms, _A.course_id, _A.id)
Index("ix_exam_attempts_user_id", _A.user_id)
Index("ix_exam_attempts_obscured_id", _A.obscured_id)
Index("ix_exam_attempts_provider_attempt_id", _A.provider_attempt_id)
Index(
    "ix_exam_attempts_expires_at",
    _A.expires_at,
    sqlite_where=IS_IN_PROGRESS,
    postgresql_where=IS_IN_PROGRESS,
)
# One exam at a time, and one open attempt at each: the database refuses what two requests at once
# could each find to be the first.
Index(
    "uq_exam_attempts_in_progress",
    _A.lms,
    _A.user_id,
    unique=True,
    sqlite_where=IS_IN_PROGRESS,
    postgresql_where=IS_IN_PROGRESS,
)
Index(
    "uq_exam_attempts_open",
    _A.exam_id,
    _A.user_id,
    unique=True,
    sqlite_where=IS_OPEN,
    postgresql_where=IS_OPEN,
)

exam_attempt_history = Table(
    "exam_attempt_history",
    metadata,
    Column("attempt_id", RowId, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", String(16), nullable=False),
    Column("who", String(160), nullable=False),
    Column("action", String(32), nullable=False),
    Column("before", String(32), nullable=False),
    Column("after", String(32), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("facts", Utf8, nullable=False),
    Column("reason_digest", String(64), nullable=False),
    Column("reason", Utf8),
    Column("digest", LargeBinary(32), nullable=False),
)

exam_workers = Table(  # the JavaScript worker in the page of an attempt
    "exam_workers",
    metadata,
    Column("attempt_id", RowId, primary_key=True, autoincrement=False),
    Column("heard_at", Instant, nullable=False),
    Column("has_ended", Boolean, nullable=False),
)

exam_reviews = Table(
    "exam_reviews",
    metadata,
    Column("attempt_id", RowId, primary_key=True),
    Column("place", Integer, primary_key=True),  # in the order of arrival, from 1
    Column("digest", LargeBinary(32), nullable=False),  # of what was sent: a repetition is one
    Column("actor", String(16), nullable=False),
    Column("action", String(32), nullable=False),
    Column("reviewed_by", Utf8, nullable=False),
    Column("reviewer_email", Utf8, nullable=False),
    Column("comments", Utf8, nullable=False),  # JSON list
    Column("link", LargeBinary),  # sealed
    Column("received_at", Instant, nullable=False),
    Column("effect", String(16), nullable=False),
    UniqueConstraint("attempt_id", "digest", name="uq_exam_reviews_digest"),
)

exam_incidents = Table(
    "exam_incidents",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("attempt_id", RowId, nullable=False),
    Column("incident_id", String(128), nullable=False),
    Column("source", String(16), nullable=False),
    Column("kind", String(128), nullable=False),
    Column("severity", Float, nullable=False),
    Column("detail", Utf8, nullable=False),
    Column("reported_by", String(160), nullable=False),
    Column("happened_at", Instant, nullable=False),
    Column("reported_at", Instant, nullable=False),
    Column("strike", Integer),
    Column("consequences", String(128), nullable=False),
    UniqueConstraint("attempt_id", "incident_id", name="uq_exam_incidents_incident_id"),
)

# What open pages are told. Read in the order of (writer, id): ids are given before a transaction
# commits, so a reader that only looks past the last id could miss one that commits later.
exam_news = Table(
    "exam_news",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("writer", BigInteger, nullable=False),  # PostgreSQL's transaction id; SQLite: 0
    Column("at", Instant, nullable=False),
    Column("lms", String(64), nullable=False),
    Column("course_id", String(255), nullable=False),
    Column("attempt_id", RowId, nullable=False),
    Column("kind", String(32), nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_exam_news_writer", exam_news.c.writer, exam_news.c.id)

# -- grades --------------------------------------------------------------------------------------

exam_submissions = Table(
    "exam_submissions",
    metadata,
    Column("submission_id", RowId, ForeignKey("submissions.id"), primary_key=True),
    Column("exam_id", RowId, ForeignKey("exams.id"), nullable=False, index=True),
    Column("attempt_id", RowId, index=True),
    Column("standing", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("factor", Float, nullable=False),
    Column("decided_by", String(160), nullable=False),
    Column("decided_at", Instant),
    # Not yet in the mark sheet as it stands here.
    Column("is_unwritten", Boolean, nullable=False),
    one_of("standing", ("in_time", "overdue", "late", "no_attempt", "preview")),
    one_of("state", ("waiting", "flagged", "released", "withheld")),
)
IS_UNWRITTEN = exam_submissions.c.is_unwritten.is_(true())
Index(
    "ix_exam_submissions_unwritten",
    exam_submissions.c.exam_id,
    sqlite_where=IS_UNWRITTEN,
    postgresql_where=IS_UNWRITTEN,
)

mark_sheets = Table(  # one writer at a time: only the holder of the newest token may write
    "mark_sheets",
    metadata,
    Column("exam_id", RowId, ForeignKey("exams.id"), primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("holder", String(160), nullable=False),
    Column("held_until", Instant),
)

marks = Table(
    "exam_marks",
    metadata,
    Column("exam_id", RowId, ForeignKey("mark_sheets.exam_id"), primary_key=True),
    Column("learner", String(64), primary_key=True),
    Column("problem", String(255), primary_key=True),
    Column("submission_id", RowId, nullable=False),
    Column("attempt_id", RowId),
    Column("score", Float),
    Column("factor", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("token", BigInteger, nullable=False),  # of the writer
    Column("written_at", Instant, nullable=False),
)

signing_keys = Table(  # of tokens that others check with the public half
    "signing_keys",
    metadata,
    Column("purpose", String(64), primary_key=True),
    Column("private_key", LargeBinary, nullable=False),  # sealed
    Column("created_at", Instant, nullable=False),
)

used_tokens = Table(  # of links that open something once
    "used_tokens",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("until", Instant, nullable=False, index=True),
)

console_sessions = Table(  # of people at the proctors' console; a row gone is a session ended
    "console_sessions",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),  # of the cookie
    Column("account_id", BigInteger),  # either an account, …
    Column("credential_version", Integer),
    Column("lms", String(64), nullable=False),  # … or somebody whom this LMS sent
    Column("course_id", String(255), nullable=False),
    Column("who", String(160), nullable=False),
    Column("reviewer", Utf8, nullable=False),  # by which the LMS knows who reviews: an address
    Column("expires_at", Instant, nullable=False, index=True),
)
