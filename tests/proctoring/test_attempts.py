"""Attempts as they are changed: one way, exactly once, each change in its history."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count

import pytest

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.attempts import NotPossible, Outcome, Registration
from proctoring_hooks.clock import Allowance, AllowanceKind
from proctoring_hooks.exam import ClockOwner, Exam, ExamType
from proctoring_hooks.history import first_flaw
from proctoring_hooks.reviews import Review
from proctoring_hooks.statuses import Status
from proctoring_hooks.store import Overtaken
from proctoring_hooks.transitions import Action, Actor, By, Effect, Refused
from tests.proctoring.conftest import SECRET_KEY, MakeExam
from xqueue_server.instant import ManualClock, to_datetime
from xqueue_server.secret_key import key_for
from xqueue_server.storage.proctoring import ProctoringStore

LEARNER = By(actor=Actor.LEARNER, who="learner", request_id="r1")
PROVIDER = By(actor=Actor.PROVIDER, who="provider p")
PROCTOR = By(actor=Actor.PROCTOR, who="account jane", reason="looked away")
STAFF = By(actor=Actor.STAFF, who="account joe")
JANE = Learner(user_id="17")

Begin = Callable[..., Attempt]
_NUMBERS = count(1)


@pytest.fixture
def begin(store: ProctoringStore, make_exam: MakeExam) -> Begin:
    """A started attempt at an exam like `EXAM`, but for what is given."""

    def start(exam: Exam | None = None, learner: Learner = JANE) -> Attempt:
        exam = exam or make_exam()
        with store.write() as session:
            attempt = attempts.register(session, exam, _asked(exam, learner), LEARNER).attempt
            if exam.exam_type.is_proctored:
                attempts.act(session, attempt.id, Action.READY, PROVIDER)
            return attempts.act(session, attempt.id, Action.START, LEARNER).attempt

    return start


def test_the_way_of_an_attempt_and_its_history(store: ProctoringStore, begin: Begin) -> None:
    attempt = begin()
    assert attempt.status is Status.STARTED
    assert attempt.expires_at is not None
    assert attempt.started_at is not None
    assert attempt.expires_at - attempt.started_at == timedelta(minutes=60)
    with store.write() as session:
        attempts.act(session, attempt.id, Action.SUBMIT, LEARNER)
        review = Review(action=Action.FAIL, actor=Actor.PROCTOR, reviewed_by="jane")
        judged = attempts.judge(session, attempt.id, review, PROCTOR).attempt
    assert (judged.status, judged.is_judged_by_a_person) == (Status.REJECTED, True)
    with store.read() as session:
        rows = session.attempts.history(attempt.id)
        now = session.attempts.get(attempt.id)
    assert [row.change.after for row in rows] == [
        "created",
        "ready_to_start",
        "started",
        "submitted",
        "rejected",
    ]
    assert rows[-1].reason == "looked away"
    key = key_for("attempt history", SECRET_KEY)
    assert first_flaw(key, rows, head=now.history_head, version=now.version) is None


def test_what_is_done_twice_is_done_once(
    store: ProctoringStore, begin: Begin, clock: ManualClock
) -> None:
    attempt = begin()
    first = _acted(store, attempt, Action.SUBMIT)
    clock.advance(_seconds(minutes=1))
    again = _acted(store, attempt, Action.SUBMIT)
    assert (first.effect, again.effect) == (Effect.CHANGE, Effect.SAME)
    assert again.attempt == first.attempt
    for action in (Action.START, Action.STOP, Action.ERROR, Action.DECLINE):
        with pytest.raises(Refused):
            _acted(store, attempt, action)


def test_the_clock_ends_it_at_the_exact_instant_however_late_anybody_looks(
    store: ProctoringStore, begin: Begin, clock: ManualClock
) -> None:
    swept, asked = begin(), begin(learner=Learner(user_id="18"), exam=_exam_of(store))
    clock.advance(_seconds(minutes=60, seconds=-1))
    with store.write() as session:
        assert attempts.submit_what_has_run_out(session) == 0
    clock.advance(_seconds(minutes=7))
    outcome = _acted(store, asked, Action.SUBMIT)
    assert outcome.effect is Effect.SAME
    with store.write() as session:
        assert attempts.submit_what_has_run_out(session) == 1
        assert attempts.submit_what_has_run_out(session) == 0
        for attempt in (swept, asked):
            found = session.attempts.get(attempt.id)
            assert found.status is Status.SUBMITTED
            assert found.completed_at == found.expires_at == attempt.expires_at


def test_where_the_lms_owns_the_clock_ours_ends_nothing(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    exam = make_exam(clock_owner=ClockOwner.LMS, lms_exam_id="5")
    lms = By(actor=Actor.LMS, who="lms edx")
    asked = Registration(learner=Learner(obscured_id="a" * 40), external_id="att-1", allowed_s=600)
    with store.write() as session:
        attempt = attempts.register(session, exam, asked, lms).attempt
        attempts.act(session, attempt.id, Action.START, lms)
    clock.advance(_seconds(hours=1))
    with store.write() as session:
        assert attempts.submit_what_has_run_out(session) == 0
        assert session.attempts.get(attempt.id).status is Status.STARTED
        assert attempts.act(session, attempt.id, Action.SUBMIT, lms).effect is Effect.CHANGE


def test_one_exam_at_a_time_and_one_open_attempt(
    store: ProctoringStore, make_exam: MakeExam, begin: Begin
) -> None:
    first = make_exam()
    attempt = begin(first)
    with store.write() as session:
        same = attempts.register(session, first, _asked(first, JANE), LEARNER)
    assert (same.effect, same.attempt.id) == (Effect.SAME, attempt.id)
    second = make_exam(content_id="block-v1:x+type@sequential+block@2", external_id="exam-2")
    with store.write() as session, pytest.raises(NotPossible) as caught:
        attempts.register(session, second, _asked(second, JANE), LEARNER)
    assert caught.value.code == "in_progress"
    _acted(store, attempt, Action.SUBMIT)
    with store.write() as session, pytest.raises(NotPossible) as caught:
        attempts.register(session, first, _asked(first, JANE), LEARNER)
    assert caught.value.code == "exists"


def test_learners_who_begin_twice_at_once_have_one_attempt(
    store: ProctoringStore, make_exam: MakeExam
) -> None:
    exam = make_exam()

    def register(number: int) -> int:
        while True:
            try:
                with store.write() as session:
                    asked = _asked(exam, JANE)
                    return attempts.register(session, exam, asked, LEARNER).attempt.id
            except Overtaken:
                continue

    assert len(set(_at_once(register, 8))) == 1


def test_a_resumed_attempt_has_what_was_left_and_no_allowance_anew(
    store: ProctoringStore, make_exam: MakeExam, begin: Begin, clock: ManualClock
) -> None:
    exam = make_exam()
    more = Allowance(kind=AllowanceKind.ADDITIONAL_MINUTES, value=30)
    with store.write() as session:
        session.exams.allow(exam.id, "17", more, who="account joe")
    attempt = begin(exam)
    assert attempt.allowed_s == 90 * 60
    clock.advance(_seconds(minutes=20, seconds=1))
    _acted(store, attempt, Action.ERROR)
    with store.write() as session:
        assert attempts.act(session, attempt.id, Action.RESUME, STAFF).effect is Effect.REPLACE
        assert attempts.act(session, attempt.id, Action.RESUME, STAFF).effect is Effect.SAME
    clock.advance(_seconds(hours=5))
    with store.write() as session:
        asked = _asked(exam, JANE)
        second = attempts.register(session, exam, asked, LEARNER).attempt
        attempts.act(session, second.id, Action.READY, PROVIDER)
        second = attempts.act(session, second.id, Action.START, LEARNER).attempt
        first = session.attempts.get(attempt.id)
    assert (second.resumes, second.number, second.allowed_s) == (first.id, 2, 70 * 60 - 1)
    assert not first.ready_to_resume
    with store.write() as session, pytest.raises(NotPossible, match="gone on with"):
        attempts.act(session, attempt.id, Action.RESUME, STAFF)


def test_a_review_during_the_exam_is_kept_until_it_is_submitted(
    store: ProctoringStore, begin: Begin
) -> None:
    attempt = begin()
    review = Review(action=Action.PASS, actor=Actor.PROVIDER, reviewed_by="", review_id="1")
    with store.write() as session:
        assert attempts.judge(session, attempt.id, review, PROVIDER).effect is Effect.KEEP
        assert attempts.judge(session, attempt.id, review, PROVIDER).effect is Effect.SAME
    outcome = _acted(store, attempt, Action.SUBMIT)
    with store.read() as session:
        assert session.attempts.get(attempt.id).status is Status.VERIFIED
        assert session.records.kept_reviews(attempt.id) == []
    assert outcome.attempt.status is Status.VERIFIED


def test_only_staff_extend_and_only_a_clock_of_ours(store: ProctoringStore, begin: Begin) -> None:
    attempt = begin()
    with store.write() as session:
        longer = attempts.extend(session, attempt.id, 15, STAFF)
    assert attempt.expires_at is not None
    assert longer.expires_at == attempt.expires_at + timedelta(minutes=15)
    with store.write() as session, pytest.raises(Refused):
        attempts.extend(session, attempt.id, 15, LEARNER)
    _acted(store, attempt, Action.SUBMIT)
    with store.write() as session, pytest.raises(NotPossible):
        attempts.extend(session, attempt.id, 15, STAFF)


def test_a_removed_attempt_is_gone_but_not_its_history(
    store: ProctoringStore, make_exam: MakeExam, begin: Begin
) -> None:
    exam = make_exam()
    attempt = begin(exam)
    with store.write() as session:
        assert attempts.act(session, attempt.id, Action.RESET, STAFF).effect is Effect.REMOVE
    with store.read() as session:
        assert session.attempts.of_learner(exam.id, JANE) == []
        assert session.attempts.history(attempt.id)[-1].change.after == "removed"
    assert begin(exam).id != attempt.id


@pytest.mark.parametrize("exam_type", ExamType)
def test_who_declines_or_is_past_due(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock, exam_type: ExamType
) -> None:
    now_us = clock.now_us()
    assert now_us is not None
    exam = make_exam(exam_type=exam_type, due_at=to_datetime(now_us) - timedelta(seconds=1))
    with store.write() as session:
        if exam_type.is_practice:
            attempts.register(session, exam, _asked(exam, JANE), LEARNER)
            return
        with pytest.raises(NotPossible) as caught:
            attempts.register(session, exam, _asked(exam, JANE), LEARNER)
    assert caught.value.code == "past_due"


def test_of_all_who_end_it_at_once_one_does(store: ProctoringStore, begin: Begin) -> None:
    attempt = begin()
    ways = [
        lambda: _acted(store, attempt, Action.SUBMIT),
        lambda: _acted(store, attempt, Action.TERMINATE, PROVIDER),
        lambda: _acted(store, attempt, Action.SUBMIT),
        lambda: _acted(store, attempt, Action.TERMINATE, PROCTOR),
    ]

    def end(number: int) -> str:
        try:
            return str(ways[number]().effect)
        except Refused:
            return "refused"

    effects = _at_once(end, len(ways))
    with store.read() as session:
        rows = session.attempts.history(attempt.id)
        found = session.attempts.get(attempt.id)
    ends = [row for row in rows if row.change.before in ("started", "ready_to_submit")]
    assert len(ends) == 1
    assert found.completed_at is not None
    # A proctor's end may still follow a learner's submit, as it may at any other time.
    assert effects.count("change") == len(rows) - 3


# -- helpers -------------------------------------------------------------------------------------


def _asked(exam: Exam, learner: Learner) -> Registration:
    return Registration(learner=learner, external_id=f"attempt-{next(_NUMBERS)}")


def _seconds(**length: float) -> float:
    return timedelta(**length).total_seconds()


def _acted(store: ProctoringStore, attempt: Attempt, action: Action, by: By = LEARNER) -> Outcome:
    with store.write() as session:
        return attempts.act(session, attempt.id, action, by)


def _exam_of(store: ProctoringStore) -> Exam:
    with store.read() as session:
        return session.exams.get(1)


def _at_once(work: Callable[[int], object], threads: int) -> Sequence[object]:
    barrier = threading.Barrier(threads)

    def run(number: int) -> object:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))
