"""Taking a result from a grader and queueing its callback, in one transaction.

    arrives with                                     | what happens
    -------------------------------------------------|------------------------------------------
    the current key                                  | graded, callback queued
    the accepted key, same bytes                     | nothing changes
    the key of a refused result, the same again      | nothing changes
    the accepted key, other bytes                    | replaces an undelivered callback, else
                                                     | queues a new one (the reference's "amend")
    an expired key; submission queued or held        | accepted, hold cleared
    an expired key; leased to another, or graded     | WrongKey
    any issued key; superseded or given up           | kept, no callback

A result that the LMS would refuse is never sent: the submission is held as the grader's fault.
Where an exam claims the submission, its callback may be withheld (see `exams`); the LMS has not got
what is withheld, and whatever replaces it is withheld, too.

While a submission that has a grade is graded anew (a regrade: queued or leased, with an accepted
key), the old grade is never touched:

    arrives with                                     | what happens
    -------------------------------------------------|------------------------------------------
    the current key                                  | graded: both results are kept, the new one
                                                     | replaces an undelivered callback; if the LMS
                                                     | has taken the old one, nothing is sent
    a key of this regrade that has expired; queued   | the same
    either of them, but the LMS would refuse it      | graded with the old result, regrade failed
    the accepted key, other bytes                    | amends the old result, as if graded
    a key of before the regrade                      | WrongKey: perhaps of an older grader

Afterwards the accepted key is the new one's; an amendment with it is not sent either where the LMS
has kept the old grade. All of a row of these tables is one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from xqueue_server.errors import WrongKey
from xqueue_server.keys import key_hash
from xqueue_server.models.account import Account
from xqueue_server.models.callback import CallbackKind, NewCallback, order_key
from xqueue_server.models.fault import FaultKind
from xqueue_server.models.lms_interface import grade_in, why_refused
from xqueue_server.models.submission import HoldReason, Submission, SubmissionEvent, SubmissionState
from xqueue_server.monitoring import metrics
from xqueue_server.settings import origin_of
from xqueue_server.storage import (
    Storage,
    Transaction,
    callbacks,
    events,
    faults,
    leases,
    regrades,
    submissions,
    timings,
    transitions,
    trials,
)
from xqueue_server.storage import results as stored
from xqueue_server.storage.regrades import Comparison
from xqueue_server.storage.results import Disposition, Result
from xqueue_server.storage.timings import WorkerTimes
from xqueue_server.submissions import exams
from xqueue_server.submissions.leasing import WRONG_KEY, owned


class KeyStanding(StrEnum):
    """What a submission key is worth now."""

    CURRENT = "current"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    EARLIER = "earlier"
    """Of a lease before the regrade that runs now."""
    FOREIGN = "foreign"
    """Never issued for this submission."""


class Handling(StrEnum):
    """What is done with a result."""

    GRADE = "grade"
    AMEND = "amend"
    KEEP = "keep"
    REFUSE = "refuse"


_K, _S, _H = KeyStanding, SubmissionState, Handling

HANDLING: dict[tuple[KeyStanding, SubmissionState], Handling] = {
    (_K.CURRENT, _S.LEASED): _H.GRADE,
    (_K.ACCEPTED, _S.GRADED): _H.AMEND,
    (_K.ACCEPTED, _S.QUEUED): _H.AMEND,
    (_K.ACCEPTED, _S.LEASED): _H.AMEND,
    (_K.EXPIRED, _S.QUEUED): _H.GRADE,
    (_K.EXPIRED, _S.HELD): _H.GRADE,
    (_K.EXPIRED, _S.SUPERSEDED): _H.KEEP,
    (_K.EXPIRED, _S.GIVEN_UP): _H.KEEP,
}
"""The tables above; whatever is not here is refused as a wrong key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingResult:
    submission_id: int
    key: str = field(repr=False)
    body: str = field(repr=False)
    request_id: str | None = None
    record: str | None = field(default=None, repr=False)
    """The worker's account of each test (see `recording`); kept for a trial's author."""
    forgeable: bool = False
    """The worker says that the learner's own code could have written it."""
    times: WorkerTimes = field(default_factory=WorkerTimes)


