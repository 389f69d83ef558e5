"""Our programs die while learners sit exams: each step of an attempt is taken once, told once, and
lets its grades go once, whoever asks for it again."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from grader_worker.xqueue_client import XQueueClient
from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam, Release
from proctoring_hooks.transitions import Action
from tests.crash.examinee import Exams, insist
from tests.crash.learner import Learner
from tests.crash.stack import CrashStack
from tests.crash.step import (
    COMMIT,
    READING_ANSWER,
    Step,
    after,
    around,
    around_commit,
    around_next_commit,
    before,
    cases,
)
from tests.proctoring.edx_proctoring_lms.peer import Lms
from tests.proctoring.own_exams import OwnLearner
from tests.proctoring.sitting import PROCTOR, STAFF

FACE = "proctoring_hooks.web.provider_face"
CHANGE = "xqueue_server.storage.proctoring.attempts.Attempts.change"
RELEASE = "xqueue_server.storage.proctoring.grades.Grades.release"
QUEUE_MESSAGE = "xqueue_server.storage.proctoring.session.ProctoringSession.send"
TELL = f"{FACE}._change_attempt"
SWEEP = "xqueue_server.upkeep.exam_clock._end_one"
SEND = "xqueue_server.transport.lms.LmsTransport.send"
CONCLUDE = "xqueue_server.callbacks.conclusion.Concluder._write"

REGISTERING = around(COMMIT, "the commit of a registration", within=f"{FACE}._register")
STARTING = around(COMMIT, "the commit of a start", within=TELL)
SUBMITTING = (
    after(CHANGE, "the change is written"),
    after(RELEASE, "the grade is let go"),
    after(QUEUE_MESSAGE, "a message is queued"),
    *around_commit(TELL, "the commit of a submit"),
)
REMOVING = around(COMMIT, "the commit of a removal", within=f"{FACE}._remove_attempt")
TELLING = (
    before(READING_ANSWER, "the answer of the LMS is read", within=SEND),
    after(SEND, "the LMS has answered"),
    after(COMMIT, "the commit of the delivery", within=CONCLUDE),
)
ACTING = around_next_commit("proctoring_hooks.attempts.act", "the commit of an action")
RUNNING_OUT = (
    after(RELEASE, "the grade is let go"),
    after(QUEUE_MESSAGE, "a message is queued"),
    *around_commit(SWEEP, "the commit of an end"),
)
JUDGING = (
    after(RELEASE, "the grade is let go"),
    *around_next_commit("proctoring_hooks.attempts.judge", "the commit of a review"),
)


@pytest.fixture(scope="module")
def lms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lms]:
    with Lms(tmp_path_factory.mktemp("crash-lms") / "site") as lms:
        yield lms


@pytest.fixture
def exams(stack: CrashStack, lms: Lms) -> Exams:
    made = Exams(stack=stack, lms=lms)
    made.enter()
    return made


# -- an LMS that keeps the attempt, and calls again what was not answered ------------------------


@cases(*REGISTERING)
def test_a_learner_whose_registration_was_not_answered_begins_again(
    stack: CrashStack, exams: Exams, step: Step
) -> None:
    learner, published = exams.lms.sign_in("learner"), exams.publish(Release.AT_ONCE)
    with stack.dying(stack.server, step):
        insist(lambda: learner.try_to_begin(published.lms_id))
    there = learner.page(published.exam.content_id, course=published.exam.course_id)
    number = there["exam"]["attempt"]["attempt_id"]
    learner.act(number, "start")

    attempt = published.attempt(number)
    exams.assert_ended_well(attempt.id, "created", "started", told=[])


@cases(*STARTING)
def test_an_exam_that_was_started_is_started_once(
    stack: CrashStack, exams: Exams, step: Step
) -> None:
    learner, published = exams.lms.sign_in("learner"), exams.publish(Release.AT_ONCE)
    number = learner.begin(published.lms_id)
    with stack.dying(stack.server, step):
        insist(lambda: learner.try_to_act(number, "start"))

    attempt = published.attempt(number)
    exams.assert_ended_well(attempt.id, "created", "started", told=[])
    assert exams.lms.show(number)["status"] == "started"


@cases(*SUBMITTING)
def test_an_exam_that_was_submitted_is_submitted_once_and_lets_its_grade_go_once(
    stack: CrashStack, exams: Exams, desk: XQueueClient, step: Step
) -> None:
    learner, published = exams.lms.sign_in("learner"), exams.publish(Release.ON_SUBMIT)
    number = learner.begin(published.lms_id)
    learner.act(number, "start")
    work = exams.hand_in(published.exam, learner.user_id, desk)
    assert exams.is_held_back(work)
    with stack.dying(stack.server, step):
        insist(lambda: learner.try_to_act(number, "submit"))

    path = ("created", "started", "submitted")
    ended = exams.assert_ended_well(published.attempt(number).id, *path, told=["submitted"])
    assert_graded_once(work)
    learner.act(number, "submit")
    assert published.attempt(number) == ended


@cases(*REMOVING)
def test_an_attempt_that_was_removed_is_removed_once(
    stack: CrashStack, exams: Exams, step: Step
) -> None:
    learner, published = exams.lms.sign_in("learner"), exams.publish(Release.AT_ONCE)
    staff = exams.lms.sign_in("staff")
    number = learner.begin(published.lms_id)
    attempt = published.attempt(number)
    with stack.dying(stack.server, step):
        insist(lambda: staff.remove(number))

    exams.assert_ended_well(attempt.id, "created", "removed", told=["reset"])


@cases(*TELLING)
def test_the_lms_hears_of_each_step_in_order(stack: CrashStack, exams: Exams, step: Step) -> None:
    learner, published = exams.lms.sign_in("learner"), exams.publish(Release.AT_ONCE)
    number = learner.begin(published.lms_id)
    attempt = published.attempt(number)
    with stack.dying(stack.deliver, step), stack.exams.write() as session:
        attempts.act(session, attempt.id, Action.READY, PROCTOR)
    exams.assert_ended_well(attempt.id, "created", "ready_to_start", told=["ready"])
    assert exams.lms.show(number)["status"] == "ready_to_start"
    for action in ("start", "submit"):
        learner.act(number, action)
    with stack.dying(stack.deliver, step):
        assert exams.operate(attempt.id, "review", verdict="pass").ok

    path = ("created", "ready_to_start", "started", "submitted", "verified")
    told = ["ready", "submitted", "reviewed", "verified"]
    exams.assert_ended_well(attempt.id, *path, told=told)
    assert exams.lms.show(number)["status"] == "verified"


# -- exams of our own ----------------------------------------------------------------------------


@pytest.fixture
def own_learner(stack: CrashStack) -> OwnLearner:
    return OwnLearner(url=stack.url, user_id=secrets.randbelow(10**9))


def write(
    exams: Exams, exam: Exam, learner: OwnLearner, desk: XQueueClient
) -> tuple[Attempt, Learner]:
    """An attempt in progress, and graded code in it, held back."""
    attempt_id = learner.begin(exam)
    assert exams.operate(attempt_id, "ready", reason="has shown the room").ok
    learner.act(attempt_id, "start")
    work = exams.hand_in(exam, learner.user_id, desk)
    assert exams.is_held_back(work)
    with exams.stack.exams.read() as session:
        return session.attempts.get(attempt_id), work


def assert_graded_once(work: Learner) -> None:
    work.assert_graded(0.5)
    work.assert_one_grade_taken()


BEGUN = ("created", "ready_to_start", "started")
TOLD = ["register", "start"]


@cases(*ACTING)
def test_a_learner_who_was_not_answered_submits_again(
    stack: CrashStack, exams: Exams, desk: XQueueClient, own_learner: OwnLearner, step: Step
) -> None:
    attempt, work = write(exams, exams.own(Release.ON_SUBMIT), own_learner, desk)
    with stack.dying(stack.server, step):
        insist(lambda: own_learner.try_to_act(attempt.id, "submit"))

    told = [*TOLD, "submit", "submitted"]
    exams.assert_ended_well(attempt.id, *BEGUN, "submitted", told=told)
    assert_graded_once(work)


@cases(*RUNNING_OUT)
def test_an_attempt_whose_time_is_over_ends_at_that_instant(
    stack: CrashStack, exams: Exams, desk: XQueueClient, own_learner: OwnLearner, step: Step
) -> None:
    exam = exams.own(Release.ON_SUBMIT)
    attempt, work = write(exams, exam, own_learner, desk)
    with stack.dying(stack.sweeper, step), stack.exams.write() as session:
        over = attempts.extend(session, attempt.id, -exam.time_limit_mins, STAFF)

    told = [*TOLD, "submit", "submitted"]
    path = (*BEGUN, "started", "submitted")
    ended = exams.assert_ended_well(attempt.id, *path, told=told)
    assert ended.completed_at == over.expires_at
    assert_graded_once(work)


@cases(*ACTING)
def test_an_attempt_is_terminated_once_and_keeps_its_grade(
    stack: CrashStack, exams: Exams, desk: XQueueClient, own_learner: OwnLearner, step: Step
) -> None:
    attempt, work = write(exams, exams.own(Release.ON_SUBMIT), own_learner, desk)
    with stack.dying(stack.server, step):
        insist(lambda: exams.operate(attempt.id, "terminate", reason="left the room"))

    path = (*BEGUN, "second_review_required")
    exams.assert_ended_well(attempt.id, *path, told=[*TOLD, "submit"])
    assert exams.is_held_back(work)


@cases(*JUDGING)
def test_a_review_lets_a_grade_go_once(
    stack: CrashStack, exams: Exams, desk: XQueueClient, own_learner: OwnLearner, step: Step
) -> None:
    attempt, work = write(exams, exams.own(Release.ON_VERIFIED), own_learner, desk)
    own_learner.act(attempt.id, "submit")
    with stack.dying(stack.server, step):
        insist(lambda: exams.operate(attempt.id, "review", verdict="pass"))

    told = [*TOLD, "submit", "submitted", "verified"]
    exams.assert_ended_well(attempt.id, *BEGUN, "submitted", "verified", told=told)
    assert_graded_once(work)
