"""What is logged: ids and facts; never a learner's code, a password, a key or a file's address."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from tests.server.builders import (
    INVALID_GRADE,
    LEARNER_CODE,
    PASSWORD,
    QUEUE,
    Desk,
    change_queue,
    grade,
    lms_body,
    lms_header,
)
from tests.server.web_client import Server
from xqueue_server.cli.sweep import sweep_forever
from xqueue_server.dispatch import NoDispatcher
from xqueue_server.monitoring.logs import JsonFormatter, note_request

GRADER_WORDS = "words of the grader in no log"
FEEDBACK = grade(msg=f"<p>{GRADER_WORDS}</p>")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[_Lines]:
    caplog.set_level(logging.DEBUG)
    caplog.handler.addFilter(note_request)
    yield _Lines(caplog)
    caplog.handler.removeFilter(note_request)


class _Lines:
    """Everything that was logged, as the server would write it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def text(self) -> str:
        formatter = JsonFormatter()
        return "\n".join(formatter.format(record) for record in self._caplog.records)

    @property
    def requests(self) -> list[dict[str, object]]:
        found = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in found if line.get("action") == "request"]

    def assert_silent_about(self, *secrets: str) -> None:
        for secret in (PASSWORD, LEARNER_CODE, GRADER_WORDS, *secrets):
            assert secret not in self.text
            assert json.dumps(secret)[1:-1] not in self.text


def test_a_whole_life_of_a_submission_is_logged_without_its_contents(
    server: Server, lines: _Lines
) -> None:
    login = server.nobody.raw(
        "POST", "/xqueue/login/", data={"username": "lms", "password": PASSWORD}
    )
    session = login.headers["Set-Cookie"].split("sessionid=")[1].split(";")[0]
    server.lms.submit()
    server.lms.submit(lms_header(key="an-lms-key"), code=(io.BytesIO(b"file code"), "f.py"))
    given = server.grader.fetch()
    server.grader.post("renew_lease", xqueue_header=given.header)
    server.grader.put(given, INVALID_GRADE)
    server.grader.put(given, FEEDBACK)
    other = server.grader.fetch()
    server.grader.post(
        "put_failure", xqueue_header=other.header, kind="grader", detail=GRADER_WORDS
    )
    server.nobody.post("login", username="lms", password="wrong " + PASSWORD)
    assert lines.requests
    lines.assert_silent_about(session, "an-lms-key", given.key, other.key, "file code")


def test_the_log_names_request_account_and_submission(server: Server, lines: _Lines) -> None:
    server.lms.submit()
    server.grader.fetch()
    submit, fetch = lines.requests
    assert (submit["path"], submit["status"], submit["account"]) == ("/xqueue/submit/", 200, "lms")
    assert submit["submission_id"] == fetch["submission_id"] == 1
    assert (fetch["queue"], fetch["attempt"], fetch["account"]) == (QUEUE, 1, "grader")
    assert submit["request_id"] != fetch["request_id"]
    assert submit["request_id"] == server.desk.events_of(1)[0].request_id


