"""The deliverer dies while it sends a grade: the LMS may get it twice, and takes it once."""

from __future__ import annotations

from deploy.demo.lms import Outage
from grader_worker.xqueue_client import XQueueClient
from tests.crash.learner import Learner, lease_at, reply
from tests.crash.ledger import Ledger
from tests.crash.stack import DESK_QUEUE, CrashStack
from tests.crash.step import READING_ANSWER, Step, after, around, around_commit, before, cases

BEGIN = "xqueue_server.callbacks.delivery.Deliverer._begin_origin"
SEND = "xqueue_server.transport.http.HttpTransport.send"
CONCLUDE = "xqueue_server.callbacks.conclusion.Concluder.conclude"
WRITE = "xqueue_server.callbacks.conclusion.Concluder._write"
FINISH = "xqueue_server.storage.outbox.finish_delivered"

SENDING = (
    *around("xqueue_server.storage.outbox.claim_due", "the claim"),
    *around_commit(BEGIN, "the commit of the claim"),
    before("xqueue_server.callbacks.delivery.Deliverer._deliver", "a thread takes the callback"),
    before(SEND, "the POST"),
    before(READING_ANSWER, "the answer of the LMS is read", within=SEND),
    after(SEND, "the LMS has answered"),
    *around("xqueue_server.storage.attempts.record", "the try is recorded"),
    before(FINISH, "the callback is finished"),
    before("xqueue_server.storage.events.append", "the event of the delivery", within=FINISH),
    after(FINISH, "the callback is finished"),
    after("xqueue_server.storage.breakers.answered", "the breaker is told"),
    *around_commit(WRITE, "the commit of the delivery"),
    after(CONCLUDE, "all is recorded"),
)
RETRYING = (
    after(SEND, "the LMS has failed"),
    *around("xqueue_server.storage.outbox.retry_later", "the next try is scheduled"),
    after("xqueue_server.storage.breakers.failed", "the breaker counts the failure"),
    *around_commit(WRITE, "the commit of a failed try"),
)


@cases(*SENDING)
def test_a_grade_is_delivered_whatever_the_deliverer_was_doing_when_it_died(
    stack: CrashStack, desk: XQueueClient, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.deliver, step):
        submission_id = grade_at_desk(learner, desk)

    learner.assert_graded(0.5)
    ledger.assert_ended_well(submission_id)
    learner.assert_one_grade_taken()


@cases(*RETRYING)
def test_a_grade_is_delivered_when_the_deliverer_died_over_a_failing_lms(
    stack: CrashStack, desk: XQueueClient, learner: Learner, ledger: Ledger, step: Step
) -> None:
    stack.lms.answer_with(Outage())
    try:
        with stack.dying(stack.deliver, step):
            submission_id = grade_at_desk(learner, desk)
    finally:
        stack.lms.come_back()

    learner.assert_graded(0.5)
    ledger.assert_ended_well(submission_id)
    learner.assert_one_grade_taken()


def grade_at_desk(learner: Learner, desk: XQueueClient) -> int:
    learner.must_submit("", DESK_QUEUE)
    lease = lease_at(desk, DESK_QUEUE)
    desk.put_result(lease, reply(0.5))
    return int(lease.submission_id)
