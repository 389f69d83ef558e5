"""What holds for every endpoint: redirects, slashes, the envelope, methods (facts 1.0)."""

from __future__ import annotations

import pytest

from tests.wire.exchange import Wire, expected
from tests.wire.traffic import fetch, submit

ENDPOINTS = ("login", "logout", "status", "submit", "get_queuelen", "get_submission", "put_result")
NEEDS_LOGIN = ("submit", "get_queuelen", "get_submission", "put_result")
TEXT = "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "asked", "location"),
    [
        ("GET", "submit/", "submit/"),
        ("POST", "submit/", "submit/"),
        ("GET", "put_result/", "put_result/"),
        ("POST", "put_result/", "put_result/"),
        ("GET", "get_queuelen/", "get_queuelen/"),
        ("GET", "get_queuelen/?queue_name=q", "get_queuelen/%3Fqueue_name%3Dq"),
        ("GET", "get_submission/?queue_name=q", "get_submission/%3Fqueue_name%3Dq"),
        (
            "GET",
            "get_submission/?queue_name=a%20b&block=true",
            "get_submission/%3Fqueue_name%3Da%2520b%26block%3Dtrue",
        ),
        ("POST", "put_result/?queue_name=q", "put_result/%3Fqueue_name%3Dq"),
    ],
)
def test_a_client_that_is_not_signed_in_is_sent_to_the_login(
    anonymous: Wire, method: str, asked: str, location: str
) -> None:
    answer = anonymous.request(method, f"/xqueue/{asked}")

    assert (answer.status, answer.body) == (302, b"")
    assert answer.location == f"/xqueue/login/?next=/xqueue/{location}"
    assert answer.headers["Content-Type"] == TEXT


@pytest.mark.parametrize("session", ["", "x", "0" * 32, "a.b.c", "é".encode().decode("latin-1")])
def test_a_session_that_is_not_ours_counts_as_none(anonymous: Wire, session: str) -> None:
    anonymous.session = session

    assert anonymous.get("/xqueue/get_queuelen/?queue_name=test-queue").status == 302


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_missing_slash_is_a_permanent_redirect_that_keeps_the_query(
    anonymous: Wire, method: str, endpoint: str
) -> None:
    answer = anonymous.request(method, f"/xqueue/{endpoint}?queue_name=a%20b&x=1")

    assert (answer.status, answer.body) == (301, b"")
    assert answer.location == f"/xqueue/{endpoint}/?queue_name=a%20b&x=1"
    assert answer.headers["Content-Type"] == TEXT


def test_a_missing_slash_is_mended_for_signed_in_clients_too(wire: Wire) -> None:
    answer = wire.post("/xqueue/submit", {"xqueue_header": "{}", "xqueue_body": ""})

    assert (answer.status, answer.location) == (301, "/xqueue/submit/")


@pytest.mark.parametrize("endpoint", ["status", "get_queuelen", "get_submission"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_reading_endpoints_refuse_writes_without_a_token(
    anonymous: Wire, wire: Wire, method: str, endpoint: str
) -> None:
    for client in (anonymous, wire):
        answer = client.request(method, f"/xqueue/{endpoint}/?queue_name=test-queue", form={})

        assert (answer.status, answer.headers["Content-Type"]) == (403, TEXT)


@pytest.mark.parametrize("path", ["/", "/xqueue/", "/xqueue/nothing/", "/xqueue/submit/x/", "/x"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_a_404_page(anonymous: Wire, method: str, path: str) -> None:
    answer = anonymous.request(method, path)

    assert (answer.status, answer.headers["Content-Type"]) == (404, TEXT)


def test_the_status_is_open_to_everybody(anonymous: Wire) -> None:
    answer = anonymous.get("/xqueue/status/")

    assert (answer.status, answer.body) == (200, b'{"return_code": 0, "content": "OK"}')
    assert answer.headers["Content-Type"] == TEXT
    assert not answer.headers.get_all("Set-Cookie")


@pytest.mark.parametrize("credentials", ["Basic bG1zOndyb25n", "Basic !!", "Bearer x", "nonsense"])
def test_an_authorization_header_is_ignored(anonymous: Wire, wire: Wire, credentials: str) -> None:
    def ask(client: Wire) -> int:
        path = "/xqueue/get_queuelen/?queue_name=test-queue"
        return client.get(path, Authorization=credentials).status

    assert (ask(anonymous), ask(wire)) == (302, 200)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_no_method_makes_the_server_fail(
    anonymous: Wire, wire: Wire, method: str, endpoint: str
) -> None:
    for client in (anonymous, wire):
        assert client.request(method, f"/xqueue/{endpoint}/?queue_name=test-queue").status < 500


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_head_request_has_no_body(anonymous: Wire, endpoint: str) -> None:
    assert anonymous.request("HEAD", f"/xqueue/{endpoint}/").body == b""


def test_looking_with_head_takes_nothing_from_the_queue(wire: Wire) -> None:
    submit(wire, body="still there")
    wire.request("HEAD", "/xqueue/get_submission/?queue_name=test-queue")

    assert fetch(wire).body == "still there"


def test_text_beyond_ascii_is_escaped_as_python_does(wire: Wire) -> None:
    answer = wire.get("/xqueue/get_submission/?queue_name=%C3%A9%F0%9F%94%91")

    assert answer.body == expected(1, "Queue 'é\U0001f511' not found")
