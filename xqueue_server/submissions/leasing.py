"""Handing submissions to graders: leases, renewals, and failures that graders report.

No two graders ever hold the same submission; a lease ends by a result, a reported failure or its
time, and an ended lease's key is still known (see `results`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from xqueue_server.errors import InvalidRequest, NotFound, WrongKey
from xqueue_server.instant import micros
from xqueue_server.keys import key_hash
from xqueue_server.models.account import Account, Role
from xqueue_server.models.fault import MAX_DETAIL_CHARS, FaultKind
from xqueue_server.models.grader import GraderChoice, NoSuchGrader
from xqueue_server.models.queue import Queue
from xqueue_server.models.submission import (
    HoldReason,
    LeasedSubmission,
    Line,
    Submission,
    SubmissionEvent,
)
from xqueue_server.storage import (
    Storage,
    Transaction,
    faults,
    leases,
    queues,
    submissions,
    transitions,
)
from xqueue_server.storage.leases import Claim, Head

GRADERS = frozenset({Role.GRADER})
WIRE_ROLES = frozenset({Role.LMS, Role.GRADER})
WRONG_KEY = "Incorrect key for submission"
SHORTEST_LEASE_S = 5
LONGEST_BACKOFF_S = 60

Choose = Callable[[Transaction, str, bytes, Claim], GraderChoice | None]
"""(the lease's transaction, queue, hash of the lease's key, what was leased) -> its grader."""


class FailureKind(StrEnum):
    PLATFORM = "platform"
    """The worker's sandbox or host failed: another try, no attempt burnt."""
    GRADER = "grader"
    """The course team's grader is broken: held for people at once."""


def queue_to_grade(tx: Transaction, account: Account, name: str) -> Queue:
    """Raises: NotFound, in the same words whether the queue is not there or not theirs."""
    queue = queues.find(tx, name) if account.may(GRADERS, name) else None
    if queue is None:
        raise NotFound(f"Queue '{name}' not found")
    return queue


def lease(
    storage: Storage,
    account: Account,
    queue: Queue,
    *,
    key: str,
    lease_s: float | None = None,
    request_id: str | None = None,
    is_retry: bool = False,
    choose: Choose | None = None,
    line: Line = Line.LEARNERS,
) -> LeasedSubmission | None:
    """Lease the next submission of the queue to this account; None if nothing waits.

    `lease_s` may shorten the queue's own term, not lengthen it. A retry (see `intake.accept`)
    gets back the lease that its first try has taken. `choose` (see `choosing`) says with which
    published grader it goes out; trials always go out with one, so their lines need it.

    Raises: StorageUnavailable.
    """
    choice: GraderChoice | None = None
    with storage.read() as tx:
        is_ready = leases.has_ready(tx, queue.name, line=line)
        if not (is_ready or is_retry or leases.has_delayed_due(tx)):
            return None
    hashed = key_hash(key)
    with storage.write_at_once() as tx:
        claim = leases.claimed_with(tx, hashed) if is_retry else None
        if claim is None and not is_ready:
            leases.make_due_ready(tx)
        claim = claim or leases.claim(
            tx,
            queue.name,
            key_hash=hashed,
            length_us=micros(term_s(queue, lease_s)),
            account=account.name,
            request_id=request_id,
            line=line,
        )
        if claim and choose:
            choice = choose(tx, queue.name, hashed, claim)
    if claim is None:
        return None
    return LeasedSubmission(
        submission_id=claim.submission_id,
        queue=queue.name,
        key=key,
        attempt=claim.attempt,
        lease_until=claim.lease_until,
        body=claim.body,
        files=claim.files,
        choice=choice,
        traceparent=claim.traceparent,
    )


def queues_in_turn(storage: Storage, lines: Mapping[str, Line]) -> Sequence[str]:
    """Of these queues, each with the line that is asked for, those that have something to lease:
    by their priority, then by whose next submission has arrived first.

    Raises: StorageUnavailable.
    """
    with storage.read() as tx:
        found = _heads(tx, lines)
        are_due = not found and leases.has_delayed_due(tx)
    if are_due:
        with storage.write_at_once() as tx:
            leases.make_due_ready(tx)
            found = _heads(tx, lines)
    found.sort(key=lambda head: (-head.queue_priority, head.arrived_at, head.queue))
    return [head.queue for head in found]


def _heads(tx: Transaction, lines: Mapping[str, Line]) -> list[Head]:
    heads: list[Head] = []
    for line in set(lines.values()):
        heads += leases.heads(tx, [name for name in lines if lines[name] is line], line=line)
    return heads


