"""Server, worker or sandboxd die while a submission is being graded: it is graded again where that
is needed, and one grade is accepted."""

from __future__ import annotations

from tests.crash.learner import Learner
from tests.crash.ledger import Ledger
from tests.crash.stack import WORKER_QUEUE, CrashStack
from tests.crash.step import (
    HTTP_ANSWERED,
    READING_ANSWER,
    Step,
    after,
    around,
    around_change,
    around_commit,
    before,
    cases,
)
from xqueue_server.models.submission import SubmissionState

# -- the server ----------------------------------------------------------------------------------

HANDED_OUT = "xqueue_server.web.handing_out._for_grader"
LEASE = "xqueue_server.submissions.leasing.lease"
RENEW_CALL = "xqueue_server.web.wire.renew_lease"
RENEW = "xqueue_server.submissions.leasing.renew"
PUT = "xqueue_server.web.wire.put_result"
RECEIVE = "xqueue_server.submissions.results.receive"
FAIL_CALL = "xqueue_server.web.wire.put_failure"
FAIL = "xqueue_server.submissions.leasing.report_failure"
CHANGE = "xqueue_server.storage.transitions.change"
EVENT = "xqueue_server.storage.events.submission_changed"

CLAIM = "xqueue_server.storage.leases.claim"
CLAIMING, CLAIMED = around_change(LEASE, "the lease", statement_of=CLAIM)

LEASING = (
    before(CLAIM, "the claim"),
    before(EVENT, "the event of the lease", within=LEASE),
    after(CLAIM, "the claim"),
    *CLAIMING,
    *CLAIMED,
    after(HANDED_OUT, "the submission is read"),
    after(HTTP_ANSWERED, "the submission is sent", armed_by=HANDED_OUT),
)
RENEWING = (
    before(RENEW_CALL, "the renewal"),
    after("xqueue_server.storage.leases.renew", "the lease is renewed"),
    *around_commit(RENEW, "the commit of the renewal"),
    after(RENEW_CALL, "the renewal is decided"),
    after(HTTP_ANSWERED, "the renewal is answered", armed_by=RENEW_CALL),
)
PUTTING = (
    before(PUT, "the result is read"),
    *around("xqueue_server.storage.results.record", "the result is kept"),
    before(EVENT, "the event of the result", within=RECEIVE),
    after(CHANGE, "the state is changed", within=RECEIVE),
    *around("xqueue_server.storage.callbacks.insert", "the callback is queued", within=RECEIVE),
    *around_commit(RECEIVE, "the commit of the result"),
    after(PUT, "the answer to the result is decided"),
    after(PUT, "the answer to the result is decided by one gunicorn worker", alone=True),
    after(HTTP_ANSWERED, "the answer to the result is sent", armed_by=PUT),
)
RELEASING = (
    before(FAIL_CALL, "the failure is read"),
    *around(CHANGE, "the change by the failure", within=FAIL),
    *around_commit(FAIL, "the commit of the failure"),
    after(FAIL_CALL, "the answer to the failure is decided"),
    after(HTTP_ANSWERED, "the answer to the failure is sent", armed_by=FAIL_CALL),
)


@cases(*LEASING, *PUTTING)
def test_a_server_that_dies_while_leasing_or_taking_a_result_loses_no_grade(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.server, step):
        reply = learner.submit("half", WORKER_QUEUE)
    if not reply.accepted:
        learner.must_submit("half", WORKER_QUEUE)

    assert_graded_once(learner, ledger, 0.5)


@cases(*RENEWING)
def test_a_server_that_dies_while_renewing_loses_no_grade(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.server, step):
        reply = learner.submit("slow right", WORKER_QUEUE)
    if not reply.accepted:
        learner.must_submit("right", WORKER_QUEUE)

    assert_graded_once(learner, ledger, 1)


@cases(*RELEASING)
def test_a_server_that_dies_while_a_platform_failure_is_reported_loses_no_grade(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.server, step):
        reply = learner.submit("platform-fails-once right", WORKER_QUEUE)
    if not reply.accepted:
        learner.must_submit("right", WORKER_QUEUE)

    assert_graded_once(learner, ledger, 1)


@cases(*around("xqueue_server.web.wire.login", "the login of a worker"))
def test_a_worker_logs_in_again_when_the_server_died_at_its_login(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.server, step):
        stack.worker.start()
    learner.must_submit("right", WORKER_QUEUE)

    assert_graded_once(learner, ledger, 1)