def test_each_line_that_a_request_causes_names_it_and_no_other_line_does(
    server: Server, lines: _Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(server.services.files, "save", full)
    answer = server.lms.raw(
        "POST",
        "/xqueue/submit/",
        data={
            "xqueue_header": lms_header(),
            "xqueue_body": lms_body(),
            "f": (io.BytesIO(b"x"), "f"),
        },
    )
    logging.getLogger("xqueue_server").warning("afterwards")
    logged = [json.loads(line) for line in lines.text.splitlines()]
    caused = [line for line in logged if line.get("action") in ("save_files", "request")]
    assert {line["action"] for line in caused} == {"save_files", "request"}
    assert {line["request_id"] for line in caused} == {answer.headers["X-Request-ID"]}
    assert [
        line for line in logged if line["message"] == "afterwards" and "request_id" in line
    ] == []


def test_the_address_of_a_file_is_a_credential_and_not_logged(
    server: Server, lines: _Lines
) -> None:
    server.lms.submit(f=(io.BytesIO(b"x"), "f"))
    url = json.loads(server.grader.fetch().files_json)["f"]
    path = urlsplit(url).path
    assert server.nobody.raw("GET", path).status_code == 200
    lines.assert_silent_about(path, path.rsplit("/", 1)[1])
    assert lines.requests[-1]["path"] == "/xqueue/files/<blob>/<int:expires>/<signature>"


def test_what_the_stages_pass_around_shows_neither_contents_nor_keys(desk: Desk) -> None:
    submission_id = desk.submit(key="the LMS's secret")
    leased = desk.lease()
    shown = [leased, desk.see(submission_id)]
    desk.put(leased, FEEDBACK)
    shown += [*desk.results_of(submission_id), desk.claim_callback()]
    for secret in (LEARNER_CODE, GRADER_WORDS, "the LMS's secret", leased.key):
        assert secret not in repr(shown)


class _OneSweep(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        stopped = self.is_set()
        self.set()
        return stopped


def test_what_time_alone_changes_is_logged(desk: Desk, lines: _Lines) -> None:
    change_queue(desk.storage, max_attempts=2, give_up_after_s=60)
    desk.submit()
    for seconds in (600, 600, 60):
        desk.try_lease()
        desk.clock.advance(seconds)
        sweep_forever(desk.storage, NoDispatcher(), _OneSweep())
    logged = [json.loads(line) for line in lines.text.splitlines()]
    assert [(line["action"], line["count"]) for line in logged] == [
        ("leases_expired", 1),
        ("submissions_held", 1),
        ("submissions_given_up", 1),
    ]


def test_unknown_paths_and_queries_are_not_logged(server: Server, lines: _Lines) -> None:
    server.nobody.raw("GET", "/some/secret-path?token=secret-token")
    server.nobody.raw("GET", "/xqueue/get_submission/?queue_name=secret-token")
    lines.assert_silent_about("secret-path", "secret-token")


@pytest.mark.parametrize("table", ["contents", "results", "leases", "events", "callbacks"])
def test_a_fault_of_the_database_is_logged_without_what_was_to_be_stored(
    server: Server, lines: _Lines, table: str
) -> None:
    server.lms.submit(body="not json")
    given = server.grader.fetch()
    with server.desk.storage.write() as tx:
        tx.run(text(f"ALTER TABLE {table} RENAME TO {table}_gone"))
    try:
        answers = [
            server.lms.submit(),
            server.grader.put(given, FEEDBACK),
            server.grader.try_fetch(),
        ]
    finally:
        with server.desk.storage.write() as tx:
            tx.run(text(f"ALTER TABLE {table}_gone RENAME TO {table}"))
    faults = [a for a in answers if a.code == 1 and a.content.startswith("Internal error")]
    assert faults, answers
    assert "unexpected_error" in lines.text
    lines.assert_silent_about(given.key)


def test_a_row_that_the_database_refuses_is_logged_without_its_contents(
    server: Server, lines: _Lines
) -> None:
    """PostgreSQL repeats a failing row in the error's DETAIL."""
    if server.desk.storage.engine.dialect.name != "postgresql":
        return
    rule = "ALTER TABLE contents ADD CONSTRAINT refuse CHECK (length(body) < 10)"
    with server.desk.storage.write() as tx:
        tx.run(text(rule))
    try:
        answer = server.lms.submit()
    finally:
        with server.desk.storage.write() as tx:
            tx.run(text("ALTER TABLE contents DROP CONSTRAINT refuse"))
    assert answer.content.startswith("Internal error")
    lines.assert_silent_about(lms_body().encode().hex()[:40], "Failing row")


def test_a_line_is_one_json_object_whatever_it_holds() -> None:
    record = logging.makeLogRecord(
        {"name": "n", "levelname": "INFO", "msg": "a\nb \ud800 %s", "args": ("x",), "odd": object()}
    )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "a\nb \ud800 x"


def test_a_fault_is_logged_with_its_traceback_in_the_same_line() -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
    record = logging.makeLogRecord({"msg": "m", "exc_info": info})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "ValueError: boom" in json.loads(line)["exception"]