def receive(storage: Storage, account: Account, result: IncomingResult) -> Disposition | None:
    """Store a result and what follows from it. Safe to repeat.

    Returns what was made of it; None if nothing changed, because it came before.

    Raises:
        NotFound: no such submission, as far as this account may know.
        WrongKey: the key is not valid for this submission any more, or never was.
        StorageUnavailable
    """
    with storage.write() as tx:
        submission = owned(tx, account, result.submission_id)
        standing = key_standing(tx, submission, key_hash(result.key))
        handling = HANDLING.get((standing, submission.state), Handling.REFUSE)
        if handling is Handling.REFUSE:
            if standing is KeyStanding.EXPIRED and _ended_a_regrade(tx, submission, result):
                return None
            if standing is not KeyStanding.FOREIGN:
                metrics.STALE_RESULTS.labels(submission.queue).inc()
            raise WrongKey(WRONG_KEY)
        if standing is not KeyStanding.CURRENT and _is_repeated(tx, result):
            return None
        disposition = _HANDLERS[handling](tx, submission, result, account)
    _count(submission, disposition)
    return disposition


def _count(submission: Submission, disposition: Disposition | None) -> None:
    if submission.is_trial or disposition is None:
        return
    metrics.RESULTS.labels(submission.queue, disposition).inc()
    stale = metrics.STALE_RESULTS.labels(submission.queue)  # from now on it is shown, if only as 0
    if disposition is Disposition.UNUSED:
        stale.inc()


def _ended_a_regrade(tx: Transaction, submission: Submission, result: IncomingResult) -> bool:
    """Whether it is the refused result again with which a regrade failed."""
    return submission.state is SubmissionState.GRADED and _is_repeated(tx, result)


def _is_repeated(tx: Transaction, result: IncomingResult) -> bool:
    """Whether it is the last one again, from a grader that did not get our answer."""
    return stored.is_latest(tx, result.submission_id, result.body, key_hash=key_hash(result.key))


def key_standing(tx: Transaction, submission: Submission, hashed: bytes) -> KeyStanding:
    if hashed == submission.lease_key:
        return KeyStanding.CURRENT
    has_grade = submission.state is SubmissionState.GRADED or submission.is_regrade
    if hashed == submission.accepted_key and has_grade:
        return KeyStanding.ACCEPTED
    if not leases.was_issued(tx, hashed, submission.id):
        return KeyStanding.FOREIGN
    if submission.is_regrade and not regrades.is_key_of_regrade(tx, hashed, submission.id):
        return KeyStanding.EARLIER
    return KeyStanding.EXPIRED


def _grade(
    tx: Transaction, submission: Submission, result: IncomingResult, by: Account
) -> Disposition:
    refusal = why_refused(submission.callback_url, result.body)
    if refusal:
        return _hold(tx, submission, result, by, refusal)
    old = stored.counting(tx, submission.id) if submission.is_regrade else None
    result_id = _record(tx, result, Disposition.ACCEPTED, by)
    if not (submission.is_trial or submission.is_regrade):  # nobody waits for those
        timings.record(tx, key_hash(result.key), result.times)
    transitions.change(
        tx,
        submission,
        SubmissionEvent.ACCEPT,
        actor=f"account {by.name}",
        request_id=result.request_id,
        accepted_key=key_hash(result.key),
    )
    if submission.is_trial:  # no LMS waits for it
        trials.keep_record(tx, submission.id, result.record)
        return Disposition.ACCEPTED
    if submission.is_regrade:
        _finish_regrade(tx, submission, result_id, result.body, old=old, by=by)
        return Disposition.ACCEPTED
    queue_callback(tx, submission, CallbackKind.RESULT, result.body, result_id=result_id)
    return Disposition.ACCEPTED


def _finish_regrade(
    tx: Transaction,
    submission: Submission,
    result_id: int,
    body: str,
    *,
    old: Result | None,
    by: Account,
) -> None:
    may_send = callbacks.withdraw(tx, submission.id, actor=f"account {by.name}", why="regrade")
    old_grade, new_grade = grade_in(old.body) if old else None, grade_in(body)
    compared = Comparison(
        old_result_id=old.id if old else None,
        new_result_id=result_id,
        old_score=old_grade.score if old_grade else None,
        new_score=new_grade.score if new_grade else None,
        is_same=_is_same(old.body if old else None, body),
        lms_had_it=not may_send,
    )
    regrades.finish(tx, submission.id, compared)
    if may_send:
        queue_callback(tx, submission, CallbackKind.RESULT, body, result_id=result_id)


