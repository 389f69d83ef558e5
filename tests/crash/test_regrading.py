"""The server dies while submissions are put back to be graded anew, while one of them is, or while
that is cancelled: the old grade stands until there is a new one, and repeating it goes on."""

from __future__ import annotations

from collections.abc import Sequence

import requests

from grader_worker.errors import ServerUnreachable
from grader_worker.lease import Lease
from grader_worker.xqueue_client import XQueueClient
from tests.crash.conftest import new_learner
from tests.crash.learner import Learner, lease_at, reply
from tests.crash.ledger import Ledger
from tests.crash.stack import BRIEF_QUEUE, DESK_QUEUE, OPERATOR, PASSWORD, CrashStack
from tests.crash.step import Step, after, around, around_change, around_commit, before, cases
from xqueue_server.models.regrade import RegradeState

BULK = "xqueue_server.repair.bulk._do_all"
BATCH = "xqueue_server.repair.regrading.begin_batch"
LEASE = "xqueue_server.submissions.leasing.lease"
CLAIM = "xqueue_server.storage.leases.claim"
RECEIVE = "xqueue_server.submissions.results.receive"
EVENT = "xqueue_server.storage.events.submission_changed"
_, CLAIMED = around_change(LEASE, "the lease of a regrade", statement_of=CLAIM)

BEGINNING = (
    *around_commit(BATCH, "the commit of what was asked for"),
    after("xqueue_server.storage.regrades.add", "a regrade is noted"),
    *around_commit(BULK, "the commit of the first of two"),
)
GRADING = (
    *CLAIMED,
    after("xqueue_server.storage.callbacks.withdraw", "the old callback is looked at"),
    *around("xqueue_server.storage.regrades.finish", "the regrade is finished"),
    *around_commit(RECEIVE, "the commit of the new result"),
)
CANCELLING = (
    before(EVENT, "the event of the cancelling", within=BULK),
    *around("xqueue_server.storage.regrades.end_without_grade", "the regrade is cancelled"),
)
ANSWER_S = 60


@cases(*BEGINNING)
def test_what_was_not_put_back_is_put_back_when_asked_again(
    stack: CrashStack, desk: XQueueClient, learner: Learner, ledger: Ledger, step: Step
) -> None:
    learners = [learner, new_learner(stack)]
    ids = [grade_at(desk, DESK_QUEUE, each, ledger) for each in learners]
    with stack.dying(stack.server, step):
        assert not ask(stack, "regrade", ids)
    assert ask(stack, "regrade", ids)

    for _ in ids:
        desk.put_result(lease_at(desk, DESK_QUEUE), reply(1))

    for submission_id, each in zip(ids, learners, strict=True):
        ledger.assert_regraded(submission_id, RegradeState.CHANGED)
        each.assert_graded(0.5)
        each.assert_one_grade_taken()


@cases(*GRADING)
def test_the_new_result_is_taken_once(
    stack: CrashStack, desk: XQueueClient, learner: Learner, ledger: Ledger, step: Step
) -> None:
    submission_id = grade_at(desk, BRIEF_QUEUE, learner, ledger)
    assert ask(stack, "regrade", [submission_id])
    with stack.dying(stack.server, step):
        grade_anew(stack, desk)

    ledger.assert_regraded(submission_id, RegradeState.CHANGED)
    learner.assert_graded(0.5)
    learner.assert_one_grade_taken()


@cases(*CANCELLING)
def test_a_regrade_that_was_not_cancelled_is_when_asked_again(
    stack: CrashStack, desk: XQueueClient, learner: Learner, ledger: Ledger, step: Step
) -> None:
    submission_id = grade_at(desk, DESK_QUEUE, learner, ledger)
    assert ask(stack, "regrade", [submission_id])
    with stack.dying(stack.server, step):
        assert not ask(stack, "cancel_regrade", [submission_id])
    assert ask(stack, "cancel_regrade", [submission_id])

    ledger.assert_regraded(submission_id, RegradeState.CANCELLED)
    learner.assert_one_grade_taken()


def grade_at(desk: XQueueClient, queue: str, learner: Learner, ledger: Ledger) -> int:
    """A submission of which the LMS has the grade."""
    learner.must_submit("", queue)
    lease = lease_at(desk, queue)
    desk.put_result(lease, reply(0.5))
    learner.assert_graded(0.5)
    ledger.assert_ended_well(int(lease.submission_id))
    return int(lease.submission_id)


def ask(stack: CrashStack, action: str, ids: Sequence[int]) -> bool:
    """Whether there was an answer."""
    document = {
        "action": action,
        "selection": {"id": ",".join(map(str, ids))},
        "confirmed_count": len(ids),
        "reason": "the tests were wrong",
    }
    url, account = f"{stack.url}/api/v1/submissions/bulk", (OPERATOR, PASSWORD)
    try:
        answer = requests.post(url, json=document, auth=account, timeout=ANSWER_S)
    except requests.ConnectionError:
        return False
    assert answer.status_code == 200, answer.text
    return True


def grade_anew(stack: CrashStack, desk: XQueueClient) -> None:
    """As a worker does, which repeats what was not answered."""
    lease: Lease | None = None
    while True:
        try:
            lease = lease or lease_at(desk, BRIEF_QUEUE)
            return desk.put_result(lease, reply(1))
        except ServerUnreachable:
            stack.server.wait_until_ready()
