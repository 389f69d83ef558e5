"""Whoever of a course's staff is shown learners by the exam service, or by a command, is on record:
who, whom, when, once for a while of looking."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.proctoring.conftest import COURSE, SECRET_KEY, MakeExam
from tests.proctoring.exam_pages import SERVED, Page, application, person
from xqueue_server.cli.main import main
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring.looks import AGAIN_AFTER_S


@pytest.fixture
def client(storage: Storage, store: ProctoringStore, clock: ManualClock) -> FlaskClient:
    with store.write() as session:
        session.lmses.replace(SERVED)
    return application(storage, store, clock).test_client()


def looked(storage: Storage) -> list[tuple[str, str]]:
    """(whom, who), oldest first."""
    statement = text("SELECT subject, actor FROM events WHERE why = 'looked' ORDER BY id")
    with storage.read() as tx:
        return [(row.subject, row.actor) for row in tx.all(statement)]


def test_instructors_are_named_by_the_id_that_the_lms_has_for_them(
    storage: Storage, client: FlaskClient, clock: ManualClock, make_exam: MakeExam
) -> None:
    exam, other = make_exam(), make_exam(content_id="b", external_id="exam-2")
    jane = Page(client, clock, person(17, "jane"))
    staff = Page(client, clock, person(99, "boss", roles=[f"staff:{COURSE}"]))
    jane.begun(exam, start_clock="false")
    assert jane.exam(exam)["attempt"] != {}
    assert looked(storage) == [], "his own"
    attempts = f"/api/v1/instructor_view/course_id/{COURSE}/attempts?exam_id={exam.id}"
    assert jane.get(attempts).status_code == 403
    assert looked(storage) == []
    for _ in range(3):
        assert staff.get(attempts).json["results"][0]["username"] == "jane"
    by_staff = "lms edx user 99"
    assert looked(storage) == [(f"exam {exam.id}", by_staff)]
    allowances = f"/api/v1/exams/course_id/{COURSE}/allowances"
    staff.get(allowances)
    assert len(looked(storage)) == 1, "there is none to be seen"
    given = [{"username": "joe", "exam_id": other.id, "extra_time_mins": 5}]
    assert staff.ask("POST", allowances, given).status_code == 200
    assert staff.get(allowances).json[0]["username"] == "joe"
    assert looked(storage)[1:] == [(f"exam {other.id}", by_staff)]
    clock.advance(AGAIN_AFTER_S)
    staff.get(attempts)
    assert looked(storage)[2:] == [(f"exam {exam.id}", by_staff)]


def test_operators_are_on_record_too(
    storage: Storage,
    client: FlaskClient,
    clock: ManualClock,
    make_exam: MakeExam,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = storage.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("XQUEUE_DATABASE_URL", given.replace("postgresql+psycopg", "postgresql"))
    monkeypatch.setenv("XQUEUE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XQUEUE_SECRET_KEY", SECRET_KEY.decode())
    exam = make_exam()
    attempt = Page(client, clock, person(17, "jane")).begun(exam, start_clock="false")

    def run(*arguments: object) -> str:
        result = CliRunner().invoke(main, [str(each) for each in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    run("exam", "show", exam.id)
    assert looked(storage) == [], "nobody is to be seen there"
    for command, whom in (
        (("attempt", "list"), f"exam {exam.id}"),
        (("attempt", "show", attempt), f"attempt {attempt}"),
        (("incident", "list", attempt), f"attempt {attempt}"),
        (("exam", "marks", exam.id), f"exam {exam.id}"),
    ):
        with storage.write() as tx:
            tx.run(text("DELETE FROM events WHERE why = 'looked'"))
        run(*command)
        ((subject, actor),) = looked(storage)
        assert (subject, actor.startswith("operator ")) == (whom, True), command
    assert "looked" in run("event", "list", "--subject", f"exam {exam.id}")
