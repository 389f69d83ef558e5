"""The server dies while an LMS submits: an answered submission gets one grade, another at most
one, and the learner who presses the button again is graded once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from deploy.demo.capa import UploadedFile
from deploy.demo.gradebook import InputStatus
from grader_worker.xqueue_client import XQueueClient
from tests.crash.learner import Learner, lease_at, reply
from tests.crash.ledger import Ledger
from tests.crash.stack import DESK_QUEUE, WORKER_QUEUE, CrashStack
from tests.crash.step import (
    HTTP_ANSWERED,
    Step,
    after,
    around,
    around_change,
    around_commit,
    before,
    cases,
)

SUBMIT = "xqueue_server.web.wire.submit"
ACCEPT = "xqueue_server.submissions.intake.accept"
FILES = (UploadedFile(name="main.py", content=b"print(1)\n" * 1000),)

INSERT = "xqueue_server.storage.submissions.store"
STORING, STORED = around_change(ACCEPT, "a submission", statement_of=INSERT)

NOT_TAKEN = (
    *around("xqueue_server.web.wire.login", "the login is answered"),
    before(SUBMIT, "the request is read"),
    before("xqueue_server.files.local.LocalFiles.save", "the file is stored"),
    after("xqueue_server.files.local.LocalFiles.save", "the file is stored"),
    *around(INSERT, "the insertion"),
    before("xqueue_server.storage.events.submission_changed", "the event", within=ACCEPT),
    *STORING,
)
TAKEN_BUT_NOT_ANSWERED = (
    *STORED,
    before("xqueue_server.dispatch.NoDispatcher.nudge", "the nudge"),
    after(
        "xqueue_server.submissions.queue_length.QueueLengths.of",
        "the queue length is known",
        within=SUBMIT,
    ),
    after(SUBMIT, "the answer is decided"),
    after(SUBMIT, "the answer is decided by one gunicorn worker", alone=True),
)
ANSWERED = (after(HTTP_ANSWERED, "the answer is sent", armed_by=SUBMIT),)
SUPERSEDING = (
    *around("xqueue_server.storage.superseding.supersede", "the older one is retired"),
    *around_commit(ACCEPT, "the commit of a newer submission"),
)
FIRST_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = timedelta(seconds=10)


@cases(*NOT_TAKEN)
def test_a_submission_that_was_not_stored_is_refused_and_taken_at_the_next_try(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.server, step):
        assert not learner.submit("right", WORKER_QUEUE, files=FILES).accepted
    assert ledger.submissions_to(learner.callback_url) == []

    learner.must_submit("right", WORKER_QUEUE, files=FILES)

    learner.assert_graded(1)
    (submission_id,) = ledger.submissions_to(learner.callback_url)
    ledger.assert_ended_well(submission_id)
    learner.assert_one_grade_taken()


@cases(*TAKEN_BUT_NOT_ANSWERED)
def test_a_stored_submission_of_which_the_lms_knows_nothing_does_no_harm(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.server, step):
        assert not learner.submit("wrong", WORKER_QUEUE, files=FILES).accepted
    (unknown,) = ledger.submissions_to(learner.callback_url)
    ledger.assert_ended_well(unknown)
    assert learner.lms.state(learner.where).status is InputStatus.UNANSWERED

    learner.must_submit("right", WORKER_QUEUE, files=FILES)

    learner.assert_graded(1)
    ledger.assert_ended_well(ledger.submissions_to(learner.callback_url)[-1])
    learner.assert_one_grade_taken()


@cases(*ANSWERED)
def test_a_submission_that_the_lms_knows_of_is_graded_once(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.server, step):
        learner.must_submit("half", WORKER_QUEUE, files=FILES)

    learner.assert_graded(0.5)
    (submission_id,) = ledger.submissions_to(learner.callback_url)
    ledger.assert_ended_well(submission_id)
    learner.assert_one_grade_taken()


@cases(*SUPERSEDING)
def test_of_several_tries_only_the_last_is_graded(
    stack: CrashStack, desk: XQueueClient, learner: Learner, ledger: Ledger, step: Step
) -> None:
    assert learner.submit_at(FIRST_AT, DESK_QUEUE).accepted
    with stack.dying(stack.server, step):
        assert not learner.submit_at(FIRST_AT + LATER, DESK_QUEUE).accepted
    assert learner.submit_at(FIRST_AT + 2 * LATER, DESK_QUEUE).accepted

    lease = lease_at(desk, DESK_QUEUE)
    desk.put_result(lease, reply(0.5))

    *older, last = ledger.submissions_to(learner.callback_url)
    assert lease.submission_id == str(last)
    assert len(older) == (2 if step.name == "after the commit of a newer submission" else 1)
    for each in older:
        ledger.assert_superseded(each)
    learner.assert_graded(0.5)
    ledger.assert_ended_well(last)
    learner.assert_one_grade_taken()
