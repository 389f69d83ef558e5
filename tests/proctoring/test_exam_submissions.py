"""Submissions of an exam: whose attempt covers them, and when their grades go to the LMS."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from proctoring_hooks import accepting, attempts
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.attempts import Registration
from proctoring_hooks.exam import ClockOwner, Release, Unmatched
from proctoring_hooks.grades import GradeState, Standing, learner_words
from proctoring_hooks.obscuring import obscured_id
from proctoring_hooks.transitions import Action, Actor, By, Effect
from tests.proctoring.conftest import LMS, MakeExam
from tests.proctoring.exam_desk import HALF, ExamDesk, url
from tests.proctoring.sitting import LMS_SAYS, PROCTOR, STAFF, registered
from tests.repair.regraded import begin
from tests.server.builders import (
    BLOCK,
    QUEUE,
    Desk,
    add_queue,
    callback_url,
    grade,
    lms_body,
    open_desk,
)
from tests.server.test_lock_order import wait_for_a_lock
from tests.server.web_client import Server, read_answer
from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.errors import InvalidRequest
from xqueue_server.instant import ManualClock
from xqueue_server.models.callback import NewCallback
from xqueue_server.models.lms_interface import why_refused
from xqueue_server.models.marked_down import marked_down
from xqueue_server.storage import Storage, Transaction, callbacks
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring.claims import ClaimKind
from xqueue_server.submissions import exams, holding, timeline
from xqueue_server.submissions.leasing import FailureKind

HOUR_S = 3600
GRACE_S = 5
TIMEOUT_S = 60
LATER = "20260101130000"
ON_SUBMIT = {"release": Release.ON_SUBMIT}
ON_VERIFIED = {"release": Release.ON_VERIFIED}
REFUSE = {"unmatched": Unmatched.REFUSE}


@pytest.fixture
def desk(storage: Storage, clock: ManualClock) -> Desk:
    add_queue(storage)
    return open_desk(storage, clock)


@pytest.fixture
def at(desk: Desk, store: ProctoringStore) -> ExamDesk:
    return ExamDesk(desk=desk, store=store)


# -- whose it is ---------------------------------------------------------------------------------


def test_what_no_exam_claims_is_as_ever(at: ExamDesk, make_exam: MakeExam) -> None:
    at.claim(make_exam())
    for other in (url(block="1" * 32), callback_url(user=17)):  # another problem; another LMS
        ordinary = at.desk.submit(other)
        at.grade()
        assert at.desk.see(ordinary).exam_id is None
        assert at.states(ordinary) == ["pending"]
    with at.store.read() as session:
        assert session.grades.among([ordinary]) == {}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_no_exam_claims_costs_no_round_trip_more(at: ExamDesk, make_exam: MakeExam) -> None:
    """Two: what it supersedes and whether it is claimed; and storing it."""
    at.claim(make_exam())
    statements: list[str] = []
    event.listen(
        at.desk.storage.engine, "before_cursor_execute", lambda *args: statements.append(args[2])
    )
    at.desk.submit(url(block="1" * 32))
    assert len(statements) == 2, statements
    at.desk.put(at.desk.lease())
    assert not [each for each in statements if "exam_submissions" in each]


def test_an_attempt_in_progress_covers_its_learners_submission(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam()
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    found = at.see(submission_id)
    assert (found.exam_id, found.attempt_id) == (exam.id, attempt.id)
    assert (found.standing, found.state) == (Standing.IN_TIME, GradeState.RELEASED)
    assert at.desk.see(submission_id).exam_id == exam.id


def test_the_lms_tells_an_attempts_learner_by_an_obscured_id_alone(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(clock_owner=ClockOwner.LMS, lms_exam_id="5")
    at.claim(exam)
    obscured = obscured_id(LMS.obfuscation_key, "17", LMS.backend)
    attempt = of_lms(at, exam.id, obscured)
    assert at.see(at.submit(17)).attempt_id == attempt.id
    assert at.see(at.submit(18)).standing is Standing.NO_ATTEMPT
    with at.store.write() as session:  # without the key nobody can tell
        session.lmses.replace(replace(LMS, obfuscation_key=""))
    assert at.see(at.submit(17, made_at=LATER)).standing is Standing.NO_ATTEMPT


def of_lms(at: ExamDesk, exam_id: int, obscured: str) -> Attempt:
    asked = Registration(
        learner=Learner(obscured_id=obscured), external_id=f"lms-{obscured}", allowed_s=600
    )
    with at.store.write() as session:
        exam = session.exams.get(exam_id)
        attempt = attempts.register(session, exam, asked, LMS_SAYS).attempt
        return attempts.act(session, attempt.id, Action.START, LMS_SAYS).attempt


def test_a_whole_queue_can_be_claimed_and_a_problem_comes_before_it(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    of_queue = make_exam()
    of_problem = make_exam(content_id="another", external_id="exam-2")
    at.claim(of_queue, QUEUE, ClaimKind.QUEUE)
    at.claim(of_problem)
    assert at.see(at.submit(block="1" * 32)).exam_id == of_queue.id
    assert at.see(at.submit()).exam_id == of_problem.id


def test_what_an_exam_claimed_belongs_to_the_one_that_has_taken_its_place(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    before = make_exam()
    at.claim(before)
    with at.store.write() as session:
        session.exams.change(before.id, is_active=False)
    assert at.desk.see(at.submit()).exam_id is None
    after = make_exam(external_id="exam-2")
    assert at.see(at.submit()).exam_id == after.id


# -- how it stands -------------------------------------------------------------------------------


def test_after_the_end_by_our_clock_and_its_grace_it_is_late(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam()
    at.claim(exam)
    attempt = at.start(exam)
    at.desk.clock.advance(HOUR_S + GRACE_S - 1)
    assert at.see(at.submit()).standing is Standing.IN_TIME
    at.desk.clock.advance(1)
    late = at.see(at.submit())
    assert (late.standing, late.state) == (Standing.LATE, GradeState.FLAGGED)
    assert late.attempt_id == attempt.id
    at.act(attempt, Action.SUBMIT)
    assert at.see(at.submit()).standing is Standing.LATE


def test_after_the_end_by_our_clock_an_attempt_of_the_lms_is_only_overdue(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(clock_owner=ClockOwner.LMS, lms_exam_id="5", terms=REFUSE)
    at.claim(exam)
    attempt = at.start(exam)
    at.desk.clock.advance(HOUR_S * 3)
    overdue = at.submit()
    assert at.see(overdue).standing is Standing.OVERDUE
    at.grade()
    assert at.states(overdue) == ["pending"]
    at.act(attempt, Action.SUBMIT, LMS_SAYS)
    at.desk.clock.advance(GRACE_S)
    with pytest.raises(InvalidRequest, match="has ended"):
        at.submit()


@pytest.mark.parametrize("is_registered", [False, True])
def test_before_an_attempt_has_begun_it_is_of_none(
    at: ExamDesk, make_exam: MakeExam, is_registered: bool
) -> None:
    exam = make_exam()
    at.claim(exam)
    if is_registered:
        registered(at.store, exam)
    submission_id = at.submit()
    found = at.see(submission_id)
    assert (found.standing, found.state) == (Standing.NO_ATTEMPT, GradeState.FLAGGED)
    at.grade()
    assert at.states(submission_id) == ["withheld"]


def test_an_exam_may_refuse_what_no_attempt_covers_but_never_a_preview(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(terms=REFUSE | ON_VERIFIED | {"staff": ("99",)})
    at.claim(exam)
    with pytest.raises(InvalidRequest, match="Start the exam"):
        at.submit(17)
    assert at.desk.count("submissions") == 0
    preview = at.submit(99)
    found = at.see(preview)
    assert (found.standing, found.state) == (Standing.PREVIEW, GradeState.RELEASED)
    at.grade()
    assert at.states(preview) == ["pending"]
    of_attempt = at.start(exam, "99")
    assert at.see(at.submit(99)).attempt_id == of_attempt.id


def test_staff_of_the_course_try_its_exams_unrefused_and_others_cost_no_look(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(terms=REFUSE)
    at.claim(exam)
    at.start(exam)
    with at.store.write() as session:
        session.service.grant_staff("edx", exam.course_id, "99", who="ann")
        session.service.grant_staff("edx", "course-v1:edX+Other+2026", "98", who="ann")
    assert at.see(at.submit(99)).standing is Standing.PREVIEW
    with pytest.raises(InvalidRequest, match="Start the exam"):
        at.submit(98)
    statements: list[str] = []
    event.listen(
        at.desk.storage.engine, "before_cursor_execute", lambda *args: statements.append(args[2])
    )
    assert at.see(at.submit(17)).standing is Standing.IN_TIME
    assert not [each for each in statements if "exam_course_staff" in each]


def test_an_attempt_that_is_gone_on_with_covers_what_comes_then(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    """And what was submitted before it broke off is judged with it."""
    exam = make_exam(terms=ON_VERIFIED)
    at.claim(exam)
    broken = at.start(exam)
    before = at.submit()
    at.act(broken, Action.ERROR)
    at.act(broken, Action.RESUME, STAFF)
    resumed = at.start(exam)
    after = at.submit(made_at="20260101120001")
    assert [at.see(each).attempt_id for each in (before, after)] == [broken.id, resumed.id]
    at.grade()
    at.grade()
    at.act(resumed, Action.SUBMIT)
    assert [at.states(each) for each in (before, after)] == [["withheld"]] * 2
    at.judge(resumed, Action.PASS)
    assert [at.states(each) for each in (before, after)] == [["pending"]] * 2


# -- when its grade goes -------------------------------------------------------------------------

NO_VERDICT, PASSED, FAILED = None, Action.PASS, Action.FAIL
GOES = {
    (Release.AT_ONCE, NO_VERDICT): "pending",
    (Release.AT_ONCE, PASSED): "pending",
    (Release.AT_ONCE, FAILED): "pending",
    (Release.ON_SUBMIT, NO_VERDICT): "pending",
    (Release.ON_SUBMIT, PASSED): "pending",
    (Release.ON_SUBMIT, FAILED): "pending",
    (Release.ON_VERIFIED, NO_VERDICT): "withheld",
    (Release.ON_VERIFIED, PASSED): "pending",
    (Release.ON_VERIFIED, FAILED): "withheld",
}


@pytest.mark.parametrize("owner", list(ClockOwner))
@pytest.mark.parametrize("graded", ["first", "between", "last"])
@pytest.mark.parametrize(("release", "verdict"), GOES)
def test_a_grade_goes_when_its_exam_says_in_whatever_order_all_comes(
    at: ExamDesk,
    make_exam: MakeExam,
    owner: ClockOwner,
    graded: str,
    release: Release,
    verdict: Action | None,
) -> None:
    exam = make_exam(clock_owner=owner, terms={"release": release})
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    if graded == "first":
        at.grade()
        at_first = "pending" if release is Release.AT_ONCE else "withheld"
        assert at.states(submission_id) == [at_first]
    at.act(attempt, Action.SUBMIT)
    if graded == "between":
        at.grade()
    if verdict:
        at.judge(attempt, verdict)
    if graded == "last":
        at.grade()
    assert at.desk.outgoing(submission_id) == [(GOES[release, verdict], HALF)]


def test_a_rejected_attempts_grade_goes_when_a_later_review_passes_it(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    attempt, submission_id = withheld(at, make_exam)
    assert at.see(submission_id).state is GradeState.WITHHELD
    at.judge(attempt, Action.PASS)
    assert at.states(submission_id) == ["pending"]
    at.judge(attempt, Action.FAIL)  # the LMS keeps what it takes
    assert at.see(submission_id).state is GradeState.RELEASED
    assert at.states(submission_id) == ["pending"]


def withheld(at: ExamDesk, make_exam: MakeExam) -> tuple[Attempt, int]:
    """Of a rejected attempt."""
    exam = make_exam(terms=ON_VERIFIED)
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    at.grade()
    at.act(attempt, Action.SUBMIT)
    at.judge(attempt, Action.FAIL)
    return attempt, submission_id


def test_a_removed_attempts_grade_stays_until_staff_let_it_go(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(terms=ON_SUBMIT)
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    at.grade()
    at.act(attempt, Action.RESET, STAFF)
    assert at.see(submission_id).state is GradeState.WITHHELD
    with at.store.write() as session:
        assert accepting.accept(session, submission_id, STAFF)
    assert at.states(submission_id) == ["pending"]


@pytest.mark.parametrize("is_graded_first", [True, False])
def test_strikes_scale_the_score_and_the_learner_is_told_why(
    at: ExamDesk, make_exam: MakeExam, is_graded_first: bool
) -> None:
    exam = make_exam(terms=ON_SUBMIT)
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    if is_graded_first:
        at.grade()
    with at.store.write() as session:
        attempts.mark(session, attempt.id, factor=0.5, by=PROCTOR)
    at.act(attempt, Action.SUBMIT)
    if not is_graded_first:
        at.grade()
    sent = at.sent(submission_id)
    assert sent["score"] == 0.25
    assert "50%" in sent["msg"]
    assert "Half of it" in sent["msg"]
    assert [result.body for result in at.desk.results_of(submission_id)] == [HALF]
    assert at.see(submission_id).factor == 0.5
    assert "50%" in learner_words(at.see(submission_id), attempt)


def test_strikes_of_before_count_where_grades_go_at_once(at: ExamDesk, make_exam: MakeExam) -> None:
    exam = make_exam()
    at.claim(exam)
    attempt = at.start(exam)
    with at.store.write() as session:
        attempts.mark(session, attempt.id, factor=0.5, by=PROCTOR)
    submission_id = at.submit()
    at.grade()
    assert at.sent(submission_id)["score"] == 0.25


# -- what else happens to a grade that is withheld -----------------------------------------------


def test_an_amended_result_replaces_what_is_withheld(at: ExamDesk, make_exam: MakeExam) -> None:
    exam = make_exam(terms=ON_VERIFIED)
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    leased = at.desk.lease()
    at.desk.put(leased, HALF)
    at.desk.put(leased, grade(1))
    assert at.desk.outgoing(submission_id) == [("cancelled", HALF), ("withheld", grade(1))]
    at.act(attempt, Action.SUBMIT)
    at.judge(attempt, Action.PASS)
    assert at.desk.outgoing(submission_id) == [("cancelled", HALF), ("pending", grade(1))]


def test_a_regrade_of_what_is_withheld_replaces_it_as_the_lms_has_nothing(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    attempt, submission_id = withheld(at, make_exam)
    begin(at.desk, submission_id)
    at.grade(grade(1))
    assert at.desk.outgoing(submission_id) == [("cancelled", HALF), ("withheld", grade(1))]
    at.judge(attempt, Action.PASS)
    assert at.states(submission_id) == ["cancelled", "pending"]


def test_a_grade_that_is_released_while_it_is_graded_anew_goes_once(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    attempt, submission_id = withheld(at, make_exam)
    begin(at.desk, submission_id)
    leased = at.desk.lease()
    at.judge(attempt, Action.PASS)
    assert at.states(submission_id) == ["pending"]
    at.desk.put(leased, grade(1))
    assert at.desk.outgoing(submission_id) == [("cancelled", HALF), ("pending", grade(1))]


def test_a_newer_submission_retires_a_withheld_grade(at: ExamDesk, make_exam: MakeExam) -> None:
    exam = make_exam(terms=ON_VERIFIED)
    at.claim(exam)
    attempt = at.start(exam)
    older = at.submit()
    at.grade()
    newer = at.submit(made_at=LATER)
    assert at.states(older) == ["cancelled"]
    at.grade()
    at.act(attempt, Action.SUBMIT)
    at.judge(attempt, Action.PASS)
    assert (at.states(older), at.states(newer)) == (["cancelled"], ["pending"])


def test_what_no_attempt_covers_retires_nothing_that_one_does(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(terms=ON_VERIFIED)
    at.claim(exam)
    attempt = at.start(exam)
    in_time = at.submit()
    at.act(attempt, Action.SUBMIT)
    at.desk.clock.advance(GRACE_S)
    late = at.submit(made_at=LATER)
    later = at.submit(made_at="20260101140000")
    states = [at.desk.see(each).state for each in (in_time, late, later)]
    assert states == ["queued", "superseded", "queued"]


def test_giving_up_is_told_when_a_grade_would_go(at: ExamDesk, make_exam: MakeExam) -> None:
    exam = make_exam(terms=ON_SUBMIT)
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    with at.store.write() as session:
        attempts.mark(session, attempt.id, factor=0.5, by=PROCTOR)
    at.desk.fail(at.desk.lease(), FailureKind.GRADER)
    holding.give_up(at.desk.storage, submission_id, actor="operator ann")
    assert at.states(submission_id) == ["withheld"]
    at.act(attempt, Action.SUBMIT)
    sent = at.sent(submission_id)
    assert (sent["score"], "50%" in sent["msg"]) == (0, False)


# -- staff accept --------------------------------------------------------------------------------


def test_staff_accept_one_and_it_is_on_record(at: ExamDesk, make_exam: MakeExam) -> None:
    at.claim(make_exam())
    submission_id = at.submit()
    at.grade()
    reason = at.reason(submission_id)
    assert reason.code == "flagged_by_exam"
    by = By(actor=Actor.STAFF, who="account joe", reason="his browser hung")
    with at.store.write() as session:
        assert accepting.accept(session, submission_id, by)
        assert not accepting.accept(session, submission_id, by)
    assert at.desk.outgoing(submission_id) == [("pending", HALF)]
    recorded = [each for each in at.desk.events_of(submission_id) if each.why == "exam_released"]
    assert [(each.actor, each.detail) for each in recorded] == [("account joe", "his browser hung")]
    with at.desk.storage.read() as tx:
        told = [step.what for step in timeline.story(tx, submission_id).steps]
    assert "Belongs to an exam" in told
    assert "The exam lets its grade go" in told


def test_what_staff_accept_before_it_is_graded_goes_when_it_is(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    at.claim(make_exam())
    submission_id = at.submit()
    with at.store.write() as session:
        accepting.accept(session, submission_id, STAFF)
    at.grade()
    assert at.states(submission_id) == ["pending"]


def test_staff_accept_all_of_an_attempt_and_all_that_is_flagged(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(terms=ON_VERIFIED)
    at.claim(exam)
    attempt = at.start(exam)
    waiting = at.submit()
    at.act(attempt, Action.SUBMIT)
    at.desk.clock.advance(GRACE_S)
    late = at.submit(made_at=LATER)
    others = [at.submit(user) for user in (18, 19)]
    for _ in (waiting, late, *others):
        at.grade()
    assert accepting.accept_all_flagged(at.store, exam.id, STAFF) == 3
    assert accepting.accept_all_flagged(at.store, exam.id, STAFF) == 0
    assert [at.states(each) for each in (late, *others)] == [["pending"]] * 3
    assert at.states(waiting) == ["withheld"]
    with at.store.write() as session:
        assert accepting.accept_all_of(session, attempt.id, PROCTOR) == 1
    assert at.states(waiting) == ["pending"]


def test_what_staff_refuse_stays_whatever_the_review_says_and_can_be_accepted_after_all(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam()
    at.claim(exam)
    attempt = at.start(exam)
    at.act(attempt, Action.SUBMIT)
    at.desk.clock.advance(60)
    late = at.submit()
    at.grade()
    with at.store.write() as session:
        assert accepting.refuse(session, late, PROCTOR)
        assert not accepting.refuse(session, late, PROCTOR)
    at.judge(attempt, Action.PASS)
    assert at.see(late).state is GradeState.WITHHELD
    assert at.states(late) == ["withheld"]
    assert "staff refused it" in at.reason(late).sentence
    assert "does not count" in learner_words(at.see(late), attempt)
    with at.store.write() as session:
        assert accepting.accept(session, late, PROCTOR)
    assert at.states(late) == ["pending"]


def test_nobody_else_accepts(at: ExamDesk, make_exam: MakeExam) -> None:
    attempt, submission_id = withheld(at, make_exam)
    learner = By(actor=Actor.LEARNER, who="learner")
    with at.store.write() as session, pytest.raises(accepting.NotAllowed):
        accepting.accept(session, submission_id, learner)
    with at.store.write() as session, pytest.raises(accepting.NotAllowed):
        accepting.accept_all_of(session, attempt.id, learner)
    assert at.states(submission_id) == ["withheld"]


# -- what people are told ------------------------------------------------------------------------


def test_the_reason_says_what_the_grade_waits_for(at: ExamDesk, make_exam: MakeExam) -> None:
    exam = make_exam(terms=ON_VERIFIED)
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    at.grade()
    assert at.reason(submission_id).code == "withheld_by_exam"
    assert "far enough" in at.reason(submission_id).sentence
    assert "until you have submitted" in learner_words(at.see(submission_id), attempt)
    attempt = at.act(attempt, Action.SUBMIT)
    assert "has been reviewed" in learner_words(at.see(submission_id), attempt)
    attempt = at.judge(attempt, Action.FAIL)
    assert "rejected" in at.reason(submission_id).sentence
    assert "not accepted" in learner_words(at.see(submission_id), attempt)
    attempt = at.judge(attempt, Action.PASS)
    assert at.reason(submission_id).code == "delivering"
    assert "goes to the course" in learner_words(at.see(submission_id), attempt)


@pytest.mark.parametrize("asked", [{}, {"grader": "1", "wait": "1", "lease_s": "60"}], ids=str)
def test_nothing_of_the_exam_reaches_the_grader(
    at: ExamDesk, make_exam: MakeExam, tmp_path: Path, asked: dict[str, str]
) -> None:
    """Each answer is that of a submission of no exam, but for its id and key."""
    given = {"XQUEUE_DATA_DIR": str(tmp_path), "XQUEUE_SECRET_KEY": "s" * 32}
    server = Server(create_app(settings.load(given), at.desk.storage), at.desk)
    exam = make_exam(terms=ON_VERIFIED)
    at.claim(exam)
    marked = at.start(exam, "17")
    with at.store.write() as session:
        attempts.mark(session, marked.id, factor=0.5, by=PROCTOR)
    at.act(at.start(exam, "18"), Action.SUBMIT)
    at.desk.clock.advance(GRACE_S + 1)
    body = lms_body()
    ordinary = at.desk.submit(url(block="1" * 32), body=body)
    ids = [at.desk.submit(url(user), body=body) for user in (17, 18, 19)]
    assert [at.see(each).standing for each in ids] == [
        Standing.IN_TIME,
        Standing.LATE,
        Standing.NO_ATTEMPT,
    ]
    handed_out = {}
    for _ in (ordinary, *ids):
        answer = server.grader.raw(
            "GET", "/xqueue/get_submission/", query_string={"queue_name": QUEUE, **asked}
        )
        headers = dict(answer.headers)
        assert headers.pop("X-Request-ID")
        parts = json.loads(read_answer(answer).content)
        said = json.loads(parts.pop("xqueue_header"))
        assert said.pop("submission_key")
        handed_out[said.pop("submission_id")] = (headers.keys(), said, parts)
    expected = handed_out.pop(ordinary)
    assert expected[2] == {"xqueue_body": body, "xqueue_files": "{}"}
    assert handed_out == dict.fromkeys(ids, expected)


# -- two at once, and breaking off ---------------------------------------------------------------


def test_what_breaks_off_leaves_nothing(
    at: ExamDesk, make_exam: MakeExam, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = make_exam()
    at.claim(exam)
    at.start(exam)
    monkeypatch.setattr(exams, "add", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        at.submit()
    assert at.desk.count("submissions") == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_result_that_comes_while_grades_are_released_goes_with_them(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(terms=ON_SUBMIT)
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    leased = at.desk.lease()
    with ThreadPoolExecutor(1) as pool:
        with at.store.write() as session:
            attempts.act(session, attempt.id, Action.SUBMIT, LMS_SAYS)
            grading = pool.submit(at.desk.put, leased, HALF)
            wait_for_a_lock(at.desk.storage, grading)
        grading.result(timeout=TIMEOUT_S)
    assert at.states(submission_id) == ["pending"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_grades_that_are_released_while_a_result_comes_take_it_with_them(
    at: ExamDesk, make_exam: MakeExam, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = make_exam(terms=ON_SUBMIT)
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    leased = at.desk.lease()
    is_decided, may_go_on = threading.Event(), threading.Event()
    insert = callbacks.insert

    def insert_later(tx: Transaction, new: NewCallback) -> int:
        if new.submission_id is not None:
            is_decided.set()
            assert may_go_on.wait(TIMEOUT_S)
        return insert(tx, new)

    monkeypatch.setattr(callbacks, "insert", insert_later)
    with ThreadPoolExecutor(2) as pool:
        grading = pool.submit(at.desk.put, leased, HALF)
        assert is_decided.wait(TIMEOUT_S)
        releasing = pool.submit(at.act, attempt, Action.SUBMIT)
        wait_for_a_lock(at.desk.storage, releasing)
        may_go_on.set()
        for each in (grading, releasing):
            each.result(timeout=TIMEOUT_S)
    assert at.states(submission_id) == ["pending"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_submission_that_arrives_while_the_attempt_is_submitted_is_released_with_it(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(terms=ON_SUBMIT)
    at.claim(exam)
    attempt = at.start(exam)
    with ThreadPoolExecutor(1) as pool:
        with at.store.write() as session:
            attempts.act(session, attempt.id, Action.SUBMIT, LMS_SAYS)
            submitting = pool.submit(at.submit)
            wait_for_a_lock(at.desk.storage, submitting)
        submission_id = submitting.result(timeout=TIMEOUT_S)
    assert at.see(submission_id).state is GradeState.RELEASED


# -- marking down --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    ["<p>x</p>", "x < y &amp; z", "<div><p>open", "<?xml version='1.0'?><p>x</p>", "<a:b/>", " "],
)
def test_a_reply_that_the_lms_takes_it_takes_marked_down(message: str) -> None:
    body = grade(2, msg=message)
    assert why_refused(url(), body) is None
    sent = marked_down(url(), body, 0.5, "because <of> it")
    assert why_refused(url(), sent) is None
    reply = json.loads(sent)
    assert (reply["score"], "&lt;of&gt;" in reply["msg"]) == (1.0, True)
    assert message in reply["msg"]


def test_what_is_no_grade_is_not_marked_down() -> None:
    for dispatch, body in (("other", grade(2)), ("score_update", "no JSON")):
        assert marked_down(url(dispatch=dispatch), body, 0.5, "x") == body


def test_a_mark_down_that_is_taken_back_costs_only_what_has_gone(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(terms=ON_SUBMIT)
    at.claim(exam)
    attempt = at.start(exam)
    policy = By(actor=Actor.SYSTEM, who="incident policy")
    with at.store.write() as session:
        attempts.mark(session, attempt.id, factor=0.5, by=policy)
    at.claim(exam, f"{BLOCK}{'1' * 32}")
    kept, early = at.submit(), at.submit(block="1" * 32)
    with at.store.write() as session:
        accepting.accept(session, early, STAFF)
    with at.store.write() as session:
        done = attempts.mark(session, attempt.id, factor=1.0, by=PROCTOR)
        again = attempts.mark(session, attempt.id, factor=1.0, by=PROCTOR)
        assert attempts.gone_with_less(session, done.attempt) == [early]
        last = session.attempts.history(attempt.id)[-1]
    assert (done.effect, again.effect) == (Effect.CHANGE, Effect.SAME)
    assert (last.change.who, last.reason) == (PROCTOR.who, PROCTOR.reason)
    assert last.change.facts == '{"mark_factor": 1.0}'
    assert done.attempt.is_flagged, "as the policy did it"
    at.act(attempt, Action.SUBMIT)
    at.grade()
    at.grade()
    assert (at.sent(kept)["score"], at.sent(early)["score"]) == (0.5, 0.25)


def test_who_takes_a_mark_down_back_flags_nothing(at: ExamDesk, make_exam: MakeExam) -> None:
    attempt = at.start(make_exam())
    with at.store.write() as session:
        for factor in (0.5, 1.0):
            done = attempts.mark(session, attempt.id, factor=factor, by=PROCTOR)
    assert (done.attempt.mark_factor, done.attempt.is_flagged) == (1.0, False)
