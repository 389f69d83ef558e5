"""Leases: who may grade which submission until when.

`claim` has two forms. On PostgreSQL the row is picked in a CTE with SKIP LOCKED, so that claimers
pass each other, and all is one statement; on SQLite the transaction already holds the only write
lock, and a statement costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Select,
    String,
    bindparam,
    exists,
    insert,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from xqueue_server.models.submission import (
    TRIAL_PRIORITY,
    FileReference,
    Line,
    SubmissionEvent,
    SubmissionState,
)
from xqueue_server.storage import events
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.ordering import at_the_head
from xqueue_server.storage.schema import (
    IS_DELAYED,
    IS_LEASED,
    IS_OF_LEARNER,
    IS_READY,
    IS_TRIAL,
    contents,
    leases,
    queues,
    submissions,
)
from xqueue_server.storage.submissions import files_from_json

DUE_AT_ONCE = 1000
"""Back-offs that one claim ends: somebody waits for its answer."""

# Always in index order: a bare EXISTS or LIMIT, PostgreSQL may answer by reading the table from its
# oldest row on, past all the history, in the belief that a ready row must come soon.
_IN_LINE = (
    select(submissions.c.id)
    .where(IS_READY)
    .order_by(submissions.c.priority.desc(), submissions.c.turn, submissions.c.id)
    .limit(1)
)
_IN_ITS_LINE = {
    Line.LEARNERS: _IN_LINE.where(IS_OF_LEARNER),
    Line.ALL: _IN_LINE,
    Line.TRIALS: _IN_LINE.where(IS_TRIAL),
}
# In the claim itself, so that nothing is handed out once a pause is stored; asked once, not by row.
_is_paused = exists().where(queues.c.name == bindparam("q"), queues.c.paused_at.is_not(None))
_NEXT = {
    line: found.where(submissions.c.queue == bindparam("q"), ~_is_paused)
    for line, found in _IN_ITS_LINE.items()
}


def _claim(picked: Any) -> ReturningUpdate[Any]:
    return (
        update(submissions)
        .where(submissions.c.id == picked)
        .values(
            state=literal_column("'leased'"),
            lease_key=bindparam("key_hash"),
            lease_until=NOW + bindparam("length_us"),
            leased_by=bindparam("account"),
        )
        .returning(
            submissions.c.id,
            submissions.c.attempt,
            submissions.c.lease_until,
            submissions.c.priority,
        )
    )


_RECORD = insert(leases).values(leased_at=NOW)


def _claim_at_once(next_ready: Select[Any]) -> Select[Any]:
    """The claim, its records and the contents in one statement, for PostgreSQL.

    There every statement is a round trip, which costs more than what it does.
    """
    # The fence keeps the planner from joining over the LIMIT and updating more rows than asked.
    picked = next_ready.with_for_update(skip_locked=True).cte("picked")
    claimed = _claim(picked.c.id).cte("claimed")
    lease = {
        "key_hash": bindparam("key_hash"),
        "submission_id": claimed.c.id,
        "attempt": claimed.c.attempt,
        "leased_by": bindparam("account", type_=String()),
        "leased_at": NOW,
    }
    recorded = insert(leases).from_select(list(lease), select(*lease.values()))
    noted = events.insert_of_submission(
        claimed.c.id,
        from_state=SubmissionState.QUEUED,
        to_state=SubmissionState.LEASED,
        why=SubmissionEvent.LEASE,
    )
    return (
        select(claimed, contents.c.body, contents.c.files, contents.c.traceparent)
        .join(contents, contents.c.submission_id == claimed.c.id)
        .add_cte(recorded.cte("recorded"), noted.cte("noted"))
    )


_CLAIM_SQLITE = {line: _claim(found.scalar_subquery()) for line, found in _NEXT.items()}
_CLAIM_POSTGRES = {line: _claim_at_once(found) for line, found in _NEXT.items()}
_FIND = select(leases.c.submission_id).where(leases.c.key_hash == bindparam("key_hash"))
_CONTENTS = select(contents.c.body, contents.c.files, contents.c.traceparent).where(
    contents.c.submission_id == bindparam("of")
)
_PRESENT = select(
    submissions.c.id, submissions.c.attempt, submissions.c.lease_until, submissions.c.priority
).where(submissions.c.lease_key == bindparam("key_hash"), submissions.c.id == bindparam("of"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    submission_id: int
    attempt: int
    lease_until: datetime
    is_trial: bool
    body: str
    files: tuple[FileReference, ...]
    traceparent: str | None


def has_ready(tx: Transaction, queue: str, *, line: Line = Line.LEARNERS) -> bool:
    """Whether a claim would probably find something: one index probe, no lock."""
    return tx.one(_NEXT[line], q=queue) is not None


def claim(
    tx: Transaction,
    queue: str,
    *,
    key_hash: bytes,
    length_us: int,
    account: str,
    request_id: str | None = None,
    line: Line = Line.LEARNERS,
) -> Claim | None:
    """Lease the next submission: highest priority first, then by turn (see `ordering`)."""
    terms = {"q": queue, "key_hash": key_hash, "length_us": length_us, "account": account}
    actor = f"account {account}"
    if tx.is_postgres:
        row = tx.one(
            _CLAIM_POSTGRES[line],
            now=tx.now,
            event_actor=actor,
            event_request=request_id,
            **terms,
        )
        return _claimed(row, row) if row else None
    row = tx.one(_CLAIM_SQLITE[line], now=tx.now, **terms)
    if row is None:
        return None
    tx.run(
        _RECORD,
        key_hash=key_hash,
        submission_id=row.id,
        attempt=row.attempt,
        leased_by=account,
        now=tx.now,
    )
    events.submission_changed(
        tx,
        row.id,
        SubmissionState.QUEUED,
        SubmissionState.LEASED,
        actor=actor,
        why=SubmissionEvent.LEASE,
        request_id=request_id,
    )
    return _claimed(row, tx.one(_CONTENTS, of=row.id))


def _claimed(row: Any, content: Any) -> Claim:
    return Claim(
        submission_id=row.id,
        attempt=row.attempt,
        lease_until=row.lease_until,
        is_trial=row.priority == TRIAL_PRIORITY,
        body=content.body,
        files=files_from_json(content.files),
        traceparent=content.traceparent,
    )


def claimed_with(tx: Transaction, key_hash: bytes) -> Claim | None:
    """The lease that an earlier try of the same request has taken, if it still stands."""
    submission_id = tx.scalar(_FIND, key_hash=key_hash)
    row = tx.one(_PRESENT, of=submission_id, key_hash=key_hash)
    return _claimed(row, tx.one(_CONTENTS, of=row.id)) if row else None


def was_issued(tx: Transaction, key_hash: bytes, submission_id: int) -> bool:
    """Whether this key was ever given out for this submission."""
    return bool(tx.scalar(_FIND, key_hash=key_hash) == submission_id)


# -- keeping and ending --------------------------------------------------------------------------

_RENEW = (
    update(submissions)
    .where(
        submissions.c.id == bindparam("of"),
        IS_LEASED,
        submissions.c.lease_key == bindparam("key_hash"),
    )
    .values(lease_until=NOW + bindparam("length_us"))
)
_EXPIRED = (
    select(submissions.c.id)
    .where(IS_LEASED, submissions.c.lease_until <= ONCE_NOW)
    .order_by(submissions.c.lease_until)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_HAS_EXPIRED = select(literal(1)).where(
    exists().where(IS_LEASED, submissions.c.lease_until <= ONCE_NOW)
)


def renew(tx: Transaction, submission_id: int, *, key_hash: bytes, length_us: int) -> bool:
    """Let the present lease run `length_us` from now; False if this key does not hold it."""
    return bool(
        tx.run(_RENEW, of=submission_id, key_hash=key_hash, length_us=length_us, now=tx.now)
    )


def lock_expired(tx: Transaction, most: int) -> Sequence[int]:
    """Ids of submissions whose lease has run out, locked until the transaction ends."""
    return [row.id for row in tx.all(_EXPIRED, most=most, now=tx.now)]


def has_expired(tx: Transaction) -> bool:
    return tx.one(_HAS_EXPIRED, now=tx.now) is not None


# -- delayed submissions -------------------------------------------------------------------------

_HAS_DUE = select(literal(1)).where(
    exists().where(IS_DELAYED, submissions.c.available_at <= ONCE_NOW)
)
_due = (
    select(submissions.c.id)
    .where(IS_DELAYED, submissions.c.available_at <= ONCE_NOW)
    .order_by(submissions.c.available_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_PROMOTE = (
    update(submissions)
    .where(submissions.c.id.in_(select(_due.c.id)))
    .values(available_at=None, turn=at_the_head())
    .returning(submissions.c.queue)
)


def has_delayed_due(tx: Transaction) -> bool:
    """Whether a backed-off submission may be leased again."""
    return tx.one(_HAS_DUE, now=tx.now) is not None


def make_due_ready(tx: Transaction) -> frozenset[str]:
    """Put back into the line what has waited out its back-off, the first `DUE_AT_ONCE` that nobody
    has locked; returns the queues concerned.

    Ready rows alone are in the index that claims walk, so that a thousand backed-off submissions
    at its head cost nothing.
    """
    return frozenset(row.queue for row in tx.all(_PROMOTE, most=DUE_AT_ONCE, now=tx.now))


# -- waiting -------------------------------------------------------------------------------------


@cache
def _ready_among(count: int, line: Line) -> Select[Any]:
    names: list[BindParameter[str]] = [bindparam(f"q{i}", type_=String()) for i in range(count)]
    in_line = _IN_ITS_LINE[line]
    first = in_line.where(submissions.c.queue == queues.c.name).correlate(queues).scalar_subquery()
    return select(queues.c.name).where(
        queues.c.name.in_(names), queues.c.paused_at.is_(None), first.is_not(None)
    )


def queues_with_ready(
    tx: Transaction, names: Collection[str], *, line: Line = Line.LEARNERS
) -> set[str]:
    """Those of `names` that have a submission to lease: one index probe each."""
    params = {f"q{i}": name for i, name in enumerate(sorted(names))}
    return {row.name for row in tx.all(_ready_among(len(params), line), **params)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is next in a queue."""

    queue: str
    queue_priority: int
    arrived_at: datetime


def heads(tx: Transaction, names: Collection[str], *, line: Line = Line.LEARNERS) -> Sequence[Head]:
    """Of those of `names` that have a submission to lease: one index probe each."""
    params = {f"q{i}": name for i, name in enumerate(sorted(names))}
    return [Head(**row._mapping) for row in tx.all(_heads_among(len(params), line), **params)]


@cache
def _heads_among(count: int, line: Line) -> Select[Any]:
    """As `_ready_among`, with what decides among queues."""
    found = (
        _IN_ITS_LINE[line]
        .with_only_columns(submissions.c.arrived_at)
        .where(submissions.c.queue == queues.c.name)
        .correlate(queues)
        .scalar_subquery()
    )
    names: list[BindParameter[str]] = [bindparam(f"q{i}", type_=String()) for i in range(count)]
    each = (
        select(
            queues.c.name.label("queue"),
            queues.c.priority.label("queue_priority"),
            found.label("arrived_at"),
        )
        .where(queues.c.name.in_(names), queues.c.paused_at.is_(None))
        .subquery()
    )
    return select(each).where(each.c.arrived_at.is_not(None))
