"""Tables, indexes and the predicates that queries share with the partial indexes.

Text that others chose (headers, bodies) is stored as UTF-8 bytes: PostgreSQL text can not hold
NUL, and a learner may send one. Instants are BIGINT microseconds, so that one arithmetic serves
both databases.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Dialect,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    TypeDecorator,
    false,
    literal_column,
    true,
)
from sqlalchemy.sql import and_

from xqueue_server.instant import from_datetime, to_datetime
from xqueue_server.models.submission import TRIAL_PRIORITY

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """Aware UTC datetime in Python, microseconds since 1970 in the database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return None if value is None else from_datetime(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else to_datetime(value)


class Utf8(TypeDecorator[str]):
    """Any text, stored as bytes."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else value.encode()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        return None if value is None else bytes(value).decode()


# SQLite gives row ids by itself only to a column declared exactly INTEGER PRIMARY KEY.
RowId = BigInteger().with_variant(Integer(), "sqlite")


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    quoted = ", ".join(f"'{v}'" for v in values)
    return CheckConstraint(f"{column} IN ({quoted})", name=column)


ROLES = ("lms", "grader", "viewer", "author", "operator", "admin")

queues = Table(
    "queues",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("lease_s", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("give_up_after_s", Integer, nullable=False),
    Column("max_platform_failures", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    # Among the queues that one worker serves together: higher first.
    Column("priority", SmallInteger, nullable=False, server_default="0"),
    Column("learner_cap", Integer),  # of one learner, waiting in line and leased; null: no cap
    Column("paused_at", Instant),  # null: not paused
    Column("paused_by", String(160)),
    Column("paused_reason", Utf8),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("password_hash", String(512), nullable=False),
    Column("email", String(254)),  # by which an LMS knows who reviews
    Column("credential_version", Integer, nullable=False, server_default="1"),
    Column("active", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    sqlite_autoincrement=True,  # a session names an account's id: it must never mean another one
)

grants = Table(
    "grants",
    metadata,
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(16), primary_key=True),
    Column("queue", String(128), primary_key=True),
    one_of("role", ROLES),
)

submissions = Table(
    "submissions",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("queue", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("platform_failures", Integer, nullable=False),
    Column("available_at", Instant),  # null: now
    Column("arrived_at", Instant, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("submitted_by", String(128), nullable=False),
    Column("callback_url", Utf8, nullable=False),
    Column("lms_key", Utf8, nullable=False),
    Column("learner_submitted_at", Instant),
    Column("lease_key", LargeBinary(32)),  # sha256 of the current key
    Column("lease_until", Instant),
    Column("leased_by", String(128)),
    Column("accepted_key", LargeBinary(32)),
    Column("held_reason", String(16)),
    Column("held_detail", Utf8),
    Column("held_at", Instant),
    Column("ended_at", Instant),
    # Whose it is, read off the callback URL (see `callback_url`); "": not an LMS's address.
    Column("course", String(255), nullable=False, server_default=""),
    Column("learner", String(64), nullable=False, server_default=""),
    # Among equal priorities the smallest is next: a virtual time in which each course of a queue
    # that has work advances equally, by its weight (see `ordering`).
    Column("turn", BigInteger, nullable=False, server_default="0"),
    Column("is_capped", Boolean, nullable=False, server_default=false()),  # counts to a cap
    Column("is_blocked", Boolean, nullable=False, server_default=false()),  # waits for the cap
    Column("exam_id", RowId),  # null: it belongs to none
    one_of("state", ("queued", "leased", "graded", "held", "superseded", "given_up")),
    sqlite_autoincrement=True,  # an id is never given twice, even after a deletion
)

# Literals, not parameters: neither database uses a partial index for a predicate with parameters.
_state = submissions.c.state
_is_queued = _state == literal_column("'queued'")


def is_ready(columns: Any) -> ColumnElement[bool]:
    """Of `submissions.c`, or of an alias of the table."""
    return and_(
        columns.state == literal_column("'queued'"),
        columns.available_at.is_(None),
        columns.is_blocked.is_(false()),
    )


def is_capped(columns: Any) -> ColumnElement[bool]:
    """What of a learner counts to the queue's cap; of the table or an alias."""
    return and_(
        columns.is_capped.is_(true()),
        columns.is_blocked.is_(false()),
        columns.state.in_([literal_column("'queued'"), literal_column("'leased'")]),
    )


IS_READY = is_ready(submissions.c)
IS_BLOCKED = submissions.c.is_blocked.is_(true())
IS_CAPPED = is_capped(submissions.c)
IS_OF_LEARNER = submissions.c.priority > literal_column(str(TRIAL_PRIORITY))
IS_TRIAL = submissions.c.priority == literal_column(str(TRIAL_PRIORITY))
IS_DELAYED = and_(_is_queued, submissions.c.available_at.is_not(None))
IS_LEASED = _state == literal_column("'leased'")
IS_HELD = _state == literal_column("'held'")
IS_UNFINISHED = _state.in_([literal_column(f"'{s}'") for s in ("queued", "leased", "held")])


def _partial(name: str, *columns: Any, where: Any) -> Index:
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


_partial(
    "ix_submissions_line",
    submissions.c.queue,
    submissions.c.priority.desc(),
    submissions.c.turn,
    submissions.c.id,
    where=IS_READY,
)
_partial(
    "ix_submissions_course",
    submissions.c.queue,
    submissions.c.priority,
    submissions.c.course,
    submissions.c.turn,
    where=IS_READY,
)
_partial(
    "ix_submissions_blocked",
    submissions.c.queue,
    submissions.c.learner,
    submissions.c.id,
    where=IS_BLOCKED,
)
_partial("ix_submissions_capped", submissions.c.queue, submissions.c.learner, where=IS_CAPPED)
_partial("ix_submissions_delayed", submissions.c.available_at, where=IS_DELAYED)
_partial("ix_submissions_leased", submissions.c.lease_until, where=IS_LEASED)
_partial("ix_submissions_held", submissions.c.held_at, where=IS_HELD)

contents = Table(
    "contents",
    metadata,
    Column("submission_id", RowId, ForeignKey("submissions.id"), primary_key=True),
    Column("header", Utf8, nullable=False),
    Column("body", Utf8, nullable=False),
    Column("files", Utf8),  # JSON list of {name, blob, size_bytes}; null: none
    Column("supersede_key", LargeBinary(16)),
    # The same as beside the state, and the problem: for people who look. Indexed here, where rows
    # are never changed; there, every lease would write these indexes anew.
    Column("course", String(255), nullable=False, server_default=""),
    Column("learner", String(64), nullable=False, server_default=""),
    Column("problem", String(255), nullable=False, server_default=""),
    Column("traceparent", String(64)),  # W3C trace context of the LMS's request
)
Index("ix_contents_course", contents.c.course, contents.c.submission_id)
Index("ix_contents_problem", contents.c.problem, contents.c.submission_id)
Index("ix_contents_learner", contents.c.learner, contents.c.submission_id)
# Here and not beside the state: a key is random, and a claim would write its index anew each time.
_partial(
    "ix_contents_supersede_key",
    contents.c.supersede_key,
    where=contents.c.supersede_key.is_not(None),
)

leases = Table(
    "leases",
    metadata,
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("submission_id", RowId, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("leased_by", String(128), nullable=False),
    Column("leased_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

results = Table(
    "results",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("submission_id", RowId, nullable=False, index=True),
    Column("key_hash", LargeBinary(32), nullable=False),
    Column("body", Utf8, nullable=False),
    Column("disposition", String(16), nullable=False),
    Column("sent_by", String(128), nullable=False),
    Column("received_at", Instant, nullable=False),
    # The worker said so: where it has a grader of its own, nobody else knows.
    Column("forgeable", Boolean, nullable=False, server_default=false()),
    one_of("disposition", ("accepted", "amended", "rejected", "unused")),
)

callbacks = Table(
    "callbacks",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("submission_id", RowId, index=True),  # null: about an exam attempt
    Column("attempt_id", RowId),
    Column("result_id", RowId, unique=True),
    Column("kind", String(16), nullable=False),
    Column("url", Utf8, nullable=False),
    Column("origin", String(300), nullable=False),
    Column("order_key", LargeBinary(16), nullable=False),
    Column("header", Utf8, nullable=False),
    Column("body", Utf8, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),  # tries begun
    Column("next_at", Instant),  # null once finished
    Column("claim_token", LargeBinary(16)),
    Column("created_at", Instant, nullable=False),
    Column("retry_from", Instant, nullable=False),  # start of the 72 h; a replay renews it
    Column("finished_at", Instant),
    Column("last_status", Integer),
    Column("last_error", Utf8),
    one_of("state", ("pending", "withheld", "delivered", "dead", "cancelled")),
    one_of("kind", ("result", "give_up", "lms", "provider", "event", "webhook")),
    sqlite_autoincrement=True,
)

_partial(
    "ix_callbacks_attempt_id",
    callbacks.c.attempt_id,
    where=callbacks.c.attempt_id.is_not(None),
)
IS_WITHHELD = callbacks.c.state == literal_column("'withheld'")
IS_PENDING = callbacks.c.state == literal_column("'pending'")
_partial("ix_callbacks_due", callbacks.c.next_at, where=IS_PENDING)
_partial("ix_callbacks_order", callbacks.c.order_key, callbacks.c.id, where=IS_PENDING)
_partial(
    "ix_callbacks_origin",
    callbacks.c.origin,
    callbacks.c.next_at,
    callbacks.c.id,
    where=IS_PENDING,
)
IS_DEAD = callbacks.c.state == literal_column("'dead'")
_partial("ix_callbacks_dead", callbacks.c.origin, callbacks.c.id, where=IS_DEAD)

callback_attempts = Table(
    "callback_attempts",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("callback_id", RowId, nullable=False, index=True),
    Column("started_at", Instant, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("status", Integer),
    Column("error", Utf8),
    Column("response", Utf8),  # the first 2 KB
)

origins = Table(
    "origins",
    metadata,
    Column("origin", String(300), primary_key=True),
    Column("failures", Integer, nullable=False),  # network or 5xx, in a row
    Column("first_failure_at", Instant),
    Column("open_since", Instant),  # null: breaker closed
    Column("probe_at", Instant),  # when the next single try is allowed
)

events = Table(
    "events",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("submission_id", RowId, index=True),
    Column("subject", String(160), nullable=False),  # e.g. "submission 17", "callback 3", "queue q"
    Column("actor", String(160), nullable=False),
    Column("from_state", String(16)),
    Column("to_state", String(16)),
    Column("why", String(32), nullable=False),
    Column("detail", Utf8),
    Column("request_id", String(64)),
)
Index("ix_events_actor", events.c.actor, events.c.id)
# Those of submissions are found by their ids, and are nearly all that there are.
_partial(
    "ix_events_subject",
    events.c.subject,
    events.c.id,
    where=events.c.submission_id.is_(None),
)

# One row: the oldest revision whose programs the present schema leaves able to work.
schema_compatibility = Table(
    "schema_compatibility",
    metadata,
    Column("works_from", String(32), primary_key=True),
)
