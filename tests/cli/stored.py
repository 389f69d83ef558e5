"""Submissions and callbacks put into a database as they would come to be, for the CLI to show."""

from __future__ import annotations

from xqueue_server.models.callback import CallbackKind, CallbackState, NewCallback
from xqueue_server.models.queue import Queue
from xqueue_server.models.submission import (
    FileReference,
    HoldReason,
    NewSubmission,
    SubmissionEvent,
)
from xqueue_server.storage import (
    Storage,
    attempts,
    callbacks,
    outbox,
    queues,
    submissions,
    transitions,
)
from xqueue_server.storage import results as stored_results
from xqueue_server.storage.attempts import Ending
from xqueue_server.storage.results import Disposition

LEARNERS_CODE = "print('the learner wrote this')"
GRADERS_WORDS = "<p>Well done</p>\nand more"
ORIGIN = "https://lms.example.org"
URL = f"{ORIGIN}/courses/x/xqueue/1/block/score_update"
ACTOR = "operator test"
TOKEN = b"t" * 16


def a_queue(storage: Storage, name: str = "q") -> None:
    with storage.write() as tx:
        queues.add(tx, Queue(name=name), actor=ACTOR)


def a_submission(storage: Storage, queue: str = "q") -> int:
    new = NewSubmission(
        request_id="request",
        queue=queue,
        header='{"lms_key": "key"}',
        body=LEARNERS_CODE,
        callback_url=URL,
        lms_key='"key"',
        files=(FileReference(name="secret.py", blob="b1", size_bytes=2048),),
        submitted_by="lms",
        supersede_key=b"s" * 16,
        learner_submitted_at=None,
    )
    with storage.write() as tx:
        return submissions.insert_new(tx, new)


def a_held_submission(storage: Storage, queue: str = "q") -> int:
    submission_id = a_submission(storage, queue)
    for event, columns in (
        (SubmissionEvent.LEASE, {}),
        (
            SubmissionEvent.GRADER_FAILURE,
            {"held_reason": HoldReason.GRADER, "held_detail": "import error \x1b[31m"},
        ),
    ):
        with storage.write() as tx:
            found = submissions.get_locked(tx, submission_id)
            assert transitions.change(tx, found, event, actor=ACTOR, **columns)
    return submission_id


def a_result(storage: Storage, submission_id: int, *, forgeable: bool = False) -> int:
    with storage.write() as tx:
        return stored_results.record(
            tx,
            submission_id,
            GRADERS_WORDS,
            Disposition.ACCEPTED,
            key_hash=b"k" * 32,
            sent_by="grader",
            forgeable=forgeable,
        )


def a_callback(storage: Storage, submission_id: int, *, origin: str = ORIGIN) -> int:
    new = NewCallback(
        submission_id=submission_id,
        result_id=None,
        kind=CallbackKind.RESULT,
        url=f"{origin}/score_update",
        origin=origin,
        order_key=submission_id.to_bytes(16, "big"),
        header="{}",
        body=GRADERS_WORDS,
    )
    with storage.write() as tx:
        return callbacks.insert(tx, new)


def a_dead_callback(storage: Storage, submission_id: int, *, origin: str = ORIGIN) -> int:
    """One that was tried once, to which the LMS answered 404."""
    callback_id = a_callback(storage, submission_id, origin=origin)
    ending = Ending(status=404, error="HTTP 404", response="no such course", duration_us=35_000)
    with storage.write() as tx:
        claimed = outbox.claim_due(tx, origin, limit=10, token=TOKEN)
        due = next(each for each in claimed if each.id == callback_id)
        attempts.record(tx, callback_id, ending)
        assert outbox.finish_dead(tx, due, ending, why="refused")
    assert state_of(storage, callback_id) is CallbackState.DEAD
    return callback_id


def state_of(storage: Storage, callback_id: int) -> CallbackState:
    with storage.read() as tx:
        return callbacks.get(tx, callback_id).state
