"""Held submissions: putting them back to the queue, or telling the learner that no grade comes.

Giving up is irreversible: the LMS takes the first valid reply for good, and the learner's attempt
was spent when he pressed the button. A later grade would be ignored.
"""

from __future__ import annotations

from xqueue_server.errors import Conflict
from xqueue_server.models.callback import CallbackKind
from xqueue_server.models.lms_interface import give_up_body
from xqueue_server.models.submission import Submission, SubmissionEvent, SubmissionState
from xqueue_server.storage import Storage, Transaction, submissions, transitions
from xqueue_server.submissions.results import queue_callback


def release(storage: Storage, submission_id: int, *, actor: str) -> None:
    """Put a held submission back to its queue with all its attempts.

    Raises:
        NotFound: no such submission.
        Conflict: it is not held.
    """
    with storage.write() as tx:
        release_held(tx, submission_id, actor=actor)


def release_held(tx: Transaction, submission_id: int, *, actor: str) -> Submission:
    """The same, within the caller's transaction; returns the submission as it was."""
    submission = get_held(tx, submission_id)
    transitions.change(
        tx,
        submission,
        SubmissionEvent.RELEASE,
        actor=actor,
        attempt=1,
        platform_failures=0,
        available_at=None,
    )
    return submission


def give_up(storage: Storage, submission_id: int, *, actor: str) -> None:
    """Tell the learner that this submission will not be graded. Irreversible at the LMS.

    Raises:
        NotFound: no such submission.
        Conflict: it is not held.
    """
    with storage.write() as tx:
        give_up_held(tx, get_held(tx, submission_id), actor=actor)


def give_up_held(tx: Transaction, submission: Submission, *, actor: str) -> None:
    """The same, within the caller's transaction that has locked the row."""
    transitions.change(tx, submission, SubmissionEvent.GIVE_UP, actor=actor)
    if not submission.is_trial:
        queue_callback(tx, submission, CallbackKind.GIVE_UP, give_up_body())


def get_held(tx: Transaction, submission_id: int) -> Submission:
    """The submission, locked. Raises: NotFound; Conflict if it is not held."""
    submission = submissions.get_locked(tx, submission_id)
    if submission.state is not SubmissionState.HELD:
        raise Conflict(f"Submission {submission_id} is {submission.state}, not held")
    return submission
