"""Attempts end when their time is over, whoever sweeps and whatever goes wrong meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from proctoring_hooks import attempts, reporting
from proctoring_hooks.exam import ClockOwner, ExamType, Terms
from proctoring_hooks.incidents import NewIncident, Source
from proctoring_hooks.reviews import Comment, Review
from proctoring_hooks.statuses import Status
from proctoring_hooks.store import NotFound, SecretSubscriber
from proctoring_hooks.transitions import Action, Actor
from tests.proctoring.conftest import MakeExam
from tests.proctoring.sitting import LEARNER, LMS_SAYS, PROCTOR, actions, now, registered, started
from xqueue_server.cli import sweep as program
from xqueue_server.errors import StorageUnavailable
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore, browsing
from xqueue_server.storage.proctoring_schema import exam_news
from xqueue_server.upkeep.exam_clock import LOOK_EVERY_S, end_what_has_run_out
from xqueue_server.upkeep.exam_history import check_one
from xqueue_server.upkeep.exam_leftovers import (
    ExamLeftovers,
    KeepExams,
    preview_exam_leftovers,
    remove_exam_leftovers,
    remove_exam_leftovers_now,
)

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


def test_a_sweeper_waits_no_longer_than_until_the_next_end(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    assert end_what_has_run_out(store).wait_s == LOOK_EVERY_S
    attempt = started(store, make_exam())
    clock.advance(HOUR_S - 0.25)
    done = end_what_has_run_out(store)
    assert (done.ended, done.wait_s) == (0, 0.25)
    clock.advance(done.wait_s)
    done = end_what_has_run_out(store)
    assert (done.ended, done.wait_s) == (1, LOOK_EVERY_S)
    ended = now(store, attempt)
    assert ended.status is Status.SUBMITTED
    assert ended.completed_at == attempt.expires_at


def test_an_attempt_that_can_not_be_ended_keeps_no_other_waiting_nor_the_sweeper_awake(
    store: ProctoringStore,
    make_exam: MakeExam,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    exam = make_exam()
    stuck = started(store, exam)
    other = make_exam(content_id="another", external_id="exam-2")
    fine = started(store, other, "18")
    with store.write() as session:  # a provider that was removed
        session.exams.change(exam.id, terms=Terms(provider="gone"))
    clock.advance(HOUR_S)
    done = end_what_has_run_out(store)
    assert (done.ended, done.wait_s) == (1, LOOK_EVERY_S)
    assert now(store, fine).status is Status.SUBMITTED
    (record,) = [each for each in caplog.records if each.__dict__.get("attempt_id") == stuck.id]
    assert record.__dict__["action"] == "attempt_not_ended"
    with store.write() as session:
        session.exams.change(exam.id, terms=Terms())
    clock.advance(HOUR_S)
    assert end_what_has_run_out(store).ended == 1
    assert now(store, stuck).completed_at == stuck.expires_at, "however late"


def test_of_three_sweepers_exactly_one_ends_each_attempt(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    exam = make_exam(exam_type=ExamType.TIMED)
    sat = [started(store, exam, str(user_id)) for user_id in range(12)]
    clock.advance(HOUR_S)
    barrier = threading.Barrier(3)

    def sweeper(_number: int) -> int:
        barrier.wait()
        ended = 0
        while any(now(store, attempt).status is Status.STARTED for attempt in sat):
            ended += end_what_has_run_out(store).ended
        return ended

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(sweeper, range(3))) == len(sat)
    for attempt in sat:
        assert actions(store, attempt) == ["register", "start", "time_out"]
        assert now(store, attempt).completed_at == attempt.expires_at


def test_the_clock_thread_outlives_a_database_that_is_away(
    store: ProctoringStore,
    make_exam: MakeExam,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    attempt = started(store, make_exam())
    clock.advance(HOUR_S)
    stop = threading.Event()
    really = program.end_what_has_run_out
    tries = iter([True, False])

    def end(*args: object, **named: object) -> object:
        if next(tries):
            raise StorageUnavailable("away")
        stop.set()
        return really(store)

    monkeypatch.setattr(program, "LOOK_EVERY_S", 0)
    monkeypatch.setattr(program, "end_what_has_run_out", end)
    program.end_attempts_forever(store, stop)
    assert now(store, attempt).status is Status.SUBMITTED
    assert [each.__dict__["action"] for each in caplog.records if "action" in each.__dict__] == [
        "sweep_paused"
    ]


def test_attempts_that_an_lms_registers_and_never_starts_are_removed_after_days(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    exam = make_exam(clock_owner=ClockOwner.LMS)
    orphan, started_one = (registered(store, exam, user, by=LMS_SAYS) for user in ("1", "2"))
    with store.write() as session:
        attempts.act(session, started_one.id, Action.START, LMS_SAYS)
    ours = registered(store, make_exam(content_id="ours", external_id="exam-2"), "3")
    clock.advance(29 * DAY_S)
    assert remove_exam_leftovers(store, KeepExams()).orphans == 0
    young = registered(store, exam, "4", by=LMS_SAYS)
    clock.advance(DAY_S)
    assert remove_exam_leftovers(store, KeepExams()).orphans == 1
    with store.read() as session:
        with pytest.raises(NotFound):
            session.attempts.get(orphan.id)
        (*_, last) = session.attempts.history(orphan.id)
    assert (last.change.after, last.reason) == ("removed", "never started")
    for attempt in (started_one, ours, young):
        assert now(store, attempt).id == attempt.id


def test_nobody_is_told_that_an_attempt_is_gone_of_which_nobody_has_heard(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    exam = make_exam(clock_owner=ClockOwner.LMS)
    subscriber = SecretSubscriber(name="hook", url="https://hook.example", secret="whsec_")
    with store.write() as session:
        session.recipients.put_subscriber(subscriber, lms="edx", course_id="")
    orphan, reset_one = (registered(store, exam, user, by=LMS_SAYS) for user in ("1", "2"))
    with store.write() as session:
        attempts.act(session, reset_one.id, Action.RESET, LMS_SAYS)
    clock.advance(30 * DAY_S)
    assert remove_exam_leftovers(store, KeepExams()).orphans == 1
    with store.read() as session:
        assert browsing.messages_of(session.tx, orphan.id) == []
        (told,) = browsing.messages_of(session.tx, reset_one.id)
    assert told.purpose == "org.openedx.learning.exam.attempt.reset.v1"


def test_news_that_pages_have_shown_go_after_a_day(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock, storage: Storage
) -> None:
    registered(store, make_exam())
    clock.advance(DAY_S - 1)
    assert remove_exam_leftovers(store, KeepExams()) == ExamLeftovers()
    clock.advance(DAY_S)
    assert remove_exam_leftovers(store, KeepExams()) == ExamLeftovers(news=1)
    assert remove_exam_leftovers(store, KeepExams()) == ExamLeftovers(), "once a day"
    with storage.read() as tx:
        assert [row.lms for row in tx.all(select(exam_news))] == [""], "only that there was some"


KEEP = KeepExams(attempts_s=100 * DAY_S, names_s=10 * DAY_S)


def test_names_and_words_go_first_and_the_history_still_holds(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    attempt = started(store, make_exam())
    comment = Comment(comment="a phone", status="fail")
    verdict = Review(
        action=Action.FAIL, actor=Actor.PROCTOR, reviewed_by="jane", comments=(comment,)
    )
    with store.write() as session:
        session.learners.tell("edx", "17", full_name="Jane Doe", email="j@example.org")
        seen = NewIncident(
            attempt_id=attempt.id,
            incident_id="a",
            source=Source.PROCTOR,
            kind="phone",
            severity=0.1,
            happened_at=session.now,
            detail="a red one",
        )
        reporting.report(session, seen)
        attempts.act(session, attempt.id, Action.SUBMIT, LEARNER)
        attempts.judge(session, attempt.id, verdict, PROCTOR)
    clock.advance(10 * DAY_S - 1)
    assert remove_exam_leftovers_now(store, KEEP).words == 0
    clock.advance(1)
    assert preview_exam_leftovers(store, KEEP).words == 2
    assert remove_exam_leftovers_now(store, KEEP).words == 2
    assert preview_exam_leftovers(store, KEEP).words == 0
    with store.read() as session:
        assert session.names("edx", attempt.learner) is None
        assert session.records.incidents(attempt.id)[0].detail == ""
        assert session.records.received(attempt.id)[0].review.comments == ()
        assert [row.reason for row in session.attempts.history(attempt.id)] == [None] * 6
    assert check_one(store, attempt.id).flaw is None


def test_an_old_attempt_goes_with_everything_but_not_while_something_of_it_is_under_way(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock, storage: Storage
) -> None:
    exam = make_exam()
    old = started(store, exam)
    with store.write() as session:
        attempts.act(session, old.id, Action.SUBMIT, LEARNER)
    clock.advance(DAY_S)
    theirs = make_exam(clock_owner=ClockOwner.LMS, content_id="b", external_id="exam-2")
    running = registered(store, theirs, "18", by=LMS_SAYS)
    with store.write() as session:
        attempts.act(session, running.id, Action.START, LMS_SAYS)
    clock.advance(99 * DAY_S)
    assert preview_exam_leftovers(store, KEEP).attempts == 1
    assert remove_exam_leftovers_now(store, KEEP).attempts == 1
    clock.advance(99 * DAY_S)
    assert remove_exam_leftovers_now(store, KEEP).attempts == 0, "its clock runs, as far as we know"
    with storage.read() as tx:
        left = {
            "exam_attempts": "SELECT id AS of FROM exam_attempts",
            "exam_attempt_history": "SELECT attempt_id AS of FROM exam_attempt_history",
            "exam_news": "SELECT attempt_id AS of FROM exam_news WHERE attempt_id != 0",
        }
        for table, question in left.items():
            assert {row.of for row in tx.all(text(question))} <= {running.id}, table
