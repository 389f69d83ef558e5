"""What time alone changes: leases that expire, back-offs that end, holds that last too long.

Every change locks its rows and checks them again, so any number of sweepers may run.
"""

from __future__ import annotations

from dataclasses import dataclass

from xqueue_server import metrics
from xqueue_server.ending import IsEnding, never
from xqueue_server.fault import FaultKind
from xqueue_server.holding import give_up_held
from xqueue_server.queue import Queue
from xqueue_server.storage import (
    Storage,
    Transaction,
    capping,
    faults,
    holds,
    leases,
    queues,
    submissions,
    transitions,
)
from xqueue_server.submission import HoldReason, Submission, SubmissionEvent

ACTOR = "sweeper"
BATCH = 100
"""Rows per transaction: short locks, and an interrupted sweep has done something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    returned: int = 0
    """Leases that expired and went back to their queue."""
    held: int = 0
    given_up: int = 0
    queues_with_work: frozenset[str] = frozenset()
    """Queues in which something became ready that was not."""


def sweep(storage: Storage, *, is_ending: IsEnding = never) -> SweepReport:
    """Do everything that is due now. Raises: StorageUnavailable."""
    returned, held = _expire_leases(storage, is_ending)
    ready = _end_backoffs(storage)
    given_up = _give_up_old_holds(storage, is_ending)
    unblocked = _unblock(storage, is_ending)
    return SweepReport(
        returned=len(returned),
        held=held,
        given_up=given_up,
        queues_with_work=frozenset(returned) | ready | unblocked,
    )


def _expire_leases(storage: Storage, is_ending: IsEnding) -> tuple[list[str], int]:
    """Queue names of those that went back, and how many were held instead."""
    returned: list[str] = []
    held = 0
    while True:
        with storage.read() as tx:
            if not leases.has_expired(tx):
                return returned, held
        expired: list[str] = []
        with storage.write() as tx:
            ids = leases.lock_expired(tx, BATCH)
            for submission_id in ids:
                submission = submissions.get_locked(tx, submission_id)
                expired.append(submission.queue)
                if _expire(tx, submission):
                    returned.append(submission.queue)
                elif not submission.is_regrade:  # that has its old grade again
                    held += 1
        for queue in expired:
            metrics.LEASES_EXPIRED.labels(queue).inc()
        if not ids or is_ending():  # none: another sweeper has them
            return returned, held


def _expire(tx: Transaction, submission: Submission) -> bool:
    """True if it went back to its queue, False if it is held now."""
    queue = queues.find(tx, submission.queue) or Queue(name=submission.queue)
    if submission.attempt < queue.max_attempts:
        transitions.change(
            tx, submission, SubmissionEvent.EXPIRE, actor=ACTOR, attempt=submission.attempt + 1
        )
        return True
    detail = f"{submission.attempt} leases expired without a result"
    faults.record(tx, submission, FaultKind.ATTEMPTS, detail, key_hash=submission.lease_key)
    transitions.change(
        tx,
        submission,
        SubmissionEvent.EXHAUST,
        actor=ACTOR,
        held_reason=HoldReason.ATTEMPTS,
        held_detail=detail,
    )
    return False


def _end_backoffs(storage: Storage) -> frozenset[str]:
    with storage.read() as tx:
        if not leases.has_delayed_due(tx):
            return frozenset()
    with storage.write() as tx:
        return leases.make_due_ready(tx)


def _unblock(storage: Storage, is_ending: IsEnding) -> frozenset[str]:
    """Queue names of what a crash, a changed cap or another version had left blocked."""
    unblocked: frozenset[str] = frozenset()
    while True:
        with storage.read() as tx:
            if not capping.has_blocked_in_vain(tx):
                return unblocked
        with storage.write() as tx:
            now = capping.unblock_where_possible(tx, BATCH, actor=ACTOR)
        unblocked |= now
        if not now or is_ending():  # none: others were faster
            return unblocked


def _give_up_old_holds(storage: Storage, is_ending: IsEnding) -> int:
    given_up = 0
    while True:
        with storage.read() as tx:
            if not holds.has_hold_to_end(tx):
                return given_up
        with storage.write() as tx:
            ids = holds.lock_holds_to_end(tx, BATCH)
            for submission_id in ids:
                give_up_held(tx, submissions.get_locked(tx, submission_id), actor=ACTOR)
        given_up += len(ids)
        if not ids or is_ending():
            return given_up
