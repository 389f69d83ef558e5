"""Requests that no client would send: never a crash, and always an answer that can be parsed."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.exchange import Answer, Wire

ENDPOINTS = st.sampled_from(
    [
        "login",
        "logout",
        "status",
        "submit",
        "get_queuelen",
        "get_submission",
        "put_result",
        "renew_lease",
        "put_failure",
    ]
)
KNOWN_KEYS = st.sampled_from(
    ["lms_callback_url", "lms_key", "queue_name", "submission_id", "submission_key"]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KNOWN_KEYS, inner, max_size=5),
    max_leaves=6,
)
FIELD_NAMES = st.sampled_from(
    ["xqueue_header", "xqueue_body", "username", "password", "lease_s", "kind", "detail", ""]
)
FIELD_VALUES = JSON_VALUES.map(json.dumps) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=40
)
FORMS = st.dictionaries(FIELD_NAMES, FIELD_VALUES, max_size=4)
QUERIES = st.text("abc=&%?+;/#\\'\"_queue_name0123456789", max_size=30).map(
    lambda text: text.replace("#", "%23")
)
CONTENT_TYPES = st.sampled_from(
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "multipart/form-data; boundary=" + "y" * 300,
        "application/json",
        "text/plain; charset=utf-99",
        "application/x-www-form-urlencoded; charset=rot13",
        "nonsense",
        "",
    ]
)
PIECES = st.sampled_from(
    [
        b"--x\r\n",
        b"--x--\r\n",
        b'Content-Disposition: form-data; name="xqueue_header"\r\n\r\n',
        b'Content-Disposition: form-data; name="f"; filename="../../x"\r\n\r\n',
        b"Content-Transfer-Encoding: base64\r\n",
        b"\xff\x00\xfe",
        b"xqueue_header=%7B%7D&xqueue_body=%",
        b"\r\n",
        b"=&=&&;",
    ]
)
RAW_BODIES = st.binary(max_size=60) | st.lists(PIECES, max_size=8).map(b"".join)

many = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def check(answer: Answer) -> None:
    """In the envelope, or one of the few statuses that clients of the reference know."""
    assert answer.status in (200, 301, 302, 403, 404), (answer.status, answer.body)
    if answer.status == 200:
        parsed: dict[str, Any] = answer.envelope
        assert parsed["return_code"] in (0, 1)
        assert b"Internal error" not in answer.body


@many
@given(endpoint=ENDPOINTS, form=FORMS, query=QUERIES)
def test_forms_of_garbage_are_answered(wire: Wire, endpoint: str, form: Any, query: str) -> None:
    check(wire.request("POST", f"/xqueue/{endpoint}/?{query}", form=form))


@many
@given(endpoint=ENDPOINTS, form=FORMS)
def test_multipart_forms_of_garbage_are_answered(wire: Wire, endpoint: str, form: Any) -> None:
    check(wire.upload(f"/xqueue/{endpoint}/", form, {}))


@many
@given(endpoint=ENDPOINTS, content_type=CONTENT_TYPES, body=RAW_BODIES)
def test_bodies_of_garbage_are_answered(
    wire: Wire, endpoint: str, content_type: str, body: bytes
) -> None:
    headers = {"Content-Type": content_type}

    check(wire.request("POST", f"/xqueue/{endpoint}/", body=body, headers=headers))


@many
@given(endpoint=ENDPOINTS, query=QUERIES)
def test_queries_of_garbage_are_answered(wire: Wire, endpoint: str, query: str) -> None:
    check(wire.get(f"/xqueue/{endpoint}/?{query}"))
    check(wire.get(f"/xqueue/{endpoint}/?queue_name={query}"))


@many
@given(cookie=st.text('sessionid=;, "ABCabc019.-_\\', max_size=80))
def test_cookies_of_garbage_are_no_session(anonymous: Wire, cookie: str) -> None:
    answer = anonymous.get("/xqueue/get_queuelen/?queue_name=test-queue", Cookie=cookie)

    assert answer.status == 302


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /xqueue/status/ HTTP/9.9\r\n\r\n",
        b"GET /xqueue/status/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET //xqueue//status/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://other.example/xqueue/status/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /xqueue/submit/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /xqueue/submit/ HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n",
        b"POST /xqueue/submit/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_bytes_that_are_no_proper_request_do_no_harm(anonymous: Wire, raw: bytes) -> None:
    parts = urlsplit(anonymous.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)

    assert not answer.startswith(b"HTTP/1.1 5")
    assert anonymous.get("/xqueue/status/").content == "OK"


def test_a_client_that_hangs_up_in_the_middle_of_its_body_stores_nothing(wire: Wire) -> None:
    parts = urlsplit(wire.url)
    head = (
        "POST /xqueue/submit/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Cookie: sessionid={wire.session}\r\n\r\nxqueue_header="
    )
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(head.encode())

    assert wire.get("/xqueue/get_queuelen/?queue_name=test-queue").content == 0