@cases(*RELEASING)
def test_a_broken_grader_gives_no_grade_until_people_release_the_submission(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.server, step):
        reply = learner.submit("grader-fails-once right", WORKER_QUEUE)
    (submission_id,) = ledger.submissions_to(learner.callback_url)
    # A report that did not arrive is made again; by then the grader may have been mended.
    ended = ledger.wait_for_any(submission_id, SubmissionState.HELD, SubmissionState.GRADED)
    if ended is SubmissionState.HELD:
        assert learner.callbacks == []
        stack.command("submission", "release", str(submission_id))
    if not reply.accepted:
        learner.must_submit("right", WORKER_QUEUE)

    assert_graded_once(learner, ledger, 1)


# -- the worker ----------------------------------------------------------------------------------

GET_SUBMISSION = "grader_worker.xqueue_client.XQueueClient.get_submission"
PUT_RESULT = "grader_worker.xqueue_client.XQueueClient.put_result"
PUT_FAILURE = "grader_worker.xqueue_client.XQueueClient.put_failure"
RENEW_LEASE = "grader_worker.xqueue_client.XQueueClient.renew_lease"
SANDBOX_RUN = "grader_worker.sandboxd.client.SandboxdClient.run"
PARSED = "grader_worker.xqueue_client.parse_lease"

WORKING = (
    before(READING_ANSWER, "a long poll is answered", within=GET_SUBMISSION),
    before(PARSED, "the lease is understood"),
    after(PARSED, "the lease is understood"),
    before(SANDBOX_RUN, "the sandbox is asked"),
    after("grader_worker.sandboxd.frames.send_frame", "the sandbox was asked", within=SANDBOX_RUN),
    after(SANDBOX_RUN, "the sandbox has answered"),
    before(PUT_RESULT, "the result is sent"),
    before(READING_ANSWER, "the answer to the result is read", within=PUT_RESULT),
    after(PUT_RESULT, "the answer to the result is read"),
)
WORKING_SLOWLY = (
    before(RENEW_LEASE, "a renewal is sent"),
    before(READING_ANSWER, "the answer to a renewal is read", within=RENEW_LEASE),
    after(RENEW_LEASE, "a renewal"),
)
GIVING_BACK = (
    before(PUT_FAILURE, "the failure is sent"),
    before(READING_ANSWER, "the answer to the failure is read", within=PUT_FAILURE),
    after(PUT_FAILURE, "the failure is reported"),
)


@cases(*WORKING)
def test_what_a_worker_held_when_it_died_is_graded_by_the_next(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.worker, step):
        learner.must_submit("half", WORKER_QUEUE)

    assert_graded_once(learner, ledger, 0.5)


@cases(*WORKING_SLOWLY)
def test_a_worker_that_dies_while_renewing_loses_no_grade(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.worker, step):
        learner.must_submit("slow half", WORKER_QUEUE)

    assert_graded_once(learner, ledger, 0.5)


@cases(*GIVING_BACK)
def test_a_worker_that_dies_while_it_reports_a_failure_loses_no_grade(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.worker, step):
        learner.must_submit("platform-fails-once right", WORKER_QUEUE)

    assert_graded_once(learner, ledger, 1)


# -- sandboxd ------------------------------------------------------------------------------------

DAEMON = "grader_worker.sandboxd.daemon.SandboxDaemon"
SANDBOXING = (
    before(f"{DAEMON}._answer", "the request is understood"),
    before(f"{DAEMON}._run", "the run"),
    before("sandbox.backends.fake.FakeBackend.run", "the backend runs"),
    after("sandbox.backends.fake.FakeBackend.run", "the backend has run"),
    after(f"{DAEMON}._run", "the run"),
    after("grader_worker.sandboxd.daemon._outcome", "the outcome is known"),
)


@cases(*SANDBOXING)
def test_a_sandboxd_that_dies_in_mid_run_gives_no_grade_but_a_second_run(
    stack: CrashStack, learner: Learner, ledger: Ledger, step: Step
) -> None:
    with stack.dying(stack.sandboxd, step):
        learner.must_submit("half", WORKER_QUEUE)

    assert_graded_once(learner, ledger, 0.5)


def assert_graded_once(learner: Learner, ledger: Ledger, score: float) -> None:
    """A worker may be so quick that the server dies before the LMS has heard that it took the
    submission. Then there are two, and she knows nothing of the first."""
    learner.assert_graded(score)
    *unheard_of, submission_id = ledger.submissions_to(learner.callback_url)
    ledger.assert_ended_well(submission_id)
    for other in unheard_of:
        if ledger.wait_for_any(other, SubmissionState.GRADED, SubmissionState.SUPERSEDED) is (
            SubmissionState.GRADED
        ):
            ledger.assert_ended_well(other)
        else:
            ledger.assert_superseded(other)
    assert len(unheard_of) <= 1
    learner.assert_one_grade_taken()
