"""A learner's data: all of it is handed out, and after an erasure none of it is left."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import IO, Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import LargeBinary, String, bindparam, insert, inspect, text, update

from tests.server.builders import COURSE, INVALID_GRADE, ORIGIN, Desk, callback_url, grade, lms_body
from tests.time import database_dumps
from tests.time.exam_life import OF_A_LEARNER_IN_EXAMS
from xqueue_server.cli.main import main
from xqueue_server.errors import Conflict, FilesUnavailable, NotFound, WrongKey
from xqueue_server.files.local import LocalFiles
from xqueue_server.models.scope import EVERYTHING
from xqueue_server.models.selection import Selection
from xqueue_server.models.submission import FileReference, SubmissionEvent, SubmissionState
from xqueue_server.repair import bulk
from xqueue_server.storage import callbacks, submissions, transitions
from xqueue_server.storage.attempts import Ending, record
from xqueue_server.storage.operations_schema import regrade_batches, regrades
from xqueue_server.storage.schema import metadata
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.submissions.results import IncomingResult, receive
from xqueue_server.upkeep.learner_data import Erased, Learner, erase, export, pseudonym

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


def handed_out(desk: Desk, files: LocalFiles, target: IO[bytes]) -> None:
    export(desk.storage, files, LEARNER, target, secret_key=SECRET_KEY, actor="operator test")


# -- traces -------------------------------------------------------------------------------------


def traces(desk: Desk) -> list[str]:
    return database_dumps.traces(desk.storage, SECRETS)


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
    statement = text(
        "SELECT subject, actor, why, detail FROM events WHERE why = 'erased' ORDER BY id"
    )
    with desk.storage.read() as tx:
        of_submission, row = tx.all(statement)
    assert (of_submission.subject, of_submission.actor) == ("submission 1", "operator test")
    assert row.subject == f"learner {pseudonym(LEARNER, SECRET_KEY)}"
    assert (row.actor, bytes(row.detail)) == ("operator test", b"1 submissions, 0 files")
    assert ID not in row.subject
    assert pseudonym(LEARNER, SECRET_KEY) != pseudonym(LEARNER, b"t" * 32)
    assert pseudonym(LEARNER, SECRET_KEY) != pseudonym(Learner(id=ID, lms=OTHER_LMS), SECRET_KEY)


def test_what_was_erased_before_another_could_not_be_is_on_record(
    desk: Desk, files: LocalFiles
) -> None:
    submit(desk)
    finish(desk)
    submit(desk, url(1))
    desk.put(desk.lease(), grade(msg=FEEDBACK))
    due = desk.claim_callback()
    with pytest.raises(Conflict, match="being sent"):
        erased(desk, files, also_unfinished=True)
    statement = text("SELECT detail FROM events WHERE subject LIKE 'learner %'")
    with desk.storage.read() as tx:
        assert [bytes(row.detail) for row in tx.all(statement)] == [b"1 submissions, 0 files"]
    desk.deliver(due)
    assert erased(desk, files).submissions == 1


def test_the_record_of_what_was_done_to_many_names_the_learner_no_more(
    desk: Desk, files: LocalFiles
) -> None:
    submission_id = submit(desk)
    finish(desk)
    selection = Selection(learner=ID, since=desk.see(submission_id).arrived_at)
    for whom, reason, count in (
        (selection, f"the test was wrong for {ID}", 1),
        (Selection(learner=f"{ID}1"), "somebody else", 0),
    ):
        bulk.regrade(
            desk.storage, whom, EVERYTHING, reason=reason, actor="operator test", confirmed=count
        )
    assert ID in traces(desk)

    erased(desk, files, also_unfinished=True)

    with desk.storage.read() as tx:
        details = [
            bytes(row.detail).decode()
            for row in tx.all(text("SELECT detail FROM events WHERE detail IS NOT NULL"))
        ]
    assert [d for d in details if re.search(rf"{ID}(?!1)", d)] == []
    assert any(f"learner={ID}1" in d for d in details), "another learner's id stays whole"
    with desk.storage.read() as tx:
        row = tx.one(text("SELECT reason, selection FROM regrade_batches WHERE id = 1"))
    assert row is not None
    assert bytes(row.reason) == b"the test was wrong for erased"
    assert bytes(row.selection).startswith(b"learner=erased since=")


def test_a_file_that_can_not_be_removed_is_not_counted_as_removed(
    desk: Desk, files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(desk, url(), save(files), save(files))
    finish(desk)
    gone: list[str] = []

    def remove(blob: str) -> None:
        if gone:
            raise FilesUnavailable("the S3 service can not be used")
        gone.append(blob)

    monkeypatch.setattr(files, "remove", remove)
    assert erased(desk, files) == Erased(submissions=1, files=1, files_left=1)


# -- every column that can hold something of a learner -------------------------------------------

OF_A_LEARNER = {
    "submissions": {"callback_url", "lms_key", "held_detail", "learner"},
    "contents": {"header", "body", "files", "learner"},
    "results": {"body"},
    "callbacks": {"url", "header", "body", "last_error"},
    "callback_attempts": {"error", "response"},
    "events": {"detail"},
    "regrades": {"detail"},
    "faults": {"signature", "detail"},
}
"""Text of learners, or of somebody who may quote them."""
OF_PEOPLE = {"regrade_batches": {"selection", "reason"}}
"""Theirs, about many learners; only the learner's id is taken out."""
NOT_HANDED_OUT = {
    # With it anybody could post a grade.
    ("submissions", "lms_key"),
    ("contents", "header"),
    ("callbacks", "header"),
    # The same as a result's, or in it.
    ("callbacks", "body"),
    # Of the grader: about many learners.
    ("faults", "signature"),
    ("faults", "detail"),
}
OF_NOBODY = {
    "submissions": """queue state request_id submitted_by lease_key leased_by accepted_key
        held_reason course""",
    "contents": "supersede_key course problem traceparent",
    "results": "key_hash disposition sent_by",
    "callbacks": "kind origin order_key state claim_token",
    "events": "subject actor from_state to_state why request_id",
    "regrades": "state",
    "regrade_batches": "requested_by",
    "faults": "kind_key queue grader kind",
    "console_sessions": "hash lms course_id",
    "exam_allowances": "kind granted_by",
    # Whose an attempt was, and why somebody did what, are in its history by keyed digests.
    "exam_attempt_history": """actor who action before after request_id facts reason_digest
        digest""",
    "exam_attempts": "lms course_id clock_owner exam_type status history_head",
    "exam_course_staff": "lms course_id granted_by",
    "exam_courses": "lms course_id provider escalation_email",
    "exam_incidents": "source reported_by consequences",
    "exam_learners": "lms",
    "exam_marks": "problem state",
    "exam_news": "lms course_id kind",
    "exam_reviews": "actor action reviewed_by reviewer_email effect",
    "exam_submissions": "standing state decided_by",
    "exams": """lms course_id content_id exam_name exam_type clock_owner external_id lms_exam_id
        provider_exam_id""",
    "idempotency_keys": "hash request_hash location",
}
"""The other columns of these tables: random, ours, of a course, or of staff."""
TABLES_OF_NOBODY = """
    accounts admin_sessions alembic_version api_tokens bundle_uploads bundles
    course_grants
    course_weights deadlines exam_claims exam_workers fault_submissions grader_versions graders
    grants identities lease_graders leases lmses load_minutes mark_sheets marks notifications
    origins proctoring_providers queue_policies queues readiness schema_compatibility signing_keys
    stored_files test_counts timings token_scopes trials used_tokens webhook_subscribers
    worker_hosts worker_wishes workers"""
