"""Tables of operating: shares, regrades, timings and load, workers, deadlines, people.

None of them decides what becomes of a submission; losing one of their rows loses no grade.
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
    literal_column,
)

from xqueue_server.storage.schema import Instant, RowId, Utf8, metadata, one_of

# -- order ---------------------------------------------------------------------------------------

course_weights = Table(  # no row: 1
    "course_weights",
    metadata,
    Column("queue", String(128), primary_key=True),
    Column("course", String(255), primary_key=True),
    Column("weight", Integer, nullable=False),
)

# -- regrades ------------------------------------------------------------------------------------

regrade_batches = Table(
    "regrade_batches",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("requested_at", Instant, nullable=False),
    Column("requested_by", String(160), nullable=False),
    Column("reason", Utf8, nullable=False),
    Column("selection", Utf8, nullable=False),  # in words, as it was asked for
    sqlite_autoincrement=True,  # "regrade 3" in the events must never mean another one
)

regrades = Table(
    "regrades",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("batch_id", RowId, nullable=False, index=True),
    Column("submission_id", RowId, nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("old_result_id", RowId),
    Column("new_result_id", RowId),
    Column("old_score", Float),
    Column("new_score", Float),
    # Whether the LMS had taken the old result when the new one came: it keeps the first.
    Column("lms_had_it", Boolean),
    # Only a lease given later belongs to it; one of before may be of an older grader.
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("detail", Utf8),  # why it failed or was cancelled
    one_of("state", ("waiting", "same", "changed", "failed", "cancelled")),
)
IS_REGRADING = regrades.c.state == literal_column("'waiting'")
Index(
    "uq_regrades_waiting",
    regrades.c.submission_id,
    unique=True,
    sqlite_where=IS_REGRADING,
    postgresql_where=IS_REGRADING,
)

# -- timings and load ----------------------------------------------------------------------------

timings = Table(  # of each accepted result, in microseconds
    "timings",
    metadata,
    Column("submission_id", RowId, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("queue", String(128), nullable=False),
    Column("leased_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("wait_us", BigInteger, nullable=False),  # from arrival to this lease
    Column("service_us", BigInteger, nullable=False),  # from the lease to the result
    Column("prepare_us", BigInteger),  # as the worker says: fetching, waiting for the sandbox
    Column("run_us", BigInteger),
    Column("deliver_us", BigInteger),  # from the result to the LMS's 200
)
Index("ix_timings_queue", timings.c.queue, timings.c.received_at)

load_minutes = Table(  # one row for each queue and minute in which anything happened or waited
    "load_minutes",
    metadata,
    Column("queue", String(128), primary_key=True),
    Column("minute", Instant, primary_key=True),
    Column("arrived", Integer, nullable=False),
    Column("graded", Integer, nullable=False),
    Column("service_us", BigInteger, nullable=False),  # sums over what was graded
    Column("service_sq_s2", Float, nullable=False),
    Column("wait_us", BigInteger, nullable=False),
    Column("longest_wait_us", BigInteger, nullable=False),
    # At the end of the minute; null: nobody looked then, and it can not be told afterwards.
    Column("queued", Integer),
    Column("leased", Integer),
    Column("oldest_us", BigInteger),  # age of the oldest that waits
    Column("workers", Integer),
    Column("desired", Integer),
)

marks = Table(  # how far a process that goes through everything has come
    "marks",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

# -- workers -------------------------------------------------------------------------------------

worker_hosts = Table(  # what the supervisor of a host says of it
    "worker_hosts",
    metadata,
    Column("host", String(128), primary_key=True),
    Column("account_id", RowId, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(64), nullable=False),
    Column("backend", String(64), nullable=False),
    Column("is_canary_ok", Boolean),  # null: not known yet
    Column("canary", Utf8),
    Column("cpus", Integer, nullable=False),
    Column("autoscale_min", Integer),  # null: a fixed number
    Column("autoscale_max", Integer),
    Column("started_at", Instant, nullable=False),
    Column("beat_at", Instant, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("host", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("queue", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("submission_id", RowId),
    Column("since", Instant, nullable=False),  # in this state
    one_of("state", ("starting", "idle", "grading", "waiting", "draining")),
)

worker_wishes = Table(  # what an operator wants of a host; told with the answer to its next beat
    "worker_wishes",
    metadata,
    Column("host", String(128), primary_key=True),
    Column("queue", String(128), primary_key=True),
    Column("count", Integer, nullable=False),  # 0: drain
    Column("wished_by", String(160), nullable=False),
    Column("wished_at", Instant, nullable=False),
)

# -- deadlines -----------------------------------------------------------------------------------

deadlines = Table(
    "deadlines",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("queue", String(128), nullable=False),
    Column("course", String(255), nullable=False),
    Column("at", Instant, nullable=False, index=True),
    Column("opens_at", Instant),  # null: a week before
    Column("submissions", Integer, nullable=False),  # expected in all
    Column("source", String(160), nullable=False),  # "hand", or the exam that it comes from
    Column("note", Utf8, nullable=False),
    Column("created_by", String(160), nullable=False),
    Column("created_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)

# -- files ---------------------------------------------------------------------------------------

stored_files = Table(  # which uploads belong to a submission; others are left over from a crash
    "stored_files",
    metadata,
    Column("blob", String(128), primary_key=True),
    Column("submission_id", RowId, nullable=False, index=True),
)

# -- people --------------------------------------------------------------------------------------

identities = Table(  # who signs in elsewhere, and whose account that is here
    "identities",
    metadata,
    Column("issuer", String(300), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column(
        "account_id",
        RowId,
        ForeignKey("accounts.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant),
)

course_grants = Table(  # what an account may do on submissions of one course, on any queue
    "course_grants",
    metadata,
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(16), primary_key=True),
    Column("course", String(255), primary_key=True),
    one_of("role", ("viewer", "operator", "proctor")),
)

admin_sessions = Table(  # of the admin pages; those of the XQueue protocol are signed, not stored
    "admin_sessions",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),  # SHA-256 of the cookie
    Column(
        "account_id",
        RowId,
        ForeignKey("accounts.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("credential_version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
)

# -- requests that come again --------------------------------------------------------------------

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),  # SHA-256 of the caller and the key
    Column("request_hash", LargeBinary(32), nullable=False),  # of method, path, query and body
    Column("began_at", Instant, nullable=False, index=True),
    Column("status", Integer),  # none: not answered yet
    Column("body", LargeBinary),
    Column("location", String(300)),
)
