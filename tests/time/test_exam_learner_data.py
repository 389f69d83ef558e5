"""A learner's data of exams: all of it is handed out, and after an erasure none of it is left."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text, update

from proctoring_hooks import attempts
from proctoring_hooks.exam import ClockOwner
from proctoring_hooks.store import NotFound as NoSuch
from proctoring_hooks.transitions import Action, Refused
from tests.server.builders import COURSE, ORIGIN, SECRET_KEY, Desk
from tests.time import database_dumps
from tests.time.exam_life import (
    EMAIL,
    ID,
    LEARNER,
    OF_A_LEARNER_IN_EXAMS,
    OTHER_ID,
    USERNAME,
    WORDS,
    ExamLife,
    lms_at,
)
from xqueue_server.cli.main import main
from xqueue_server.errors import Conflict, NotFound
from xqueue_server.files.local import LocalFiles
from xqueue_server.keys import digest
from xqueue_server.storage import idempotency
from xqueue_server.storage.engine import NOW
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring_schema import exam_attempt_history, exam_attempts
from xqueue_server.storage.schema import callbacks
from xqueue_server.upkeep.exam_history import check_all, check_one
from xqueue_server.upkeep.learner_data import Erased, Learner, erase, export, retire

OTHER_ORIGIN = "https://other.example.org"
HIM = Learner(id=ID, lms=ORIGIN)


@pytest.fixture
def store(desk: Desk) -> ProctoringStore:
    return ProctoringStore(desk.storage, SECRET_KEY)


@pytest.fixture
def life(desk: Desk, store: ProctoringStore) -> ExamLife:
    lms = lms_at(ORIGIN)
    with store.write() as session:
        session.lmses.add(lms)
    return ExamLife(desk=desk, store=store, lms=lms)


def erased(desk: Desk, files: LocalFiles, learner: Learner = HIM, **options: Any) -> Erased:
    return erase(
        desk.storage, files, learner, secret_key=SECRET_KEY, actor="operator test", **options
    )


def traces(life: ExamLife) -> list[str]:
    return database_dumps.traces(life.desk.storage, (*life.known_by, WORDS))


def exported(desk: Desk, files: LocalFiles, learner: Learner = HIM) -> dict[str, str]:
    target = io.BytesIO()
    export(desk.storage, files, learner, target, secret_key=SECRET_KEY, actor="operator test")
    archive = zipfile.ZipFile(target)
    return {name: archive.read(name).decode() for name in archive.namelist()}


def rows(desk: Desk, table: str) -> list[Any]:
    with desk.storage.read() as tx:
        return [tuple(row) for row in tx.all(text(f"SELECT * FROM {table} ORDER BY 1, 2"))]


# -- everywhere ----------------------------------------------------------------------------------


def test_the_life_leaves_something_in_every_column_that_can_hold_it(
    desk: Desk, life: ExamLife
) -> None:
    """Otherwise the others prove nothing."""
    life.live()
    for table, columns in OF_A_LEARNER_IN_EXAMS.items():
        for column in columns - {"link", "digest"}:  # sealed, and a digest
            with desk.storage.read() as tx:
                kept = [row[0] for row in tx.all(text(f"SELECT {column} FROM {table}"))]
            said = [k if isinstance(k, str) else bytes(k).decode() for k in kept if k]
            assert any(name in each for each in said for name in (*life.known_by, WORDS)), (
                f"{table}.{column}"
            )
    assert set(traces(life)) == {*life.known_by, WORDS} - {life.known_by[3]}


def test_after_an_erasure_no_id_no_name_and_no_word_is_left(
    desk: Desk, files: LocalFiles, store: ProctoringStore, life: ExamLife
) -> None:
    mine = life.live()
    before = {each.id: rows(desk, "exam_attempts") for each in mine}
    digests = {bytes(row[2]) for row in rows(desk, "exam_reviews")}
    assert erased(desk, files) == Erased(submissions=1, attempts=3)
    assert traces(life) == []
    assert {bytes(row[2]) for row in rows(desk, "exam_reviews")}.isdisjoint(digests)
    assert len(before) == desk.count("exam_attempts"), "what was counted stays counted"
    assert [each.flaw for each in check_all(store)] == [None] * 3
    with store.read() as session:
        assert [session.attempts.get(each.id).status for each in mine[:2]] == ["verified"] * 2
        with pytest.raises(NoSuch):
            session.attempts.get(mine[2].id)
    with pytest.raises(NotFound):
        erased(desk, files)


def test_an_export_has_all_of_it_and_nobody_else(
    desk: Desk, files: LocalFiles, life: ExamLife
) -> None:
    life.live()
    told = exported(desk, files)["exams.json"]
    for name in (*life.known_by, "feedback"):
        if name not in (life.known_by[3], "feedback"):
            assert name in told, name
    for said in ("a comment", "kind", "detail", "his own", "reset", "answer", "a broken arm"):
        assert f"{WORDS} {said}" in told, said
    assert f"https://{WORDS}.example/video" in told
    assert "jane" not in told
    (exams,) = json.loads(told)["exams"]
    assert [each["status"] for each in exams["attempts"]] == ["verified", "verified", "created"]
    assert [len(exams[name]) for name in ("names", "allowances", "marks", "staff_of", "tries")] == [
        *(3, 2, 1, 1, 4)
    ]
    with desk.storage.read() as tx:
        noted = tx.all(text("SELECT subject, detail FROM events WHERE why = 'exported'"))
    assert [bytes(row.detail) for row in noted] == [b"1 submissions, 0 files, 3 attempts"]
    assert ID not in noted[0].subject


def test_of_two_lmses_with_the_same_user_id_only_the_one_that_was_named_loses_him(
    desk: Desk, files: LocalFiles, store: ProctoringStore, life: ExamLife
) -> None:
    theirs = replace(life, lms=lms_at(OTHER_ORIGIN, "other"), email="q@other.example")
    with store.write() as session:
        session.lmses.add(theirs.lms)
    theirs.live()
    tables = sorted({*OF_A_LEARNER_IN_EXAMS, "callbacks"} - {"idempotency_keys", "exam_marks"})
    before = {table: rows(desk, table) for table in tables}
    told = exported(desk, files, Learner(id=ID, lms=OTHER_ORIGIN))["exams.json"]
    life.live()
    erased(desk, files)
    left = {table: rows(desk, table) for table in tables}
    for table in tables:
        assert [row for row in before[table] if row not in left[table]] == [], table
    assert exported(desk, files, Learner(id=ID, lms=OTHER_ORIGIN))["exams.json"] == told


def test_another_learner_of_the_same_lms_keeps_everything(
    desk: Desk, files: LocalFiles, life: ExamLife
) -> None:
    other = replace(life, user_id=OTHER_ID, email="o@x.example", username="other-one", name="O. T.")
    other._enter()
    attempt = other.register(other.exam("elsewhere", ClockOwner.LMS))
    other.sit(attempt)
    other.end(attempt)
    other._deliver()
    life.live()
    him = Learner(id=OTHER_ID, lms=ORIGIN)
    before = exported(desk, files, him)["exams.json"]
    erased(desk, files)
    assert exported(desk, files, him)["exams.json"] == before


def test_one_course_only(desk: Desk, files: LocalFiles, life: ExamLife) -> None:
    first, second, _ = life.live()
    with desk.storage.write() as tx:
        tx.run(
            update(exam_attempts)
            .where(exam_attempts.c.id == second.id)
            .values(course_id="course-v1:another")
        )
    done = erased(desk, files, replace(HIM, course=COURSE))
    assert (done.attempts, done.submissions) == (2, 1)
    with life.store.read() as session:
        assert session.attempts.get(first.id).learner.user_id == ""
        assert session.attempts.get(second.id).learner.obscured_id == life.obscured
        assert session.names("edx", second.learner) is not None


# -- by what he is known -------------------------------------------------------------------------


def test_by_his_obscured_id_all_of_him_is_found(
    desk: Desk, files: LocalFiles, life: ExamLife
) -> None:
    life.live()
    assert erased(desk, files, Learner(id=life.obscured, lms=ORIGIN)).submissions == 1
    assert traces(life) == []


def test_by_his_obscured_id_one_is_found_who_has_only_submitted_code(
    desk: Desk, files: LocalFiles, life: ExamLife
) -> None:
    life.desk.submit(f"{ORIGIN}/courses/{COURSE}/xqueue/{ID}/block-v1:x/score_update")
    assert retire(desk.storage, files, life.lms, life.obscured, secret_key=SECRET_KEY)
    assert traces(life) == []


def test_whom_staff_gave_time_before_he_came_is_found_by_his_name(
    desk: Desk, files: LocalFiles, store: ProctoringStore, life: ExamLife
) -> None:
    life.live()
    with store.write() as session:
        session.tx.run(text("DELETE FROM exam_learners WHERE learner NOT LIKE '@%'"))
    erased(desk, files)
    assert USERNAME in traces(life), "nothing ties that name to his number any more"
    erased(desk, files, replace(HIM, names=frozenset({USERNAME.upper(), EMAIL})))
    assert traces(life) == []


# -- what goes on --------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", list(ClockOwner))
def test_a_running_attempt_is_erased_only_if_asked_for_and_then_nobody_sees_it(
    desk: Desk, files: LocalFiles, store: ProctoringStore, life: ExamLife, owner: ClockOwner
) -> None:
    life._enter()
    exam = life.exam("running", owner)
    attempt = life.register(exam)
    life.sit(attempt)
    life._deliver()
    before = rows(desk, "exam_attempts")
    with pytest.raises(Conflict, match=rf"1 attempts .* \({attempt.id}\).*--also-unfinished"):
        erased(desk, files)
    assert rows(desk, "exam_attempts") == before
    done = erased(desk, files, also_unfinished=True)
    assert (done.attempts, done.attempts_ended) == (1, 1)
    assert traces(life) == []
    with store.read() as session, pytest.raises(NoSuch):
        session.attempts.get(attempt.id)
    with store.write() as session:
        assert session.attempts.run_out(limit=9) == []
    assert [each.flaw for each in check_all(store)] == [None]


def test_what_waits_for_a_judgement_or_for_somebody_to_be_told_is_unfinished(
    desk: Desk, files: LocalFiles, store: ProctoringStore, life: ExamLife
) -> None:
    first, _, _ = life.live()
    with store.write() as session:
        session.tx.run(
            text(
                "UPDATE callbacks SET state = 'pending' WHERE attempt_id = :of AND kind = 'event'"
            ),
            of=first.id,
        )
    with pytest.raises(Conflict, match="attempts are not finished or not delivered"):
        erased(desk, files)
    assert erased(desk, files, also_unfinished=True).attempts_ended == 1
    with store.read() as session:
        assert session.attempts.get(first.id).status == "verified", "it had ended"
        states = session.tx.all(text("SELECT DISTINCT state FROM callbacks ORDER BY 1"))
    assert [row.state for row in states] == ["cancelled", "delivered"]


def test_a_message_that_is_being_sent_must_come_to_its_end_first(
    desk: Desk, files: LocalFiles, store: ProctoringStore, life: ExamLife
) -> None:
    first, *_ = life.live()
    with store.write() as session:
        claim = update(callbacks).where(callbacks.c.attempt_id == first.id)
        values = {"state": "pending", "claim_token": b"t" * 16, "next_at": NOW + 60_000_000}
        session.tx.run(claim.values(values), now=session.tx.now)
    before = rows(desk, "exam_attempts")
    with pytest.raises(Conflict, match="being sent at this moment"):
        erased(desk, files, also_unfinished=True)
    assert rows(desk, "exam_attempts") == before
    assert not retire(desk.storage, files, life.lms, life.obscured, secret_key=SECRET_KEY)
    desk.clock.advance(61)
    assert retire(desk.storage, files, life.lms, life.obscured, secret_key=SECRET_KEY)
    assert traces(life) == []
    assert retire(desk.storage, files, life.lms, life.obscured, secret_key=SECRET_KEY), "once more"


def test_who_asks_again_for_an_answer_that_named_him_is_told_that_nobody_knows(
    desk: Desk, files: LocalFiles, store: ProctoringStore, life: ExamLife
) -> None:
    life.live()
    untouched = digest("another", "key")
    with store.write() as session:
        idempotency.begin(session.tx, untouched, b"q" * 32)
        body = json.dumps({"attempt_id": int(ID), "user_id": OTHER_ID}).encode()
        kept = idempotency.Answer(status=200, body=body, location=None)
        idempotency.finish(session.tx, untouched, kept)
    erased(desk, files)
    with store.write() as session:
        known = idempotency.begin(session.tx, digest("a key", life.obscured), b"r" * 32)
        assert known is not None, "it must not be done again"
        assert known.answer is None
        other = idempotency.begin(session.tx, untouched, b"q" * 32)
    assert other is not None
    assert other.answer == kept


# -- an erasure that is none ---------------------------------------------------------------------


def test_who_takes_a_learner_from_an_attempt_or_gives_it_to_another_is_found_out(
    desk: Desk, files: LocalFiles, store: ProctoringStore, life: ExamLife
) -> None:
    first, second, _ = life.live()

    def flaw_with(**values: str) -> str | None:
        change = update(exam_attempts).where(exam_attempts.c.id == first.id).values(values)
        with desk.storage.write() as tx:
            tx.run(change)
        return check_one(store, first.id).flaw

    assert flaw_with(user_id=OTHER_ID) == "its learner is not the one of row 1"
    assert flaw_with(user_id="") == "its learner is not the one of row 1"
    assert flaw_with(user_id=ID) is None
    with desk.storage.write() as tx:
        tx.run(
            update(exam_attempt_history)
            .where(exam_attempt_history.c.attempt_id == second.id)
            .values(reason=None)
        )
    assert check_one(store, second.id).flaw == "the reason of row 4 was removed"
    erased(desk, files)
    assert flaw_with(user_id="") is None
    assert flaw_with(user_id=OTHER_ID) == "it was erased, but has a learner"


def test_an_erased_attempt_takes_no_more_of_its_learner(
    desk: Desk, files: LocalFiles, store: ProctoringStore, life: ExamLife
) -> None:
    first, *_ = life.live()
    erased(desk, files)
    with store.write() as session, pytest.raises(NoSuch):
        session.attempts.by_external_id("edx", first.external_id)
    with store.write() as session, pytest.raises(Refused):
        attempts.act(session, first.id, Action.START, LEARNER)


# -- the commands --------------------------------------------------------------------------------


def test_the_commands_say_what_of_exams_there_is(
    desk: Desk, life: ExamLife, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = desk.storage.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("XQUEUE_DATABASE_URL", given.replace("postgresql+psycopg", "postgresql"))
    monkeypatch.setenv("XQUEUE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XQUEUE_SECRET_KEY", SECRET_KEY.decode())
    life.live()

    def run(*arguments: str, input: str | None = None) -> Any:
        return CliRunner().invoke(main, ["learner", *arguments], input=input)

    archive = run("export", ID, "--lms", ORIGIN)
    assert sorted(zipfile.ZipFile(io.BytesIO(archive.stdout_bytes)).namelist()) == [
        "exams.json",
        "submissions.json",
    ]
    assert "1 submissions, 3 attempts" in archive.stderr
    asked = run("erase", ID, "--lms", ORIGIN, input="n\n")
    assert "Erase 1 submissions and 3 attempts at exams of this learner" in asked.output
    done = run("erase", ID, "--lms", ORIGIN, "--name", USERNAME, "--yes")
    assert "3 attempts at exams are nobody's now" in done.output
    assert traces(life) == []
