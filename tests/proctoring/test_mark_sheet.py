"""The mark sheet: one writer at a time, whoever dies, and what it then says."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from proctoring_hooks import attempts, mark_sheet
from proctoring_hooks.grades import ExamSubmission, GradeState, Standing
from proctoring_hooks.marks import Candidate, Mark, mark_of
from proctoring_hooks.store import NotFound, Overtaken
from proctoring_hooks.transitions import Action
from tests.proctoring.conftest import MakeExam
from tests.proctoring.exam_desk import HALF, PROBLEM, ExamDesk, url
from tests.proctoring.mark_sheet_writers import COUNTER
from tests.proctoring.sitting import PROCTOR
from tests.server.builders import Desk, add_queue, grade, open_desk
from xqueue_server.instant import ManualClock, to_datetime
from xqueue_server.repair import mark_sheet_file
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring.claims import ClaimKind

ROOT = Path(__file__).parents[2]
TTL_S = 30.0
PROCESSES = 50
TIMES = int(os.environ.get("TEST_INCREMENTS", "20"))
"""That each process adds one."""


@pytest.fixture
def at(storage: Storage, store: ProctoringStore, clock: ManualClock) -> ExamDesk:
    add_queue(storage)
    desk: Desk = open_desk(storage, clock)
    return ExamDesk(desk=desk, store=store)


def acquired(store: ProctoringStore, exam_id: int, holder: str = "a") -> int | None:
    with store.write() as session:
        return session.marks.acquire(exam_id, holder, ttl_s=TTL_S)


def write(store: ProctoringStore, exam_id: int, token: int) -> None:
    with store.write() as session:
        session.marks.write(exam_id, [COUNTER], token, ttl_s=TTL_S)


def sheet(at: ExamDesk, exam_id: int) -> list[Mark]:
    """Brought up to date."""
    mark_sheet.bring_up_to_date(at.store, "sweeper")
    with at.store.read() as session:
        return list(session.marks.of_exam(exam_id))


# -- one writer ----------------------------------------------------------------------------------


def test_one_has_the_sheet_and_the_next_a_greater_token(
    store: ProctoringStore, make_exam: MakeExam
) -> None:
    exam, other = make_exam(), make_exam(content_id="other", external_id="exam-2")
    first = acquired(store, exam.id)
    assert first is not None
    assert acquired(store, exam.id, "b") is None
    assert acquired(store, other.id, "b") is not None
    with store.write() as session:
        assert session.marks.release(exam.id, first)
        assert not session.marks.release(exam.id, first)
    second = acquired(store, exam.id, "b")
    assert second is not None
    assert second > first


def test_a_stale_or_returned_token_writes_nothing(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    exam = make_exam()
    slow = acquired(store, exam.id)
    assert slow is not None
    clock.advance(TTL_S)
    write(store, exam.id, slow)  # nobody else wanted it, and it is held again
    assert acquired(store, exam.id, "b") is None
    clock.advance(TTL_S)
    next_one = acquired(store, exam.id, "b")
    assert next_one is not None
    with pytest.raises(Overtaken):
        write(store, exam.id, slow)
    write(store, exam.id, next_one)
    with store.write() as session:
        assert not session.marks.release(exam.id, slow)
        assert session.marks.release(exam.id, next_one)
    with pytest.raises(Overtaken):
        write(store, exam.id, next_one)


def holding(database_url: str, exam_id: int, clock: ManualClock) -> subprocess.Popen[str]:
    """A process that has asked for the sheet."""
    program = [sys.executable, "-m", "tests.proctoring.mark_sheet_writers", "hold"]
    return subprocess.Popen(
        [*program, database_url, str(exam_id), str(clock.now_us()), str(TTL_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_a_holder_that_stood_still_writes_nothing_over_its_successor(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock, database_url: str
) -> None:
    exam = make_exam()
    with holding(database_url, exam.id, clock) as holder:
        assert holder.stdout is not None
        stale = int(holder.stdout.readline())
        holder.send_signal(signal.SIGSTOP)
        clock.advance(TTL_S)
        token = acquired(store, exam.id, "b")
        assert token is not None
        assert token > stale
        write(store, exam.id, token)
        holder.send_signal(signal.SIGCONT)
        said, _ = holder.communicate("go on\n")
    assert said == "overtaken\n"
    with store.read() as session:
        (mark,) = session.marks.of_exam(exam.id)
    assert (mark.score, mark.token) == (0, token)


def test_a_holder_that_is_killed_is_waited_for_as_long_as_it_asked(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock, database_url: str
) -> None:
    exam = make_exam()
    with holding(database_url, exam.id, clock) as holder:
        assert holder.stdout is not None
        stale = int(holder.stdout.readline())
        holder.kill()
    assert holder.returncode == -9
    clock.advance(TTL_S - 1)
    assert acquired(store, exam.id) is None
    clock.advance(1)
    token = acquired(store, exam.id)
    assert token is not None
    assert token > stale
    with pytest.raises(Overtaken):
        write(store, exam.id, stale)


def test_fifty_processes_lose_no_increment(
    store: ProctoringStore, make_exam: MakeExam, database_url: str
) -> None:
    exam = make_exam()
    program = [sys.executable, "-m", "tests.proctoring.mark_sheet_writers", "count"]
    asked = [database_url, str(exam.id), str(PROCESSES), str(TIMES)]
    subprocess.run([*program, *asked], check=True, cwd=ROOT)
    with store.read() as session:
        (mark,) = session.marks.of_exam(exam.id)
    assert mark.score == PROCESSES * TIMES


# -- what it says --------------------------------------------------------------------------------


def test_it_follows_a_grade_from_its_arrival_to_its_release(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam(terms={"release": "on_verified"})
    at.claim(exam)
    attempt = at.start(exam)
    submission_id = at.submit()
    (mark,) = sheet(at, exam.id)
    assert (mark.learner, mark.problem) == ("17", PROBLEM)
    assert (mark.submission_id, mark.attempt_id) == (submission_id, attempt.id)
    assert (mark.score, mark.state) == (None, "waiting")
    at.grade()
    (mark,) = sheet(at, exam.id)
    assert (mark.score, mark.counts, mark.state) == (0.5, 0.5, "waiting")
    with at.store.write() as session:
        attempts.mark(session, attempt.id, factor=0.5, by=PROCTOR)
    at.act(attempt, Action.SUBMIT)
    at.judge(attempt, Action.FAIL)
    assert [mark.state for mark in sheet(at, exam.id)] == ["withheld"]
    at.judge(attempt, Action.PASS)
    (mark,) = sheet(at, exam.id)
    assert (mark.score, mark.factor, mark.counts, mark.state) == (0.5, 0.5, 0.25, "released")


def test_what_is_written_is_written_once(at: ExamDesk, make_exam: MakeExam) -> None:
    exam = make_exam()
    at.claim(exam)
    at.start(exam)
    at.submit()
    assert mark_sheet.bring_up_to_date(at.store, "a") == 1
    assert mark_sheet.bring_up_to_date(at.store, "a") == 0
    at.grade()
    assert mark_sheet.bring_up_to_date(at.store, "a") == 1


def test_what_somebody_else_is_writing_is_left_to_him(at: ExamDesk, make_exam: MakeExam) -> None:
    exam = make_exam()
    at.claim(exam)
    at.start(exam)
    at.submit()
    token = acquired(at.store, exam.id)
    assert mark_sheet.bring_up_to_date(at.store, "b") == 0
    with at.store.write() as session:
        session.marks.release(exam.id, token or 0)
    assert mark_sheet.bring_up_to_date(at.store, "b") == 1


def test_a_writer_that_is_overtaken_leaves_what_is_new_to_the_next(
    at: ExamDesk, make_exam: MakeExam
) -> None:
    exam = make_exam()
    at.claim(exam)
    at.start(exam)
    at.submit()
    token = acquired(at.store, exam.id) or 0
    at.desk.clock.advance(TTL_S)
    assert acquired(at.store, exam.id, "b") is not None
    with pytest.raises(Overtaken):
        write_what_is_new(at.store, exam.id, token)
    at.desk.clock.advance(TTL_S)
    assert len(sheet(at, exam.id)) == 1


def write_what_is_new(store: ProctoringStore, exam_id: int, token: int) -> None:
    with store.write() as session:
        batch = session.marks.unwritten(exam_id, limit=9)
        assert len(batch.entries) == 1
        session.marks.write(exam_id, batch.entries, token, ttl_s=TTL_S)


def test_previews_and_what_was_superseded_make_no_marks(at: ExamDesk, make_exam: MakeExam) -> None:
    exam = make_exam(terms={"staff": ("99",)})
    at.claim(exam)
    at.start(exam)
    at.submit(99)
    at.submit()
    newest = at.submit(made_at="20260101130000")
    at.grade()
    at.grade()
    assert [mark.submission_id for mark in sheet(at, exam.id)] == [newest]


def candidate(
    number: int, made_s: float, score: float | None, state: GradeState = GradeState.RELEASED
) -> Candidate:
    moment = to_datetime(0)
    submission = ExamSubmission(
        submission_id=number,
        exam_id=1,
        attempt_id=None,
        standing=Standing.IN_TIME,
        state=state,
        arrived_at=moment,
        factor=1,
    )
    return Candidate(
        learner="17",
        problem="p",
        submission=submission,
        made_at=moment + timedelta(seconds=made_s),
        score=score,
    )


def test_the_newest_press_counts_with_all_parts_of_the_problem() -> None:
    mark = mark_of([candidate(1, 0, 1), candidate(2, 60, 0.5), candidate(3, 61, 0.25)])
    assert (mark.submission_id, mark.score) == (3, 0.75)
    mark = mark_of([candidate(1, 0, 1), candidate(2, 60, 0.5), candidate(3, 61, None)])
    assert mark.score is None


def test_what_staff_have_not_accepted_counts_only_if_there_is_nothing_else() -> None:
    late = candidate(2, 60, 1, GradeState.FLAGGED)
    assert mark_of([candidate(1, 0, 0.5), late]).submission_id == 1
    assert (mark_of([late]).submission_id, mark_of([late]).state) == (2, "flagged")


# -- as a file -----------------------------------------------------------------------------------


def test_as_csv_nothing_in_it_is_a_formula(at: ExamDesk, make_exam: MakeExam) -> None:
    exam = make_exam()
    at.claim(exam, "python", ClaimKind.QUEUE)
    at.start(exam)
    at.desk.submit(url(block="x").replace("/xqueue/17/", "/xqueue/%3D1%2B1/"))
    at.submit()
    at.grade(HALF)
    at.grade(grade(1))
    sheet(at, exam.id)
    with at.store.read() as session:
        text = mark_sheet_file.write(session, exam.id)
        with pytest.raises(NotFound):
            mark_sheet_file.write(session, exam.id + 1)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["user_id"] for row in rows} == {"'=1+1", "17"}
    assert sorted((row["counts"], row["state"]) for row in rows) == [
        ("0.5", "flagged"),
        ("1", "released"),
    ]
