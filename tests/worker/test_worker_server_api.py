"""What the server's `/api/v1` says, and what a worker makes of answers that are none."""

from __future__ import annotations

import contextlib
import json
import socket
import time

import pytest

from deploy.demo.processes import free_port
from grader_worker.errors import LoginRefused, RequestRefused, ServerUnreachable, SettingsError
from grader_worker.published import server_api
from grader_worker.published.server_api import (
    MAX_BUNDLE_BYTES,
    Readiness,
    ServerApi,
    published_grader,
)
from grader_worker.server_account import ServerAccount
from grader_worker.xqueue_client import XQueueClient
from tests.worker.fake_api import API_PREFIX, square_grader
from tests.worker.fakes import account


@pytest.fixture
def client(xqueue):
    client = XQueueClient(account(xqueue))
    yield client
    client.close()


@pytest.fixture
def api(client):
    return ServerApi(client)


@pytest.fixture
def square(xqueue, tmp_path):
    return xqueue.api.publish(square_grader(tmp_path / "square"))


def test_the_worker_signs_in_with_its_account_and_stays_so(xqueue, api, square):
    [grader] = api.assignments(["python"])
    assert (grader.name, grader.version, grader.digest) == ("square", 1, square["digest"])
    assert grader.is_default
    api.bundle(square["digest"])
    assert xqueue.logins == 1


def test_a_list_that_has_not_changed_is_not_sent_again(xqueue, api, square, tmp_path):
    first = api.assignments(["python"])
    assert api.assignments(["python"]) is first
    xqueue.api.publish(square_grader(tmp_path / "new", returns=10), version=2)
    assert [grader.version for grader in api.assignments(["python"])] == [2]


def test_a_queues_name_is_any_text(xqueue, api):
    api.assignments(["a/b&c=ü", "d"])
    assert xqueue.api.asked[-1] == "GET assignments?queue=a%2Fb%26c%3D%C3%BC&queue=d"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestRefused),
        (403, RequestRefused),
        (404, RequestRefused),
        (429, RequestRefused),
        (500, ServerUnreachable),
        (502, ServerUnreachable),
        (503, ServerUnreachable),
    ],
)
def test_a_refusal_is_told_from_a_server_in_trouble(xqueue, api, status, error):
    xqueue.api.broken["assignments"] = [status]
    with pytest.raises(error, match=str(status)):
        api.assignments(["python"])
    assert api.assignments(["python"]) == ()


def test_a_login_that_does_not_count_is_not_repeated_in_a_loop(xqueue, api):
    xqueue.sessions_stick = False
    with pytest.raises(LoginRefused):
        api.assignments(["python"])
    assert xqueue.logins == 1


def test_a_wrong_password_is_said_without_it(xqueue):
    client = XQueueClient(account(xqueue, password="hunter2"))
    with pytest.raises(LoginRefused) as refused:
        ServerApi(client).assignments(["python"])
    assert "hunter2" not in str(refused.value)


def test_a_server_that_is_down_is_unreachable():
    nobody = ServerAccount(url=f"http://127.0.0.1:{free_port()}", username="g", password="p")
    with pytest.raises(ServerUnreachable):
        ServerApi(XQueueClient(nobody)).assignments(["python"])


def test_a_server_that_takes_the_question_and_says_nothing_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = XQueueClient(ServerAccount(url=url, username="g", password="p"))
        with pytest.raises(ServerUnreachable):
            client.api("GET", "assignments", timeout_s=0.2)


def answer_with(xqueue, path, *pieces, length, pause_s=0.0):
    """Whoever asks for that path gets these bytes one by one."""

    def serve(handler):
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        with contextlib.suppress(OSError):  # it hangs up in the middle
            for piece in pieces:
                handler.wfile.write(piece)
                time.sleep(pause_s)

    xqueue.blobs[API_PREFIX + path] = serve


def test_a_body_that_trickles_is_not_waited_for(xqueue, client):
    """Every byte comes within the timeout of a read, all of them would take a minute."""
    answer_with(xqueue, "slow", *[b"x"] * 1200, length=1200, pause_s=0.05)
    with pytest.raises(ServerUnreachable, match="not within 2 s"):
        client.api("GET", "slow", timeout_s=2.0)


def test_a_body_that_breaks_off_is_no_answer(xqueue, client):
    answer_with(xqueue, "cut", b"half", length=8)
    with pytest.raises(ServerUnreachable, match="broke off"):
        client.api("GET", "cut")


def test_a_bundle_beyond_the_limit_is_not_read_to_its_end(xqueue, api):
    digest = "0" * 64
    piece = bytes(1024 * 1024)
    answer_with(xqueue, f"bundles/{digest}", *[piece] * 64, length=64 * len(piece))
    with pytest.raises(RequestRefused, match=str(MAX_BUNDLE_BYTES)):
        api.bundle(f"sha256:{digest}")


@pytest.mark.parametrize(
    "change",
    [
        {"digest": None},
        {"image": "sums@sha256:0"},
        {"digest": 5},
        {"digest": None, "image": 7},
        {"version": "three"},
        {"version": float("inf")},
        {"manifest": None},
        {"manifest": "{}"},
        {"queue": None, "name": None, "version": None},
        {"queue_isolation": "box"},
        {"queue_isolation": {}},
    ],
)
def test_an_assignment_of_another_shape_is_no_answer(square, change):
    with pytest.raises(ServerUnreachable, match="another shape"):
        published_grader(square | change)


@pytest.mark.parametrize("document", [None, 5, "x", [], {}])
def test_what_is_no_assignment_at_all_is_no_answer(document):
    with pytest.raises(ServerUnreachable):
        published_grader(document)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"assignments": 5}', b"[" * 9999])
def test_a_list_of_another_shape_is_no_answer(xqueue, api, body):
    xqueue.blobs[f"{API_PREFIX}assignments"] = lambda handler: handler.send(200, body, {})
    with pytest.raises(ServerUnreachable):
        api.assignments(["python"])


def test_many_reports_are_sent_in_pieces_that_the_server_takes(xqueue, api, square, monkeypatch):
    monkeypatch.setattr(server_api, "REPORTED_AT_ONCE", 2)
    grader = published_grader(square)
    api.report_readiness("host", [Readiness(grader=grader, problem=None)] * 5)
    assert [len(report["items"]) for report in xqueue.api.reports] == [2, 2, 1]
    assert {report["host"] for report in xqueue.api.reports} == {"host"}


def test_a_problem_can_be_stored_and_shown_whatever_it_quotes(square):
    why = "said\x00 \ud800 \x1b[31m and\nmore " + "\N{PILE OF POO}" * 1000
    item = Readiness.not_ready(published_grader(square), why).as_item()
    assert item["problem"].startswith("said     [31m and more \N{PILE OF POO}")
    assert len(item["problem"]) == 500
    most = json.dumps({"items": [item] * server_api.REPORTED_AT_ONCE})
    assert len(most) < 256 * 1024 - 128
    assert not item["ready"]


def test_no_reason_is_still_not_ready(square):
    item = Readiness.not_ready(published_grader(square), "").as_item()
    assert (item["ready"], bool(item["problem"])) == (False, True)


@pytest.mark.parametrize("url", ["https://user:hunter2@campus", "user:hunter2@campus"])
def test_an_address_with_credentials_in_it_is_refused_without_repeating_it(url):
    with pytest.raises(SettingsError) as refused:
        ServerAccount(url=url, username="u", password="p")
    assert "hunter2" not in str(refused.value)
