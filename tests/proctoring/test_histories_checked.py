"""`attempt verify` on a server at work: it names what somebody has edited, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from proctoring_hooks import attempts
from proctoring_hooks.exam import ExamType
from proctoring_hooks.transitions import Action
from tests.proctoring.conftest import MakeExam
from tests.proctoring.sitting import LEARNER, now, started
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring.attempts import Attempts
from xqueue_server.upkeep.exam_history import check_all


def flaws(store: ProctoringStore) -> list[str | None]:
    return [each.flaw for each in check_all(store)]


def test_what_changes_while_it_is_checked_is_no_flaw(
    store: ProctoringStore, make_exam: MakeExam, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = started(store, make_exam(exam_type=ExamType.TIMED))
    read = Attempts.histories
    changes = iter([Action.STOP, Action.START])

    def read_too_late(self: Attempts, ids: Any) -> Any:
        """After somebody has changed an attempt that was read before."""
        if (action := next(changes, None)) is not None:
            with store.write() as session:
                monkeypatch.setattr(Attempts, "histories", read)
                attempts.act(session, attempt.id, action, LEARNER)
        return read(self, ids)

    monkeypatch.setattr(Attempts, "histories", read_too_late)
    assert flaws(store) == [None]
    assert now(store, attempt).status == "ready_to_submit"


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE exam_attempt_history SET who = 'nobody' WHERE attempt_id = 1 AND version = 2",
        "DELETE FROM exam_attempt_history WHERE attempt_id = 1 AND version = 3",
        "DELETE FROM exam_attempt_history WHERE attempt_id = 1",
        "UPDATE exam_attempts SET status = 'verified' WHERE id = 1",
        "UPDATE exam_attempts SET mark_factor = 0.9 WHERE id = 1",
        "UPDATE exam_attempts SET is_judged_by_a_person = true WHERE id = 1",
        "UPDATE exam_attempts SET completed_at = expires_at WHERE id = 1",
        "UPDATE exam_attempts SET user_id = '20' WHERE id = 1",
        "UPDATE exam_attempts SET exam_id = 2 WHERE id = 1",
        (
            "INSERT INTO exam_attempt_history SELECT attempt_id, 4, at, actor, who, action, before,"
            " after, request_id, facts, reason_digest, reason, digest FROM exam_attempt_history"
            " WHERE attempt_id = 1 AND version = 3"
        ),
    ],
)
def test_what_somebody_has_edited_is(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam, edit: str
) -> None:
    exam = make_exam()
    make_exam(content_id="b", external_id="b")
    started(store, exam)
    started(store, exam, "18")
    with storage.write() as tx:
        tx.run(text(edit))
    flaw, other = flaws(store)
    assert flaw is not None
    assert other is None


def test_nor_can_an_attempt_be_put_back_to_what_it_was(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam
) -> None:
    """Its last row deleted, and the attempt as it was before that."""
    attempt = started(store, make_exam(exam_type=ExamType.TIMED))
    with store.write() as session:
        attempts.act(session, attempt.id, Action.STOP, LEARNER)
    with storage.write() as tx:
        tx.run(text("DELETE FROM exam_attempt_history WHERE version = 3"))
        tx.run(
            text(
                "UPDATE exam_attempts SET status = 'started', version = 2, history_head ="
                " (SELECT digest FROM exam_attempt_history WHERE version = 2)"
            )
        )
    (flaw,) = flaws(store)
    assert flaw is not None
    assert "rows after 2 are missing" in flaw


def test_rows_of_two_attempts_can_not_be_exchanged(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam
) -> None:
    exam = make_exam()
    started(store, exam)
    started(store, exam, "18")
    with storage.write() as tx:
        for was, becomes in ((1, 99), (2, 1), (99, 2)):
            tx.run(
                text("UPDATE exam_attempt_history SET attempt_id = :b WHERE attempt_id = :w"),
                b=becomes,
                w=was,
            )
    assert flaws(store) == ["row 1 was changed"] * 2