"""Of people who run this, of course teams, of graders; of a submission or an attempt only numbers
and names of ours."""
CAN_HOLD_TEXT = (String, LargeBinary)


def test_of_every_column_it_is_said_whether_it_can_hold_something_of_a_learner(
    desk: Desk,
) -> None:
    """Of the tables that the migrations have made, so that a new one is not overlooked."""
    found = inspect(desk.storage.engine)
    for table in sorted(found.get_table_names()):
        if table in TABLES_OF_NOBODY.split():
            continue
        columns = {
            str(column["name"])
            for column in found.get_columns(table)
            if isinstance(column["type"], CAN_HOLD_TEXT)
        }
        known = OF_A_LEARNER | OF_A_LEARNER_IN_EXAMS | OF_PEOPLE
        said = known.get(table, set()) | set(OF_NOBODY.get(table, "").split())
        assert columns == said, f"{table}: see OF_A_LEARNER, `erase` and `export`"


def marked(desk: Desk, submission_id: int) -> dict[tuple[str, str], str]:
    """Put a text of its own into each column that can hold something of a learner."""
    marks: dict[tuple[str, str], str] = {}
    with desk.storage.write() as tx:
        for table, columns in OF_A_LEARNER.items():
            for column in columns - {"learner", "files", "callback_url", "url"}:
                mark = marks[table, column] = f"zebra-mark-{table}-{column}"
                of = metadata.tables[table]
                statement = update(of).values({column: bindparam("mark", type_=of.c[column].type)})
                if "submission_id" in of.c:  # events are of queues and accounts too
                    statement = statement.where(of.c.submission_id == submission_id)
                assert tx.run(statement, mark=mark) > 0, table
    return marks


def test_everything_that_can_hold_something_of_a_learner_is_handed_out_and_erased(
    desk: Desk, files: LocalFiles
) -> None:
    marks = marked(desk, full_life(desk, files))
    target = io.BytesIO()
    handed_out(desk, files, target)
    told = zipfile.ZipFile(target).read("submissions.json").decode()
    assert {where for where, mark in marks.items() if mark not in told} == NOT_HANDED_OUT
    assert url() in told

    erased(desk, files)

    assert traces(desk) == []


# -- handing out ---------------------------------------------------------------------------------


def exported(desk: Desk, files: LocalFiles) -> tuple[dict[str, Any], zipfile.ZipFile, str]:
    target = io.BytesIO()
    handed_out(desk, files, target)
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
