"""A submission's place in the line of its queue: how far back it is, and moving it."""

from __future__ import annotations

from xqueue_server.errors import Conflict, NotFound
from xqueue_server.models.submission import Submission, SubmissionState
from xqueue_server.storage import Storage, Transaction, counting, ordering, submissions

COUNTED_UP_TO = 10_000
MOVABLE = (SubmissionState.QUEUED, SubmissionState.HELD)


def position(tx: Transaction, submission_id: int) -> int | None:
    """1: next. `COUNTED_UP_TO` + 1 means "more than `COUNTED_UP_TO`". None: it is not in the line,
    because it is not queued, waits out a back-off, or waits for its learner's cap."""
    submission = submissions.find(tx, submission_id)
    if submission is None or not _is_in_line(submission):
        return None
    return counting.count_before(tx, submission, COUNTED_UP_TO) + 1


def _is_in_line(submission: Submission) -> bool:
    return (
        submission.state is SubmissionState.QUEUED
        and submission.available_at is None
        and not submission.is_blocked
    )


def prioritise(storage: Storage, submission_id: int, priority: int, *, actor: str) -> None:
    """Give a submission that waits another priority; it stands last of its course there.

    Raises:
        NotFound: no such submission, or a trial: those come after all else.
        Conflict: it is neither queued nor held.
    """
    with storage.write() as tx:
        submission = submissions.get_locked(tx, submission_id)
        if submission.is_trial:
            raise NotFound("Submission does not exist")
        if submission.state not in MOVABLE:
            raise Conflict(
                f"Submission {submission_id} is {submission.state}; only one that is queued or "
                "held can be given another priority"
            )
        ordering.move(tx, submission, priority, actor=actor)
