"""The trace context of a submission: taken, made, kept, handed on, and invisible to old graders."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.builders import QUEUE, lms_body, lms_header
from tests.server.web_client import Server
from xqueue_server.monitoring import traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, GOOD),
        (f" {GOOD} ", GOOD),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"cc-{TRACE}-{SPAN}-01", GOOD),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", GOOD),
        (None, None),
        ("", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"cc-{TRACE}-{SPAN}-01.more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-01\r\nX: y", None),
    ],
)
def test_a_header_is_believed_only_in_the_standards_form(
    text: str | None, expected: str | None
) -> None:
    assert traceparent.read(text) == expected


def test_a_new_one_is_valid_and_another_each_time() -> None:
    made = {traceparent.new() for _ in range(20)}
    assert len(made) == 20
    assert {traceparent.read(each) for each in made} == made


def submit(server: Server, came: str | None) -> None:
    headers = {} if came is None else {"traceparent": came}
    data = {"xqueue_header": lms_header(), "xqueue_body": lms_body()}
    answer = server.lms.raw("POST", "/xqueue/submit/", data=data, headers=headers)
    assert json.loads(answer.data)["return_code"] == 0


def header_for(server: Server, **asked: str) -> dict[str, Any]:
    content = json.loads(server.grader.try_fetch(**asked).content)
    parsed: dict[str, Any] = json.loads(content["xqueue_header"])
    return parsed


@pytest.mark.parametrize("asked", [{"grader": "1"}, {"wait": "1"}, {"lease_s": "30"}])
def test_a_grader_that_knows_us_is_told(server: Server, asked: dict[str, str]) -> None:
    submit(server, GOOD)
    assert header_for(server, **asked)["traceparent"] == GOOD


def test_an_unmodified_grader_gets_the_header_that_it_always_got(server: Server) -> None:
    submit(server, GOOD)
    content = json.loads(server.grader.try_fetch(QUEUE).content)
    header = json.loads(content["xqueue_header"])
    only = {name: header[name] for name in ("submission_id", "submission_key")}
    assert content["xqueue_header"] == json.dumps(only)


@pytest.mark.parametrize("came", [None, "nonsense", f"00-{'0' * 32}-{SPAN}-01"])
def test_where_none_came_that_counts_a_trace_begins_here(server: Server, came: str | None) -> None:
    submit(server, came)
    told = header_for(server, wait="1")["traceparent"]
    assert traceparent.read(told) == told
    assert TRACE not in told


def test_the_callback_carries_it(server: Server) -> None:
    submit(server, GOOD)
    server.grader.put(server.grader.fetch())
    due = server.desk.claim_callback()
    assert due.traceparent == GOOD
