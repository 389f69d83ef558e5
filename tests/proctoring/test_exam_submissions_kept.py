"""Submissions of exams when data go: a learner's, and what is old. And joining learners."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from proctoring_hooks import joining, mark_sheet
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.grades import GradeState
from proctoring_hooks.obscuring import obscured_id
from proctoring_hooks.store import NotFound
from proctoring_hooks.transitions import Action
from tests.proctoring.conftest import LMS, SECRET_KEY, MakeExam
from tests.proctoring.exam_desk import LMS_ORIGIN, ExamDesk
from tests.server.builders import add_queue, open_desk
from xqueue_server.errors import Conflict
from xqueue_server.files.local import LocalFiles
from xqueue_server.instant import ManualClock, micros
from xqueue_server.storage import Storage, retention
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.upkeep.learner_data import Learner, erase

DAY_S = 86_400
OLD_US = micros(30 * DAY_S)


@pytest.fixture
def at(storage: Storage, store: ProctoringStore, clock: ManualClock) -> ExamDesk:
    add_queue(storage)
    return ExamDesk(desk=open_desk(storage, clock), store=store)


@pytest.fixture
def attempt(at: ExamDesk, make_exam: MakeExam) -> Attempt:
    """Submitted, and so is a submission of which the grade is withheld."""
    exam = make_exam(terms={"release": "on_verified"})
    at.claim(exam)
    attempt = at.start(exam)
    at.submit()
    at.grade()
    return at.act(attempt, Action.SUBMIT)


def marked(at: ExamDesk, attempt: Attempt) -> int:
    mark_sheet.bring_up_to_date(at.store, "sweeper")
    with at.store.read() as session:
        return len(session.marks.of_exam(attempt.exam_id))


def test_an_erased_learners_grade_never_goes_and_his_mark_does(
    at: ExamDesk, attempt: Attempt, tmp_path: Path
) -> None:
    submission_id = at.submit(made_at="20260101130000")
    at.grade()
    assert marked(at, attempt) == 1
    learner, terms = Learner(id="17", lms=LMS_ORIGIN), {"secret_key": SECRET_KEY, "actor": "ann"}
    files = LocalFiles(tmp_path)
    with pytest.raises(Conflict, match="not delivered"):
        erase(at.desk.storage, files, learner, **terms)  # type: ignore[arg-type]
    erase(at.desk.storage, files, learner, **terms, also_unfinished=True)  # type: ignore[arg-type]
    assert at.states(submission_id) == ["cancelled"]
    assert marked(at, attempt) == 0
    with pytest.raises(NotFound):  # it waited to be judged, and is nobody's to judge now
        at.judge(attempt, Action.PASS)
    assert at.see(submission_id).state is GradeState.WITHHELD, "nobody is asked to accept it"
    assert at.states(submission_id) == ["cancelled"]
    assert marked(at, attempt) == 0


@pytest.mark.parametrize("is_rejected", [False, True])
def test_what_is_old_is_kept_for_as_long_as_its_grade_may_go(
    at: ExamDesk, attempt: Attempt, is_rejected: bool
) -> None:
    assert marked(at, attempt) == 1
    if is_rejected:
        at.judge(attempt, Action.FAIL)
    at.desk.clock.advance(31 * DAY_S)
    with at.desk.storage.write() as tx:
        window = retention.window(tx, after=0, age_us=OLD_US)
        old = retention.ended_long_ago(tx, window, age_us=OLD_US, lock=True)
        assert len(old.ids) == int(is_rejected)
        retention.remove(tx, old.ids)
    for table in ("submissions", "exam_submissions", "exam_marks"):
        assert at.desk.count(table) == int(not is_rejected)


def test_one_known_learner_proves_that_the_stored_key_joins() -> None:
    obscured = obscured_id(LMS.obfuscation_key, "17", LMS.backend)
    assert joining.check(LMS, user_id="17", obscured=f" {obscured.upper()}\n").is_joined
    for lms, user_id, words in (
        (replace(LMS, obfuscation_key=""), "17", "No obfuscation key"),
        (replace(LMS, obfuscation_key="another"), "17", "PROCTORING_USER_OBFUSCATION_KEY"),
        (replace(LMS, backend="other"), "17", "call us 'other'"),
        (LMS, "18", "different people"),
        (LMS, "jane", "not a user name"),
    ):
        found = joining.check(lms, user_id=user_id, obscured=obscured)
        assert not found.is_joined
        assert words in found.words
        assert LMS.obfuscation_key not in found.words
