"""What is over is over for everybody who looks, and nothing ends before it was told to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from proctoring_hooks import attempts
from proctoring_hooks.attempts import NotPossible
from proctoring_hooks.exam import ExamType
from proctoring_hooks.statuses import Status
from tests.proctoring.conftest import MakeExam
from tests.proctoring.sitting import STAFF, now, registered, started
from xqueue_server.instant import ManualClock
from xqueue_server.storage.proctoring import ProctoringStore

HOUR_S = 3600.0


def test_who_begins_another_exam_waits_for_no_sweeper(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    first = started(store, make_exam(exam_type=ExamType.TIMED))
    second_exam = make_exam(content_id="b", external_id="b", exam_type=ExamType.TIMED)
    clock.advance(HOUR_S - 1)
    with pytest.raises(NotPossible, match="in progress"):
        registered(store, second_exam)
    clock.advance(HOUR_S)
    assert started(store, second_exam).status is Status.STARTED
    ended = now(store, first)
    assert (ended.status, ended.completed_at) == (Status.SUBMITTED, first.expires_at)


def test_who_starts_what_was_registered_before_waits_for_no_sweeper(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    waiting = make_exam(content_id="b", external_id="b", exam_type=ExamType.TIMED)
    registered(store, waiting)
    first = started(store, make_exam(exam_type=ExamType.TIMED))
    clock.advance(2 * HOUR_S)
    assert started(store, waiting).status is Status.STARTED
    assert now(store, first).completed_at == first.expires_at


def test_an_attempt_that_is_found_again_when_it_is_over_is_over(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    exam = make_exam()
    attempt = started(store, exam)
    clock.advance(2 * HOUR_S)
    found = registered(store, exam)
    assert (found.id, found.status) == (attempt.id, Status.SUBMITTED)
    assert now(store, attempt).completed_at == attempt.expires_at


def test_time_is_taken_back_of_what_is_left_alone(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    attempt = started(store, make_exam())
    assert attempt.started_at is not None
    clock.advance(HOUR_S / 2)
    with store.write() as session:
        shorter = attempts.extend(session, attempt.id, -60, STAFF)
        at = session.now
    assert (shorter.expires_at, shorter.allowed_s) == (at, HOUR_S / 2)
    assert at == attempt.started_at + timedelta(minutes=30)
    clock.advance(1)
    with store.write() as session:
        assert attempts.submit_if_run_out(session, attempt.id)
    assert now(store, attempt).completed_at == at
