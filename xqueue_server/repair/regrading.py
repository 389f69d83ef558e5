"""Grading anew what has a grade: beginning and cancelling regrades, and what they came to.

In place: the submission goes back to its queue, after all work that learners wait for, and is
graded by whatever version is in use then. Its old result stays, and stays the grade, until a new
one is accepted (`results` says what then happens; the LMS takes the first reply for good).
Whatever else ends the regrade leads back to the old grade, by the table of states itself.

    while it is graded anew                    | regrade   | submission
    -------------------------------------------|-----------|-------------------------------------
    a result that the LMS would take           | same or   | graded, with the new result
                                               | changed   |
    a result that the LMS would refuse         | failed    | graded, old result; a fault
    the grader reports that it is broken, or   | failed    | graded, old result; a fault
    does not exist                             |           |
    every lease expires                        | failed    | graded, old result; a fault
    the workers' platform fails too often      | failed    | graded, old result
    the learner submits the part again         | cancelled | graded, old result
    a person cancels it                        | cancelled | graded, old result
    a lease expires, the platform fails        | waiting   | queued

`ended_at` keeps its first value: it says when the learner's own wait was over. Trials, and what is
held, given up or superseded, have no grade to begin with and are never regraded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from xqueue_server.errors import Conflict, NotFound
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.lms_interface import grade_in
from xqueue_server.models.submission import (
    REGRADE_PRIORITY,
    Submission,
    SubmissionEvent,
    SubmissionState,
)
from xqueue_server.storage import (
    Storage,
    Transaction,
    callbacks,
    events,
    regrades,
    submissions,
    transitions,
)
from xqueue_server.storage import results as stored

MAX_REASON_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Why somebody wants submissions graded anew, and in which words they were chosen."""

    reason: str
    selection: str
    actor: str


def begin_batch(storage: Storage, request: Request) -> int:
    """Returns the id under which its regrades are found. Raises: Conflict without a reason."""
    reason = request.reason.strip()
    if not reason or len(reason) > MAX_REASON_CHARS:
        raise Conflict(f"a regrade needs a reason of 1 to {MAX_REASON_CHARS} characters")
    with storage.write() as tx:
        batch_id = regrades.add_batch(
            tx, requested_by=request.actor, reason=reason, selection=request.selection
        )
        events.append(
            tx,
            subject=f"regrade {batch_id}",
            actor=request.actor,
            why="requested",
            detail=f"{reason} ({request.selection})",
        )
    return batch_id


def regrade_one(storage: Storage, submission_id: int, request: Request) -> int:
    """A batch of one; returns its id. Raises: as `begin_batch` and `begin`."""
    with storage.read() as tx:
        require_regradable(tx, submission_id)
    batch_id = begin_batch(storage, request)
    with storage.write() as tx:
        begin(tx, submission_id, batch_id, actor=request.actor)
    return batch_id


def require_regradable(tx: Transaction, submission_id: int) -> None:
    """Raises: as `begin` would now."""
    submission = submissions.find(tx, submission_id)
    if submission is None:
        raise NotFound("Submission does not exist")
    _refuse(tx, submission)


def begin(tx: Transaction, submission_id: int, batch_id: int, *, actor: str) -> Submission:
    """Put a graded submission back to its queue; returns it as it was.

    Raises:
        NotFound: no such submission.
        Conflict: it can not be graded anew; says why.
    """
    submission = submissions.get_locked(tx, submission_id)
    _refuse(tx, submission)
    old = stored.counting(tx, submission_id)
    grade = grade_in(old.body) if old else None
    regrades.add(
        tx,
        batch_id,
        submission_id,
        old_result_id=old.id if old else None,
        old_score=grade.score if grade else None,
    )
    transitions.change(
        tx,
        replace(submission, is_capped=False),  # the learner must not be kept waiting by it
        SubmissionEvent.REGRADE,
        actor=actor,
        detail=f"regrade {batch_id}",
        attempt=1,
        platform_failures=0,
        available_at=None,
        priority=REGRADE_PRIORITY,
        is_capped=False,
    )
    return submission


def _refuse(tx: Transaction, submission: Submission) -> None:
    why_not = _why_not(tx, submission)
    if why_not:
        raise Conflict(f"Submission {submission.id} {why_not}")


def _why_not(tx: Transaction, submission: Submission) -> str | None:
    if submission.is_trial:
        return "is a trial; its author runs it again"
    if submission.is_regrade:
        return "is being graded anew already"
    if submission.state is not SubmissionState.GRADED:
        return f"is {submission.state}, not graded"
    states = {callback.state for callback in callbacks.of_submission(tx, submission.id)}
    if states == {CallbackState.CANCELLED}:
        return "was overtaken: the learner submitted again before the LMS had its grade"
    if not submissions.has_contents(tx, submission.id):
        return "is kept without the learner's code, which there is nothing to grade of"
    return None


def cancel(tx: Transaction, submission_id: int, *, actor: str) -> Submission:
    """End the regrade of a submission that waits or is being graded; the old grade stands.

    Raises:
        NotFound: no such submission.
        Conflict: it is not being graded anew.
    """
    submission = submissions.get_locked(tx, submission_id)
    if not submission.is_regrade:
        raise Conflict(f"Submission {submission_id} is not being graded anew")
    transitions.change(tx, submission, SubmissionEvent.CANCEL, actor=actor)
    return submission
