"""Tables of publishing: bundles, graders and their versions, tokens, trials, faults.

Nothing here is on the way of a submission whose worker does not ask for a published grader.
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

bundles = Table(
    "bundles",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the content, hexadecimal
    Column("content", LargeBinary, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("stored_at", Instant, nullable=False),
)

bundle_uploads = Table(  # who has proven to have it: a digest alone opens nothing
    "bundle_uploads",
    metadata,
    Column(
        "digest", String(64), ForeignKey("bundles.digest", ondelete="CASCADE"), primary_key=True
    ),
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("stored_at", Instant, nullable=False),
)

graders = Table(
    "graders",
    metadata,
    Column("queue", String(128), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("active", Integer),  # null: no version is in use
    Column("latest", Integer, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
)

grader_versions = Table(
    "grader_versions",
    metadata,
    Column("queue", String(128), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String(64), index=True),
    Column("image", String(512)),
    Column("manifest", Utf8, nullable=False),  # JSON, as it was published
    Column("isolation", String(32)),
    Column("published_by", String(128), nullable=False),
    Column("published_at", Instant, nullable=False),
)

queue_policies = Table(  # no row: the settings' ceilings, nothing more allowed, nobody notified
    "queue_policies",
    metadata,
    Column("queue", String(128), primary_key=True),
    Column("max_wall_s", Float),
    Column("max_memory_bytes", BigInteger),
    Column("max_cpus", Float),
    Column("max_pids", Integer),
    Column("max_output_bytes", Integer),
    Column("legacy_reason", Utf8),  # null: isolation "none" is refused
    Column("isolation", String(32)),  # of graders that leave it open; null: the host's default
    Column("runtime", String(16)),
    Column("webhook_url", Utf8),
    Column("email", String(320)),
)

readiness = Table(
    "readiness",
    metadata,
    Column("queue", String(128), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("host", String(128), primary_key=True),
    Column("is_ready", Boolean, nullable=False),
    Column("problem", Utf8),
    Column("at", Instant, nullable=False),
    Column("image_created", Instant),  # the base of what it runs in; null: nobody knows
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("hash", LargeBinary(32), nullable=False, unique=True),  # sha256 of the token
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(160), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    Column("revoked_at", Instant),
    sqlite_autoincrement=True,  # "token 3" in the events must never mean another one
)

token_scopes = Table(
    "token_scopes",
    metadata,
    Column("token_id", RowId, ForeignKey("api_tokens.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(16), primary_key=True),
    Column("queue", String(128), primary_key=True),
)

trials = Table(
    "trials",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("submission_id", RowId, nullable=False, unique=True),
    Column("account_id", RowId, nullable=False),
    Column("token_id", RowId),
    Column("queue", String(128), nullable=False),
    Column("name", String(63), nullable=False),
    Column("digest", String(64), index=True),
    Column("image", String(512)),
    Column("manifest", Utf8, nullable=False),
    Column("record", Utf8),
    Column("created_at", Instant, nullable=False, index=True),
    sqlite_autoincrement=True,  # a poller must never see another one's trial
)

lease_graders = Table(  # which version was handed out with which lease
    "lease_graders",
    metadata,
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("submission_id", RowId, nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("grader", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("isolation", String(32)),  # null: the host's default
    Column("at", Instant, nullable=False),
)

faults = Table(
    "faults",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("kind_key", LargeBinary(16), nullable=False, unique=True),
    Column("queue", String(128), nullable=False, index=True),
    Column("grader", String(63)),
    Column("version", Integer),
    Column("kind", String(16), nullable=False),
    Column("signature", Utf8, nullable=False),
    Column("count", Integer, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("detail", Utf8, nullable=False),  # of the first one
    sqlite_autoincrement=True,
)

fault_submissions = Table(
    "fault_submissions",
    metadata,
    Column("fault_id", RowId, primary_key=True),
    Column("submission_id", RowId, primary_key=True),
    Column("at", Instant, nullable=False),
)

notifications = Table(
    "notifications",
    metadata,
    Column("id", RowId, Identity(), primary_key=True),
    Column("fault_id", RowId, nullable=False),
    Column("channel", String(16), nullable=False),
    Column("target", Utf8, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("next_at", Instant),
    Column("claim_token", LargeBinary(16)),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("last_error", Utf8),
    one_of("channel", ("webhook", "email")),
    one_of("state", ("pending", "sent", "dead")),
    sqlite_autoincrement=True,  # a receiver of webhooks tells them apart by this id
)
IS_TO_SEND = notifications.c.state == literal_column("'pending'")
Index(
    "ix_notifications_due",
    notifications.c.next_at,
    sqlite_where=IS_TO_SEND,
    postgresql_where=IS_TO_SEND,
)

test_counts = Table(
    "test_counts",
    metadata,
    Column("queue", String(128), primary_key=True),
    Column("grader", String(63), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("test_id", String(64), primary_key=True),
    Column("status", String(16), primary_key=True),
    Column("count", Integer, nullable=False),
)