def _is_same(old_body: str | None, new_body: str) -> bool:
    """Worth the same to the LMS; what is no grade is compared byte by byte."""
    if old_body is None:
        return False
    old, new = grade_in(old_body), grade_in(new_body)
    return old_body == new_body if old is None or new is None else old == new


def _hold(
    tx: Transaction, submission: Submission, result: IncomingResult, by: Account, refusal: str
) -> Disposition:
    _record(tx, result, Disposition.REJECTED, by)
    hashed = key_hash(result.key)
    faults.record(tx, submission, FaultKind.INVALID_RESULT, refusal, key_hash=hashed)
    transitions.change(
        tx,
        submission,
        SubmissionEvent.REJECT,
        actor=f"account {by.name}",
        detail=refusal,
        request_id=result.request_id,
        held_reason=HoldReason.INVALID_RESULT,
        held_detail=refusal,
    )
    return Disposition.REJECTED


def _amend(
    tx: Transaction, submission: Submission, result: IncomingResult, by: Account
) -> Disposition | None:
    if stored.latest_sent(tx, submission.id) == result.body:
        return None
    actor = f"account {by.name}"
    refusal = why_refused(submission.callback_url, result.body)
    disposition = Disposition.REJECTED if refusal else Disposition.AMENDED
    result_id = _record(tx, result, disposition, by)
    events.append(
        tx,
        subject=f"submission {submission.id}",
        submission_id=submission.id,
        actor=actor,
        why="amend_rejected" if refusal else "amend",
        detail=refusal,
        request_id=result.request_id,
    )
    # Otherwise the good result that was accepted before stands.
    is_wanted = not refusal and not submission.is_trial
    if is_wanted and not _amends_what_the_lms_did_not_take(tx, submission, result, result_id):
        callbacks.withdraw(tx, submission.id, actor=actor, why="amend")
        queue_callback(tx, submission, CallbackKind.RESULT, result.body, result_id=result_id)
    return disposition


def _amends_what_the_lms_did_not_take(
    tx: Transaction, submission: Submission, result: IncomingResult, result_id: int
) -> bool:
    """Carry an amendment over to the regrade whose result it replaces, if there is one."""
    regrade = regrades.latest_with_result(tx, submission.id)
    if regrade is None:
        return False
    old = stored.find(tx, regrade.old_result_id) if regrade.old_result_id else None
    grade = grade_in(result.body)
    regrades.amend(
        tx,
        regrade,
        result_id=result_id,
        score=grade.score if grade else None,
        is_same=_is_same(old.body if old else None, result.body),
    )
    return bool(regrade.lms_had_it)


def _keep(
    tx: Transaction, submission: Submission, result: IncomingResult, by: Account
) -> Disposition | None:
    if any(kept.body == result.body for kept in stored.of_submission(tx, submission.id)):
        return None
    _record(tx, result, Disposition.UNUSED, by)
    return Disposition.UNUSED


def _record(tx: Transaction, result: IncomingResult, disposition: Disposition, by: Account) -> int:
    return stored.record(
        tx,
        result.submission_id,
        result.body,
        disposition,
        key_hash=key_hash(result.key),
        sent_by=by.name,
        forgeable=result.forgeable,
    )


def queue_callback(
    tx: Transaction,
    submission: Submission,
    kind: CallbackKind,
    body: str,
    *,
    result_id: int | None = None,
) -> int:
    """Put a message for the LMS into the outbox, with the LMS's header as it came."""
    header = submissions.contents_of(tx, submission.id).header
    sending = exams.sending(tx, submission, kind, body)
    return callbacks.insert(
        tx,
        NewCallback(
            submission_id=submission.id,
            result_id=result_id,
            kind=kind,
            state=sending.state,
            url=submission.callback_url,
            origin=origin_of(submission.callback_url) or "",
            order_key=order_key(submission.callback_url, submission.lms_key),
            header=header,
            body=sending.body,
        ),
    )


_HANDLERS = {Handling.GRADE: _grade, Handling.AMEND: _amend, Handling.KEEP: _keep}
