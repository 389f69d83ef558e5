"""A learner's data: all of it is handed out, and after an erasure none of it is left."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, text
from sqlalchemy.engine import make_url

from tests.server.builders import COURSE, INVALID_GRADE, ORIGIN, Desk, callback_url, grade, lms_body
from tests.support.services import missing_service
from xqueue_server.cli.main import main
from xqueue_server.errors import Conflict, NotFound, WrongKey
from xqueue_server.files.local import LocalFiles
from xqueue_server.learner_data import Erased, Learner, erase, export, pseudonym
from xqueue_server.leasing import FailureKind
from xqueue_server.results import IncomingResult, receive
from xqueue_server.storage import callbacks, submissions, transitions
from xqueue_server.storage.attempts import Ending, record
from xqueue_server.storage.operations_schema import regrade_batches, regrades
from xqueue_server.submission import FileReference, SubmissionEvent, SubmissionState

ID = "471147114711"
OTHER = "815815815815"
CODE = "print('zebra-code-of-the-learner')"
FILE = b"zebra-file-of-the-learner"
FEEDBACK = "zebra-feedback-to-the-learner"
DETAIL = "zebra-detail-of-a-fault"
LMS_KEY = "zebra-key-of-the-lms"
OTHER_LMS = "https://other.example.org"
SECRET_KEY = b"s" * 32
SECRETS = (ID, "zebra")

LEARNER = Learner(id=ID, lms=ORIGIN)


def url(block: int = 0, *, user: str = ID, origin: str = ORIGIN) -> str:
    return callback_url(f"{block:032}", origin=origin).replace("/xqueue/42/", f"/xqueue/{user}/")


def submit(desk: Desk, at: str | None = None, *files: FileReference) -> int:
    body = lms_body(response=CODE, payload="the secret tests of the course")
    return desk.submit(at or url(), body=body, key=LMS_KEY, files=files)


def save(files: LocalFiles) -> FileReference:
    blob, size = files.save(io.BytesIO(FILE), limit_bytes=1000)
    return FileReference(name="zebra.py", blob=blob, size_bytes=size)


def finish(desk: Desk, leased: Any = None) -> None:
    desk.put(leased or desk.lease(), grade(msg=f"<p>{FEEDBACK}</p>"))
    due = desk.claim_callback()
    with desk.storage.write() as tx:
        ending = Ending(status=200, error=DETAIL, response=DETAIL, duration_us=1)
        record(tx, due.id, ending)
    desk.deliver(due)


def full_life(desk: Desk, files: LocalFiles) -> int:
    """A submission that leaves traces wherever one can."""
    submission_id = submit(desk, url(), save(files))
    desk.fail(desk.lease(), FailureKind.GRADER, DETAIL)
    with desk.storage.write() as tx:
        held = submissions.get_locked(tx, submission_id)
        transitions.change(
            tx, held, SubmissionEvent.RELEASE, actor="operator", attempt=1, available_at=None
        )
    finish(desk)
    with desk.storage.write() as tx:
        batch = tx.scalar(
            insert(regrade_batches).returning(regrade_batches.c.id),
            requested_at=desk.see(submission_id).arrived_at,
            requested_by="operator",
            reason="a wrong test",
            selection=f"learner={ID} course={COURSE}",
        )
        tx.run(
            insert(regrades),
            batch_id=batch,
            submission_id=submission_id,
            state="failed",
            started_at=desk.see(submission_id).arrived_at,
            detail=DETAIL,
        )
    return submission_id


def erased(desk: Desk, files: LocalFiles, learner: Learner = LEARNER, **options: Any) -> Erased:
    return erase(
        desk.storage, files, learner, secret_key=SECRET_KEY, actor="operator test", **options
    )


# -- dumps ---------------------------------------------------------------------------------------


def dump(desk: Desk) -> bytes:
    """Everything that the database would show to somebody who reads all of it."""
    parsed = desk.storage.engine.url
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_dump(Path(str(parsed.database)))
    return _postgres_dump(parsed.render_as_string(hide_password=False))


def _sqlite_dump(path: Path) -> bytes:
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes()


def _postgres_dump(given: str) -> bytes:
    if not shutil.which("pg_dump"):
        missing_service("pg_dump")
    of = make_url(given)
    where = ("-h", str(of.host), "-p", str(of.port or 5432), "-U", str(of.username))
    done = subprocess.run(
        ["pg_dump", "--data-only", *where, "-d", str(of.database)],
        env=os.environ | {"PGPASSWORD": str(of.password)},
        capture_output=True,
        check=True,
    )
    return done.stdout


def traces(desk: Desk) -> list[str]:
    """Of the secrets, those that are in the database: as text, or as pg_dump writes bytes."""
    found = dump(desk)
    return [s for s in SECRETS if s.encode() in found or s.encode().hex().encode() in found]


# -- erasing -------------------------------------------------------------------------------------


def test_after_an_erasure_neither_id_nor_code_is_left_in_the_database(
    desk: Desk, files: LocalFiles, tmp_path: Path
) -> None:
    full_life(desk, files)
    assert traces(desk) == list(SECRETS), "otherwise this test proves nothing"

    assert erased(desk, files) == Erased(submissions=1, files=1)

    assert traces(desk) == []
    assert [p for p in (tmp_path / "files").rglob("*") if p.is_file()] == []


def test_what_was_counted_stays_counted(desk: Desk, files: LocalFiles) -> None:
    submission_id = full_life(desk, files)
    before = desk.see(submission_id)
    tables = ("submissions", "results", "callbacks", "timings", "faults", "regrades")
    counts = [desk.count(table) for table in tables]
    erased(desk, files)
    after = desk.see(submission_id)
    assert (after.state, after.queue, after.course) == (before.state, before.queue, COURSE)
    assert (after.arrived_at, after.ended_at) == (before.arrived_at, before.ended_at)
    assert after.callback_url == url(user="erased")
    assert [desk.count(table) for table in tables] == counts


def test_others_are_not_touched(desk: Desk, files: LocalFiles) -> None:
    submit(desk)
    finish(desk)
    theirs = save(files)
    for at in (url(1, user=OTHER), url(1, origin=OTHER_LMS)):
        submit(desk, at, theirs)
        desk.put(desk.lease(), grade(msg=FEEDBACK))
    with desk.storage.write() as tx:
        tx.run(text("UPDATE callbacks SET state = 'delivered', next_at = NULL"))
    before = _rows_of_others(desk)
    assert erased(desk, files).submissions == 1
    assert _rows_of_others(desk) == before
    files.open(theirs.blob).close()


def _rows_of_others(desk: Desk) -> list[Any]:
    found: list[Any] = []
    with desk.storage.read() as tx:
        for table in ("submissions", "contents", "results", "callbacks", "events"):
            column = "id" if table == "submissions" else "submission_id"
            rows = tx.all(text(f"SELECT * FROM {table} WHERE {column} IN (2, 3) ORDER BY 1"))
            found += [tuple(row) for row in rows]
    return found


def test_one_course_only(desk: Desk, files: LocalFiles) -> None:
    mine = submit(desk)
    finish(desk)
    elsewhere = submit(desk, url(1).replace("101+2026_T1/xqueue", "102+2026_T1/xqueue"))
    finish(desk)
    course = Learner(id=ID, lms=ORIGIN, course=COURSE)
    assert erased(desk, files, course).submissions == 1
    assert ID not in desk.see(mine).callback_url
    assert ID in desk.see(elsewhere).callback_url


def test_who_is_not_there_is_not_erased(desk: Desk, files: LocalFiles) -> None:
    submit(desk)
    finish(desk)
    with pytest.raises(NotFound):
        erased(desk, files, Learner(id=ID, lms=OTHER_LMS))
    with pytest.raises(NotFound):
        erased(desk, files, Learner(id=OTHER, lms=ORIGIN))
    erased(desk, files)
    with pytest.raises(NotFound):
        erased(desk, files)


def test_submissions_of_the_previous_release_are_found(desk: Desk, files: LocalFiles) -> None:
    submit(desk)
    finish(desk)
    with desk.storage.write() as tx:
        tx.run(text("UPDATE contents SET course = '', learner = '', problem = ''"))
    desk.clock.advance(61)
    assert erased(desk, files).submissions == 1
    assert traces(desk) == []


def _queued(desk: Desk) -> Any:
    submit(desk)


def _leased(desk: Desk) -> Any:
    submit(desk)
    return desk.lease()


def _held(desk: Desk) -> Any:
    submit(desk)
    leased = desk.lease()
    desk.put(leased, INVALID_GRADE)
    return leased


def _undelivered(desk: Desk) -> Any:
    submit(desk)
    leased = desk.lease()
    desk.put(leased, grade(msg=FEEDBACK))
    return leased


@pytest.mark.parametrize(
    ("begin", "ended", "state"),
    [
        (_queued, 1, SubmissionState.SUPERSEDED),
        (_leased, 1, SubmissionState.SUPERSEDED),
        (_held, 1, SubmissionState.SUPERSEDED),
        (_undelivered, 0, SubmissionState.GRADED),
    ],
)
def test_what_somebody_waits_for_is_erased_only_if_asked_for(
    desk: Desk, files: LocalFiles, begin: Any, ended: int, state: SubmissionState
) -> None:
    leased = begin(desk)
    before = desk.see(1)
    with pytest.raises(Conflict, match="--also-unfinished"):
        erased(desk, files)
    assert desk.see(1) == before

    done = erased(desk, files, also_unfinished=True)

    assert done == Erased(submissions=1, files=0, ended=ended)
    assert desk.see(1).state is state
    assert [s for s, _ in desk.outgoing(1) if s == "pending"] == [], "the LMS is not told"
    assert desk.try_lease() is None
    assert traces(desk) == []
    if leased is not None:
        with pytest.raises(WrongKey):
            desk.put(leased, grade(msg=FEEDBACK))
        assert traces(desk) == [], "a late result brings nothing back"


def test_a_result_of_an_earlier_lease_brings_nothing_back(desk: Desk, files: LocalFiles) -> None:
    submit(desk)
    early = desk.lease()
    desk.sweep_after(601)
    finish(desk)
    erased(desk, files)
    incoming = IncomingResult(submission_id=1, key=early.key, body=grade(msg=FEEDBACK))
    with pytest.raises(WrongKey):
        receive(desk.storage, desk.grader, incoming)
    assert traces(desk) == []


def test_a_callback_that_is_being_sent_must_come_to_its_end_first(
    desk: Desk, files: LocalFiles
) -> None:
    _undelivered(desk)
    due = desk.claim_callback()
    with pytest.raises(Conflict, match="repeat the command"):
        erased(desk, files, also_unfinished=True)
    assert desk.deliver(due)
    assert erased(desk, files).submissions == 1


def test_a_dead_callback_is_not_replayed_any_more(desk: Desk, files: LocalFiles) -> None:
    _undelivered(desk)
    with desk.storage.write() as tx:
        tx.run(text("UPDATE callbacks SET state = 'dead', next_at = NULL"))
    erased(desk, files)
    with pytest.raises(Conflict), desk.storage.write() as tx:
        callbacks.replay(tx, 1, actor="operator")


def test_the_record_of_an_erasure_names_nobody(desk: Desk, files: LocalFiles) -> None:
    submit(desk)
    finish(desk)
    erased(desk, files)
    statement = text("SELECT subject, actor, why, detail FROM events WHERE why = 'erased'")
    with desk.storage.read() as tx:
        (row,) = tx.all(statement)
    assert row.subject == f"learner {pseudonym(LEARNER, SECRET_KEY)}"
    assert (row.actor, bytes(row.detail)) == ("operator test", b"1 submissions, 0 files")
    assert ID not in row.subject
    assert pseudonym(LEARNER, SECRET_KEY) != pseudonym(LEARNER, b"t" * 32)
    assert pseudonym(LEARNER, SECRET_KEY) != pseudonym(Learner(id=ID, lms=OTHER_LMS), SECRET_KEY)


# -- handing out ---------------------------------------------------------------------------------


def exported(desk: Desk, files: LocalFiles) -> tuple[dict[str, Any], zipfile.ZipFile, str]:
    target = io.BytesIO()
    export(desk.storage, files, LEARNER, target)
    archive = zipfile.ZipFile(target)
    told = archive.read("submissions.json").decode()
    return json.loads(told), archive, told


def test_an_export_has_code_files_results_callbacks_and_events(
    desk: Desk, files: LocalFiles
) -> None:
    submission_id = full_life(desk, files)
    document, archive, _ = exported(desk, files)
    assert (document["learner"], document["lms"]) == (ID, ORIGIN)
    (given,) = document["submissions"]
    assert (given["id"], given["course"], given["state"]) == (submission_id, COURSE, "graded")
    assert given["sent"]["student_response"] == CODE
    (file,) = given["files"]
    assert (file["name"], archive.read(file["in_archive"])) == ("zebra.py", FILE)
    assert FEEDBACK in given["results"][-1]["body"]
    assert [c["state"] for c in given["callbacks"]] == ["delivered"]
    assert {"arrive", "lease", "accept"} <= {event["why"] for event in given["events"]}


def test_an_export_has_neither_the_courses_payload_nor_the_key_of_the_lms(
    desk: Desk, files: LocalFiles
) -> None:
    full_life(desk, files)
    _, _, told = exported(desk, files)
    assert "secret tests" not in told
    assert LMS_KEY not in told


def test_an_export_is_of_one_learner_of_one_lms(desk: Desk, files: LocalFiles) -> None:
    first = submit(desk)
    submit(desk, url(1, user=OTHER))
    submit(desk, url(2, origin=OTHER_LMS))
    last = submit(desk, url(3))
    document, _, _ = exported(desk, files)
    assert [s["id"] for s in document["submissions"]] == [first, last]


def test_what_is_no_json_and_a_file_that_is_gone_are_exported_as_what_they_are(
    desk: Desk, files: LocalFiles
) -> None:
    gone = save(files)
    desk.submit(url(), body="no JSON", files=(gone,))
    files.remove(gone.blob)
    document, _, _ = exported(desk, files)
    (given,) = document["submissions"]
    assert given["sent"] == "no JSON"
    assert [f["in_archive"] for f in given["files"]] == [None]


# -- the commands --------------------------------------------------------------------------------


@pytest.fixture
def command(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    given = desk.storage.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("XQUEUE_DATABASE_URL", given.replace("postgresql+psycopg", "postgresql"))
    monkeypatch.setenv("XQUEUE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XQUEUE_SECRET_KEY", SECRET_KEY.decode())

    def run(*arguments: str, input: str | None = None, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(main, arguments, input=input, catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        return result

    return run


def test_the_command_writes_an_archive_to_standard_output(
    desk: Desk, files: LocalFiles, command: Any
) -> None:
    submit(desk, url(), save(files))
    result = command("learner", "export", ID, "--lms", "HTTPS://LMS.example.org/")
    archive = zipfile.ZipFile(io.BytesIO(result.stdout_bytes))
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == ["files/1-1", "submissions.json"]


def test_the_command_asks_before_it_erases(desk: Desk, command: Any) -> None:
    submit(desk)
    finish(desk)
    asked = command("learner", "erase", ID, "--lms", ORIGIN, input="n\n", exit_code=1)
    assert "Erase 1 submissions of this learner for good?" in asked.output
    assert ID in desk.see(1).callback_url
    done = command("learner", "erase", ID, "--lms", ORIGIN, input="y\n")
    assert "Erased 1 submissions and 0 files" in done.output
    assert traces(desk) == []


def test_the_command_says_what_is_wrong(desk: Desk, command: Any) -> None:
    submit(desk)
    unknown = command("learner", "erase", OTHER, "--lms", ORIGIN, "--yes", exit_code=1)
    assert "check the id and --lms" in unknown.output
    unfinished = command("learner", "erase", ID, "--lms", ORIGIN, "--yes", exit_code=1)
    assert "1 submissions are not finished or not delivered (1)" in unfinished.output
    no_origin = command("learner", "erase", ID, "--lms", "lms", "--yes", exit_code=2)
    assert "is not an origin" in no_origin.output
    command("learner", "erase", ID, "--lms", ORIGIN, "--yes", "--also-unfinished")
