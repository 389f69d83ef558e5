"""Taking submissions (facts 1.4)."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest

from tests.wire.exchange import Wire, expected
from tests.wire.traffic import OTHER_QUEUE, fetch, header, submit

INVALID = "Queue request has invalid format"


def test_the_answer_is_the_queue_length_as_text_this_one_included(wire: Wire) -> None:
    assert submit(wire).body == b'{"return_code": 0, "content": "1"}'
    assert submit(wire).body == b'{"return_code": 0, "content": "2"}'
    fetch(wire)
    assert submit(wire).body == b'{"return_code": 0, "content": "2"}'


def test_each_queue_counts_its_own(wire: Wire) -> None:
    submit(wire)

    assert submit(wire, header_text=header(OTHER_QUEUE)).content == "1"


def test_other_methods_are_told_to_post(wire: Wire) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = wire.request(method, "/xqueue/submit/")
        assert answer.body == expected(1, "Queue requests should use HTTP POST")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"xqueue_header": header()},
        {"xqueue_body": "{}"},
        {"xqueue_header": "", "xqueue_body": "{}"},
        {"xqueue_header": "not json", "xqueue_body": "{}"},
        {"xqueue_header": "[]", "xqueue_body": "{}"},
        {"xqueue_header": '"text"', "xqueue_body": "{}"},
        {"xqueue_header": "null", "xqueue_body": "{}"},
        {"xqueue_header": "{}", "xqueue_body": "{}"},
        {"xqueue_header": '{"lms_key": "k", "queue_name": "test-queue"}', "xqueue_body": "{}"},
        {"xqueue_header": '{"lms_callback_url": "http://127.0.0.1/", "lms_key": "k"}'},
        {"xqueue_header": "[" * 100_000, "xqueue_body": "{}"},
    ],
)
def test_a_request_without_its_parts_has_an_invalid_format(
    wire: Wire, form: dict[str, str]
) -> None:
    assert wire.post("/xqueue/submit/", form).body == expected(1, INVALID)


@pytest.mark.parametrize("name", ["nothing", "", "Test-Queue", "test-queue ", "ü'\"", "a\x00b"])
def test_an_unknown_queue_is_named_in_the_answer(wire: Wire, name: str) -> None:
    answer = submit(wire, header_text=header(name))

    assert answer.body == expected(1, f"Queue '{name}' not found")


def test_a_queue_name_that_is_no_text_is_an_unknown_queue(wire: Wire) -> None:
    assert submit(wire, header_text=header(queue_name=5)).body == expected(1, "Queue '5' not found")


@pytest.mark.parametrize("url", [5, None, ["http://127.0.0.1/"], {}, True])
def test_a_callback_url_that_is_no_text_is_a_complaint_and_no_crash(
    wire: Wire, url: object
) -> None:
    assert INVALID in submit(wire, header_text=header(lms_callback_url=url)).complaint


@pytest.mark.parametrize(
    "url", ["", "lms", "/courses/x", "ftp://127.0.0.1/", "http://", "http:///x"]
)
def test_a_callback_url_that_can_never_work_is_refused_while_the_lms_listens(
    wire: Wire, url: str
) -> None:
    assert "lms_callback_url" in submit(wire, header_text=header(lms_callback_url=url)).complaint


def test_a_callback_to_a_host_that_nobody_allowed_names_the_setting(wire: Wire) -> None:
    url = "http://metadata.internal/latest"

    assert "XQUEUE_LMS_ORIGINS" in submit(wire, header_text=header(lms_callback_url=url)).complaint


@pytest.mark.parametrize("key", ["k", "", 7, None, ["a"], "ü\U0001f511", "k" * 2000])
def test_the_lms_key_may_be_anything(wire: Wire, key: object) -> None:
    assert submit(wire, header_text=header(lms_key=key)).content == "1"


def test_a_header_longer_than_the_references_column_is_taken(wire: Wire) -> None:
    assert submit(wire, header_text=header(extra="x" * 5000)).content == "1"


def test_a_json_body_is_not_understood(wire: Wire) -> None:
    body = json.dumps({"xqueue_header": header(), "xqueue_body": "{}"}).encode()
    headers = {"Content-Type": "application/json"}

    answer = wire.request("POST", "/xqueue/submit/", body=body, headers=headers)

    assert answer.body == expected(1, INVALID)


def test_a_form_without_a_content_type_is_not_understood(wire: Wire) -> None:
    answer = wire.request("POST", "/xqueue/submit/", body=b"xqueue_header={}&xqueue_body={}")

    assert answer.body == expected(1, INVALID)


def test_fields_in_the_query_do_not_count(wire: Wire) -> None:
    answer = wire.post("/xqueue/submit/?xqueue_header={}&xqueue_body={}")

    assert answer.body == expected(1, INVALID)


BODIES = [
    "",
    "{}",
    "not json",
    "\U0001f511 é \u2028 \ufeff",
    "a\x00b\x00",
    "line\r\nline\nline\rend  ",
    "&=%+%41",
    '<script>"\\',
    "x" * 200_000,
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_the_body_comes_out_as_it_went_in(wire: Wire, body: str) -> None:
    submit(wire, body=body)

    assert fetch(wire).body == body


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_the_body_comes_out_of_multipart_as_it_went_in(wire: Wire, body: str) -> None:
    form = {"xqueue_header": header(), "xqueue_body": body}
    assert wire.upload("/xqueue/submit/", form, {}).content == "1"

    assert fetch(wire).body == body


def test_bytes_that_are_no_text_are_not_refused(wire: Wire) -> None:
    body = b"xqueue_header=" + quote(header()).encode() + b"&xqueue_body=a%FFb"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert wire.request("POST", "/xqueue/submit/", body=body, headers=headers).content == "1"

    received = fetch(wire).body
    assert (received[0], received[-1]) == ("a", "b")


def test_of_a_field_given_twice_the_last_counts(wire: Wire) -> None:
    fields = [("xqueue_header", header()), ("xqueue_body", "first"), ("xqueue_body", "last")]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    wire.request("POST", "/xqueue/submit/", body=urlencode(fields).encode(), headers=headers)

    assert fetch(wire).body == "last"


def test_a_charset_in_the_content_type_is_fine(wire: Wire) -> None:
    form = {"xqueue_header": header(), "xqueue_body": "é"}
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    wire.request("POST", "/xqueue/submit/", form=form, headers=headers)

    assert fetch(wire).body == "é"


def test_the_oldest_submission_is_handed_out_first(wire: Wire) -> None:
    for body in ("one", "two", "three"):
        submit(wire, body=body)

    assert [fetch(wire).body for _ in range(3)] == ["one", "two", "three"]


def test_two_parts_of_one_problem_share_a_callback_url_and_are_both_kept(wire: Wire) -> None:
    url = "http://127.0.0.1:9/courses/c/xqueue/1/two-parts/score_update"
    submit(wire, body="part one", header_text=header(lms_callback_url=url))
    submit(wire, body="part two", header_text=header(lms_callback_url=url))

    assert [fetch(wire).body, fetch(wire).body] == ["part one", "part two"]


def test_problems_that_differ_beyond_128_characters_of_the_url_are_both_kept(wire: Wire) -> None:
    url = "http://127.0.0.1:9/" + "x" * 200
    submit(wire, header_text=header(lms_callback_url=f"{url}/a"))

    assert submit(wire, header_text=header(lms_callback_url=f"{url}/b")).content == "2"
