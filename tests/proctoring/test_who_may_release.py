"""A grade that an exam keeps goes to the LMS by the exam's policy or by staff, once, and not
otherwise."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from proctoring_hooks import accepting, attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam, Release
from proctoring_hooks.grades import GradeState
from proctoring_hooks.reviews import Review
from proctoring_hooks.transitions import Action, Actor
from tests.proctoring.conftest import MakeExam
from tests.proctoring.exam_desk import LMS_ORIGIN, PROBLEM, ExamDesk
from tests.proctoring.sitting import PROCTOR
from tests.server.builders import add_queue, open_desk
from xqueue_server.callbacks.delivery import replay_origin
from xqueue_server.errors import Conflict
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage, audit, callbacks
from xqueue_server.storage.proctoring import ProctoringStore, claims
from xqueue_server.storage.proctoring.claims import ClaimKind

TIMEOUT_S = 60


@pytest.fixture
def at(storage: Storage, clock: ManualClock, store: ProctoringStore) -> ExamDesk:
    add_queue(storage)
    return ExamDesk(desk=open_desk(storage, clock), store=store)


def submitted(at: ExamDesk, exam: Exam) -> tuple[Attempt, int]:
    """Graded, and waiting for the review."""
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    at.grade()
    at.act(attempt, Action.SUBMIT)
    assert at.states(submission_id) == ["withheld"]
    return attempt, submission_id


def test_replaying_sends_nothing_of_it(at: ExamDesk, make_exam: MakeExam) -> None:
    _, submission_id = submitted(at, make_exam(terms={"release": Release.ON_VERIFIED}))
    (callback,) = at.desk.callbacks_of(submission_id)
    with at.desk.storage.write() as tx, pytest.raises(Conflict, match="withheld"):
        callbacks.replay(tx, callback.id, actor="operator ann")
    assert replay_origin(at.desk.storage, LMS_ORIGIN, actor="operator ann") == 0
    assert at.states(submission_id) == ["withheld"]


def test_accepted_while_it_is_released_it_goes_once(at: ExamDesk, make_exam: MakeExam) -> None:
    attempt, submission_id = submitted(at, make_exam(terms={"release": Release.ON_VERIFIED}))
    together = Barrier(3)

    def accept() -> None:
        together.wait(TIMEOUT_S)
        with at.store.write() as session:
            accepting.accept(session, submission_id, PROCTOR)

    def verify() -> None:
        review = Review(action=Action.PASS, actor=Actor.PROCTOR, reviewed_by="jane")
        together.wait(TIMEOUT_S)
        with at.store.write() as session:
            attempts.judge(session, attempt.id, review, PROCTOR)

    acts: tuple[Callable[[], None], ...] = (accept, verify, accept)
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(act) for act in acts]:
            done.result(TIMEOUT_S)
    assert at.states(submission_id) == ["pending"]
    with at.desk.storage.read() as tx:
        told = [event.why for event in audit.page(tx, limit=100)]
    assert told.count("exam_released") == 1


def test_what_changes_at_the_exam_meanwhile_neither_sends_nor_loses_it(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(terms={"release": Release.ON_VERIFIED})
    attempt, submission_id = submitted(at, exam)
    with at.store.write() as session:
        claims.remove(session.tx, exam, ClaimKind.PROBLEM, PROBLEM, actor="operator ann")
        session.exams.change(exam.id, is_active=False)
    assert at.states(submission_id) == ["withheld"]
    at.judge(attempt, Action.FAIL)
    assert at.see(submission_id).state is GradeState.WITHHELD
    at.judge(attempt, Action.PASS)
    at.judge(attempt, Action.FAIL)
    at.judge(attempt, Action.PASS)
    assert at.states(submission_id) == ["pending"]
