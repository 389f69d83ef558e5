"""The sweeper dies while it does what time alone makes due."""

from __future__ import annotations

from deploy.demo.gradebook import InputStatus
from grader_worker.xqueue_client import XQueueClient
from tests.crash.learner import Learner, lease_at, reply
from tests.crash.ledger import Ledger
from tests.crash.stack import BRIEF_QUEUE, DESK_QUEUE, HOLD_QUEUE, LAST_QUEUE, CrashStack
from tests.crash.step import Step, after, around, around_commit, before, cases
from xqueue_server.models.submission import SubmissionState

EXPIRE = "xqueue_server.upkeep.sweeping._expire_leases"
END_BACKOFFS = "xqueue_server.upkeep.sweeping._end_backoffs"
GIVE_UP = "xqueue_server.upkeep.sweeping._give_up_old_holds"
PROMOTE = "xqueue_server.storage.leases.make_due_ready"
CHANGE = "xqueue_server.storage.transitions.change"
EVENT = "xqueue_server.storage.events.submission_changed"

EXPIRING = (
    after("xqueue_server.storage.leases.lock_expired", "expired leases are locked"),
    *around(CHANGE, "the lease is ended", within=EXPIRE),
    *around_commit(EXPIRE, "the commit of an expiry"),
)
HOLDING = (
    before(EVENT, "the event of the hold", within=EXPIRE),
    *around_commit(EXPIRE, "the commit of a hold"),
)
ENDING_A_BACKOFF = (
    *around(
        "xqueue_server.storage.leases.make_due_ready", "the back-off ends", within=END_BACKOFFS
    ),
    *around_commit(END_BACKOFFS, "the commit of the end of a back-off"),
)
GIVING_UP = (
    after("xqueue_server.storage.holds.lock_holds_to_end", "old holds are locked"),
    after(CHANGE, "the state is changed", within=GIVE_UP),
    *around("xqueue_server.storage.callbacks.insert", "the message is queued", within=GIVE_UP),
    *around_commit(GIVE_UP, "the commit of a give-up"),
)


@cases(*EXPIRING)
def test_an_expired_lease_goes_back_to_the_queue_once(
    stack: CrashStack, desk: XQueueClient, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.sweeper, step):
        learner.must_submit("", BRIEF_QUEUE)
        lost = lease_at(desk, BRIEF_QUEUE)
    again = lease_at(desk, BRIEF_QUEUE)
    assert again.submission_id == lost.submission_id

    desk.put_result(again, reply(0.5))

    learner.assert_graded(0.5)
    ledger.assert_ended_well(int(again.submission_id))
    learner.assert_one_grade_taken()


@cases(*HOLDING)
def test_an_exhausted_submission_is_held_and_a_late_result_still_counts(
    stack: CrashStack, desk: XQueueClient, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.sweeper, step):
        learner.must_submit("", HOLD_QUEUE)
        late = lease_at(desk, HOLD_QUEUE)
    ledger.wait_for(int(late.submission_id), SubmissionState.HELD)
    assert learner.callbacks == []

    desk.put_result(late, reply(0.5))

    learner.assert_graded(0.5)
    ledger.assert_ended_well(int(late.submission_id))
    learner.assert_one_grade_taken()


@cases(*ENDING_A_BACKOFF)
def test_a_backed_off_submission_is_leased_again(
    stack: CrashStack, desk: XQueueClient, learner: Learner, ledger: Ledger, step: Step
) -> None:
    learner.must_submit("", DESK_QUEUE)
    again = lease_at(desk, DESK_QUEUE)
    with stack.dying(stack.sweeper, step):
        # Whoever asks for work ends back-offs, too, and may be quicker than the sweeper.
        while not stack.sweeper.has_died:
            desk.put_failure(again, kind="platform", detail="no power")
            again = lease_at(desk, DESK_QUEUE)

    desk.put_result(again, reply(0.5))

    learner.assert_graded(0.5)
    ledger.assert_ended_well(int(again.submission_id))
    learner.assert_one_grade_taken()


@cases(*GIVING_UP)
def test_the_learner_is_told_once_that_no_grade_comes(
    stack: CrashStack, desk: XQueueClient, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.sweeper, step):
        learner.must_submit("", LAST_QUEUE)
        lost = lease_at(desk, LAST_QUEUE)

    told = learner.wait_for_grade()

    assert (told.status, told.score) == (InputStatus.INCORRECT, 0)
    assert "could not be graded" in told.msg
    ledger.assert_ended_well(int(lost.submission_id), SubmissionState.GIVEN_UP)
    learner.assert_one_grade_taken()
