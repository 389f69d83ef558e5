"""What of exams is old, goes; and nothing of which anything is under way."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from proctoring_hooks.clock import Allowance, AllowanceKind
from proctoring_hooks.exam import ClockOwner
from tests.server.builders import ORIGIN, SECRET_KEY, Desk
from tests.time import database_dumps
from tests.time.exam_life import WORDS, ExamLife, lms_at
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.upkeep.exam_history import check_all
from xqueue_server.upkeep.exam_leftovers import (
    KeepExams,
    preview_exam_leftovers,
    remove_exam_leftovers_now,
)

DAY_S = 24 * 3600
KEEP = KeepExams(attempts_s=100 * DAY_S, names_s=10 * DAY_S)


@pytest.fixture
def life(desk: Desk) -> ExamLife:
    store = ProctoringStore(desk.storage, SECRET_KEY)
    with store.write() as session:
        session.lmses.add(lms_at(ORIGIN))
        return ExamLife(desk=desk, store=store, lms=lms_at(ORIGIN))


def run(life: ExamLife, statement: str, **given: object) -> None:
    with life.desk.storage.write() as tx:
        tx.run(text(statement), **given)


def test_names_and_words_go_also_from_what_others_were_told_and_histories_hold(
    life: ExamLife,
) -> None:
    life.live()
    life.desk.clock.advance(10 * DAY_S)
    assert preview_exam_leftovers(life.store, KEEP).words == 3 + 3
    removed = remove_exam_leftovers_now(life.store, KEEP)
    assert (removed.words, removed.sessions, removed.attempts) == (6, 1, 0)
    assert life.desk.count("exam_learners") == 0
    with life.desk.storage.read() as tx:
        told = tx.all(text("SELECT body FROM callbacks WHERE attempt_id IS NOT NULL"))
    assert {bytes(row.body) for row in told} == {b""}
    for column, table in (("reason", "exam_attempt_history"), ("detail", "exam_incidents")):
        with life.desk.storage.read() as tx:
            kept = tx.all(text(f"SELECT {column} FROM {table}"))
        assert not any(row[0] for row in kept), table
    assert [each.flaw for each in check_all(life.store)] == [None] * 3
    assert remove_exam_leftovers_now(life.store, KEEP).words == 0, "once"


@pytest.mark.parametrize(
    "under_way",
    [
        "UPDATE exam_attempts SET status = 'started' WHERE id = :of",
        "UPDATE exam_attempts SET status = 'second_review_required' WHERE id = :of",
        "UPDATE callbacks SET state = 'pending' WHERE attempt_id = :of",
        "UPDATE exam_submissions SET state = 'flagged' WHERE attempt_id = :of",
    ],
)
def test_nothing_goes_of_an_attempt_that_goes_on_and_its_learner_keeps_his_names(
    life: ExamLife, under_way: str
) -> None:
    first, *_ = life.live()
    run(life, under_way, of=first.id)
    if "flagged" not in under_way:  # a submission keeps its attempt by itself
        run(life, "DELETE FROM exam_submissions")
    life.desk.clock.advance(200 * DAY_S)
    removed = remove_exam_leftovers_now(life.store, KEEP)
    assert removed.attempts == 2
    with life.store.read() as session:
        assert session.attempts.get(first.id).exception.startswith(WORDS)
        assert session.names("edx", first.learner) is not None
        reasons = [row.reason for row in session.attempts.history(first.id)]
    assert any(reasons)
    assert life.desk.count("exam_attempts") == 1


def test_in_the_end_nothing_of_an_attempt_is_left(life: ExamLife) -> None:
    life.live()
    run(life, "DELETE FROM exam_submissions")
    life.desk.clock.advance(100 * DAY_S)
    assert remove_exam_leftovers_now(life.store, KEEP).attempts == 3
    for table in ("exam_attempts", "exam_attempt_history", "exam_reviews", "exam_incidents"):
        assert life.desk.count(table) == 0
    with life.desk.storage.read() as tx:
        events = tx.all(text("SELECT subject FROM events WHERE submission_id IS NULL"))
        callbacks = {row.id for row in tx.all(text("SELECT id FROM callbacks"))}
    about = {row.subject for row in events if row.subject.split()[0] in ("attempt", "callback")}
    assert about == {f"callback {each}" for each in callbacks if f"callback {each}" in about}
    assert life.obscured not in database_dumps.traces(life.desk.storage, [life.obscured])


def test_an_allowance_stays_as_long_as_it_may_be_used(life: ExamLife) -> None:
    open_exam, over = life.exam("open", ClockOwner.US), life.exam("over", ClockOwner.US)
    more = Allowance(kind=AllowanceKind.MULTIPLIER, value=2.0)
    with life.store.write() as session:
        for exam in (open_exam, over):
            session.exams.allow(exam.id, "17", more, who="operator")
    life.desk.clock.advance(100 * DAY_S)
    assert remove_exam_leftovers_now(life.store, KEEP).allowances == 0
    with life.store.write() as session:
        session.exams.change(over.id, is_active=False)
    assert preview_exam_leftovers(life.store, KEEP).allowances == 1
    assert remove_exam_leftovers_now(life.store, KEEP).allowances == 1
    with life.store.read() as session:
        assert session.exams.allowance(open_exam.id, "17") == more


def test_what_is_kept_for_ever_stays(life: ExamLife) -> None:
    life.live()
    life.desk.clock.advance(5000 * DAY_S)
    removed = remove_exam_leftovers_now(life.store, KeepExams())
    assert (removed.attempts, removed.words, removed.allowances) == (0, 0, 0)