def term_s(queue: Queue, asked_s: float | None) -> float:
    """Length of a lease: the queue's own, or less if the client asks for less."""
    if asked_s is None:
        return queue.lease_s
    return min(queue.lease_s, max(asked_s, SHORTEST_LEASE_S))


def renew(
    storage: Storage,
    account: Account,
    submission_id: int,
    key: str,
    *,
    lease_s: float | None = None,
) -> float:
    """Let a lease run on from now; returns for how many seconds.

    Raises:
        NotFound: no such submission, as far as this account may know.
        WrongKey: the lease is lost, or was never held with this key.
    """
    with storage.write() as tx:
        submission = owned(tx, account, submission_id)
        granted_s = term_s(queues.get(tx, submission.queue), lease_s)
        if not leases.renew(tx, submission_id, key_hash=key_hash(key), length_us=micros(granted_s)):
            raise WrongKey(WRONG_KEY)
    return granted_s


def owned(tx: Transaction, account: Account, submission_id: int) -> Submission:
    """The submission, locked, if this account may grade its queue. Raises: NotFound."""
    submission = submissions.get_locked(tx, submission_id)
    if not account.may(GRADERS, submission.queue):
        raise NotFound("Submission does not exist")
    return submission


def report_failure(
    storage: Storage,
    account: Account,
    submission_id: int,
    key: str,
    *,
    kind: FailureKind,
    detail: str,
    request_id: str | None = None,
) -> None:
    """End a lease without a result.

    Raises:
        NotFound, WrongKey: as `renew`.
    """
    with storage.write() as tx:
        submission = owned(tx, account, submission_id)
        if submission.lease_key != key_hash(key):
            raise WrongKey(WRONG_KEY)
        if kind is FailureKind.GRADER:
            faults.record(tx, submission, FaultKind.GRADER, detail, key_hash=key_hash(key))
        end = _end_for_platform if kind is FailureKind.PLATFORM else _end_for_grader
        end(
            tx,
            submission,
            actor=f"account {account.name}",
            detail=detail[:MAX_DETAIL_CHARS],
            request_id=request_id,
        )


def hold_for_choice(
    storage: Storage, account: Account, leased: LeasedSubmission, *, request_id: str | None = None
) -> None:
    """Hold what was leased, because it asks for a grader that can not be handed out."""
    assert isinstance(leased.choice, NoSuchGrader)
    hashed = key_hash(leased.key)
    with storage.write() as tx:
        submission = submissions.get_locked(tx, leased.submission_id)
        if submission.lease_key != hashed:  # a retry: the first try has done it
            return
        detail = leased.choice.detail
        faults.record(tx, submission, FaultKind.UNKNOWN_GRADER, detail, key_hash=hashed)
        _end_for_grader(
            tx,
            submission,
            actor=f"account {account.name}",
            detail=detail,
            request_id=request_id,
        )


def _end_for_grader(
    tx: Transaction, submission: Submission, *, actor: str, detail: str, request_id: str | None
) -> None:
    transitions.change(
        tx,
        submission,
        SubmissionEvent.GRADER_FAILURE,
        actor=actor,
        detail=detail,
        request_id=request_id,
        held_reason=HoldReason.GRADER,
        held_detail=detail,
    )


def _end_for_platform(
    tx: Transaction, submission: Submission, *, actor: str, detail: str, request_id: str | None
) -> None:
    failures = submission.platform_failures + 1
    queue = queues.find(tx, submission.queue) or Queue(name=submission.queue)
    if failures >= queue.max_platform_failures:
        transitions.change(
            tx,
            submission,
            SubmissionEvent.PLATFORM_EXHAUST,
            actor=actor,
            detail=detail,
            request_id=request_id,
            platform_failures=failures,
            held_reason=HoldReason.PLATFORM,
            held_detail=detail,
        )
        return
    transitions.change(
        tx,
        submission,
        SubmissionEvent.PLATFORM_FAILURE,
        actor=actor,
        detail=detail,
        request_id=request_id,
        platform_failures=failures,
        available_in_us=micros(platform_backoff_s(failures)),
    )


def platform_backoff_s(failures: int) -> float:
    """Seconds to wait after this many platform failures of one submission: 1, 2, 4 … 60."""
    return float(min(LONGEST_BACKOFF_S, 2 ** min(failures - 1, 16)))


def failure_kind(text: str) -> FailureKind:
    """Raises: InvalidRequest for anything but the two kinds."""
    try:
        return FailureKind(text)
    except ValueError:
        raise InvalidRequest("kind must be 'platform' or 'grader'") from None
