"""What time alone changes: leases that expire, back-offs that end, holds that last too long.

Every change locks its rows and checks them again, so any number of sweepers may run.
"""

from __future__ import annotations

from dataclasses import dataclass

from xqueue_server.ending import IsEnding, never
from xqueue_server.models.fault import FaultKind
from xqueue_server.models.queue import Queue
from xqueue_server.models.submission import HoldReason, Submission, SubmissionEvent
from xqueue_server.monitoring import metrics
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
from xqueue_server.submissions.holding import give_up_held

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
    _show_queues(storage)
    returned, held = _expire_leases(storage, is_ending)
    ready = _end_backoffs(storage, is_ending)
    given_up = _give_up_old_holds(storage, is_ending)
    unblocked = _unblock(storage, is_ending)
    return SweepReport(
        returned=len(returned),
        held=held,
        given_up=given_up,
        queues_with_work=frozenset(returned) | ready | unblocked,
    )


def _show_queues(storage: Storage) -> None:
    """Count from 0: for Prometheus a number out of nowhere is no increase."""
    with storage.read() as tx:
        for queue in queues.all_queues(tx):
            metrics.LEASES_EXPIRED.labels(queue.name)


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
                    continue
                if not submission.is_regrade:  # that has its old grade again
                    held += 1
                break  # one fault for each transaction, see `engine`; the rest comes next
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


def _end_backoffs(storage: Storage, is_ending: IsEnding) -> frozenset[str]:
    ready: frozenset[str] = frozenset()
    while True:
        with storage.read() as tx:
            if not leases.has_delayed_due(tx):
                return ready
        with storage.write() as tx:
            now = leases.make_due_ready(tx)
        ready |= now
        if not now or is_ending():  # none: others have them
            return ready


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
