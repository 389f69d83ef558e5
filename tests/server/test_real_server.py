"""What only a real gunicorn with two processes can show: concurrency, sockets, a database cut."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from deploy.demo.processes import LongRunning, answers_http, command, free_port, stop_all
from tests.server.builders import (
    ORIGIN,
    QUEUE,
    Desk,
    add_queue,
    grade,
    lms_body,
    lms_header,
    open_desk,
)
from tests.server.test_claims import PULLERS, SUBMISSIONS, in_threads, insert
from tests.server.web_client import HandedOut, read_handed_out
from xqueue_server.accounts.sessions import Sessions
from xqueue_server.instant import ManualClock
from xqueue_server.models.account import Account
from xqueue_server.storage import open_storage

SECRET = "0123456789abcdef" * 2
FORM = "application/x-www-form-urlencoded"


class Connection:
    """One kept-alive connection of one account."""

    def __init__(self, port: int, session: str) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Cookie": f"sessionid={session}"}

    def send(self, method: str, path: str, body: bytes | None = None) -> dict[str, object]:
        headers = self._headers | ({"Content-Type": FORM} if body is not None else {})
        self._http.request(method, f"/xqueue/{path}", body=body, headers=headers)
        response = self._http.getresponse()
        answer = response.read()
        assert response.status == 200, answer
        parsed: dict[str, object] = json.loads(answer)
        return parsed

    def post(self, path: str, **fields: str) -> dict[str, object]:
        return self.send("POST", path, urlencode(fields).encode())

    def fetch(self, **query: str) -> HandedOut | None:
        asked = urlencode({"queue_name": QUEUE} | query)
        answer = self.send("GET", f"get_submission/?{asked}")
        if answer["return_code"] == 1:
            assert answer["content"] == f"Queue '{QUEUE}' is empty"
            return None
        return read_handed_out(str(answer["content"]))

    def close(self) -> None:
        self._http.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    port: int
    desk: Desk
    process: LongRunning

    def connect(self, account: Account) -> closing[Connection]:
        session = Sessions(SECRET.encode()).issue(account)
        return closing(Connection(self.port, session))


@pytest.fixture
def live(database_url: str, tmp_path: Path) -> Iterator[Live]:
    storage = open_storage(database_url)
    add_queue(storage)
    desk = open_desk(storage, ManualClock())
    port = free_port()
    process = LongRunning(
        "serve",
        command("xqueue-server", "serve", "--bind", f"127.0.0.1:{port}", "--workers", "2"),
        settings={
            "XQUEUE_DATA_DIR": str(tmp_path / "data"),
            "XQUEUE_DATABASE_URL": database_url,
            "XQUEUE_SECRET_KEY": SECRET,
            "XQUEUE_LMS_ORIGINS": ORIGIN,
            "XQUEUE_MAX_BODY_BYTES": "100000",
        },
        log_path=tmp_path / "serve.log",
    )
    try:
        process.wait_until(lambda: answers_http(f"http://127.0.0.1:{port}/readyz"), 60)
        yield Live(port=port, desk=desk, process=process)
        log = [json.loads(line) for line in process.log_path.read_text().splitlines()]
        assert {"gunicorn.error", "xqueue_server.web.routes"} <= {line["logger"] for line in log}
        assert not [line for line in log if "exception" in line]
    finally:
        stop_all([process])
        storage.close()


def test_sixteen_pullers_over_http_get_five_hundred_submissions_once_each(live: Live) -> None:
    arrived = [insert(live.desk) for _ in range(SUBMISSIONS)]

    def pull() -> list[int]:
        got = []
        with live.connect(live.desk.grader) as connection:
            while given := connection.fetch():
                got.append(given.submission_id)
        return got

    assert sorted(in_threads(PULLERS, pull)) == arrived
    assert live.desk.count("leases") == SUBMISSIONS


def test_a_submission_goes_all_the_way_and_connections_survive_what_was_refused(
    live: Live,
) -> None:
    """One server for several questions: starting it takes longer than they do."""
    with live.connect(live.desk.lms) as lms, live.connect(live.desk.grader) as grader:
        refused = lms.post("submit/", xqueue_header=lms_header(), xqueue_body="x" * 3_000_000)
        assert "too large" in str(refused["content"])
        taken = lms.post("submit/", xqueue_header=lms_header(), xqueue_body=lms_body())
        assert taken == {"return_code": 0, "content": "1"}
        given = grader.fetch(wait="20")
        assert given is not None
        done = grader.post("put_result/", xqueue_header=given.header, xqueue_body=grade())
        assert done == {"return_code": 0, "content": ""}
        assert live.desk.outgoing(given.submission_id) == [("pending", grade())]
        assert _chunked(live, lms_header(), lms_body())["content"] == "1"


def test_a_database_that_cuts_every_connection_is_not_noticed(live: Live) -> None:
    if live.desk.storage.engine.dialect.name != "postgresql":
        return
    with live.connect(live.desk.lms) as lms, live.connect(live.desk.grader) as grader:
        for expected in range(1, 6):
            answer = lms.post("submit/", xqueue_header=lms_header(), xqueue_body="not json")
            assert answer == {"return_code": 0, "content": str(expected)}
            _cut_all_but_ours(live)
        got = set()
        while given := grader.fetch():
            got.add(given.submission_id)
            _cut_all_but_ours(live)
    assert len(got) == 5
    assert live.desk.count("submissions") == 5


def _chunked(live: Live, header: str, body: str) -> dict[str, object]:
    """A body without a length, as some clients stream it."""
    session = Sessions(SECRET.encode()).issue(live.desk.lms)
    data = urlencode({"xqueue_header": header, "xqueue_body": body}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=60)
    headers = {"Content-Type": FORM, "Cookie": f"sessionid={session}"}
    with closing(connection):
        pieces = iter([data[:50], data[50:]])
        connection.request("POST", "/xqueue/submit/", pieces, headers, encode_chunked=True)
        parsed: dict[str, object] = json.loads(connection.getresponse().read())
        return parsed


def _cut_all_but_ours(live: Live) -> None:
    with live.desk.storage.read() as tx:
        tx.all(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid != pg_backend_pid()"
            )
        )


def test_a_submission_in_flight_when_the_server_is_told_to_stop_is_taken(live: Live) -> None:
    session = Sessions(SECRET.encode()).issue(live.desk.lms)
    body = urlencode({"xqueue_header": lms_header(), "xqueue_body": lms_body()}).encode()
    head = (
        f"POST /xqueue/submit/ HTTP/1.1\r\nHost: x\r\nCookie: sessionid={session}\r\n"
        f"Content-Type: {FORM}\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", live.port), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")  # it is being served
        live.process.ask_to_stop()
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b'{"return_code": 0, "content": "1"}' in answer
    assert live.desk.count("submissions") == 1
