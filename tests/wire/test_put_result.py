"""Taking results (facts 1.7)."""

from __future__ import annotations

import json

import pytest

from deploy.demo.gradebook import InputStatus, ProblemInput
from deploy.demo.lms import StandInLms
from tests.wire.exchange import Wire, expected
from tests.wire.traffic import fetch, header, put_result, submit

BAD_FORMAT = "Incorrect reply format"
GRADE = json.dumps({"correct": True, "score": 1, "msg": "<p>Well done.</p>"})


def test_a_result_is_answered_with_an_empty_content(wire: Wire) -> None:
    submit(wire)

    answer = put_result(wire, fetch(wire).header, GRADE)

    assert (answer.status, answer.body) == (200, b'{"return_code": 0, "content": ""}')


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_told_to_post(wire: Wire, method: str) -> None:
    answer = wire.request(method, "/xqueue/put_result/")

    assert answer.body == expected(1, "'put_result' must use HTTP POST")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"xqueue_header": '{"submission_id": 1, "submission_key": "k"}'},
        {"xqueue_body": "{}"},
        {"xqueue_header": "", "xqueue_body": "{}"},
        {"xqueue_header": "no", "xqueue_body": "{}"},
        {"xqueue_header": "[]", "xqueue_body": "{}"},
        {"xqueue_header": "null", "xqueue_body": "{}"},
        {"xqueue_header": "3", "xqueue_body": "{}"},
        {"xqueue_header": '"submission_id submission_key"', "xqueue_body": "{}"},
        {"xqueue_header": '{"submission_id": 1}', "xqueue_body": "{}"},
        {"xqueue_header": '{"submission_key": "k"}', "xqueue_body": "{}"},
        {"xqueue_header": "[" * 100_000, "xqueue_body": "{}"},
    ],
)
def test_a_reply_without_its_parts_has_an_incorrect_format(
    wire: Wire, form: dict[str, str]
) -> None:
    assert wire.post("/xqueue/put_result/", form).body == expected(1, BAD_FORMAT)


def test_a_json_body_is_not_understood(wire: Wire) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"xqueue_header": "{}", "xqueue_body": ""}'

    answer = wire.request("POST", "/xqueue/put_result/", body=body, headers=headers)

    assert answer.body == expected(1, BAD_FORMAT)


@pytest.mark.parametrize("submission_id", [987654321, "987654321", 0, -1, 10**18, 10**30])
def test_a_submission_that_is_not_there_does_not_exist(wire: Wire, submission_id: object) -> None:
    head = json.dumps({"submission_id": submission_id, "submission_key": "0" * 32})

    assert put_result(wire, head).body == expected(1, "Submission does not exist")


@pytest.mark.parametrize("submission_id", ["abc", "", None, [], {}, "1e3", 1.5, "0x1", True])
def test_an_id_that_is_no_number_is_a_complaint_and_no_crash(
    wire: Wire, submission_id: object
) -> None:
    head = json.dumps({"submission_id": submission_id, "submission_key": "0" * 32})

    assert put_result(wire, head).complaint


@pytest.mark.parametrize("key", ["0" * 32, "", "ü", 5, None, [], "k" * 10_000])
def test_a_wrong_key_is_refused(wire: Wire, key: object) -> None:
    submit(wire)
    head = json.dumps({"submission_id": fetch(wire).submission_id, "submission_key": key})

    assert put_result(wire, head).body == expected(1, "Incorrect key for submission")


def test_a_submission_that_nobody_fetched_has_no_key(wire: Wire) -> None:
    submit(wire)
    fetched = fetch(wire)
    submit(wire)
    head = json.dumps({"submission_id": fetched.submission_id + 1, "submission_key": fetched.key})

    assert put_result(wire, head).body == expected(1, "Incorrect key for submission")


def test_the_id_may_be_text_and_the_header_may_hold_more(wire: Wire) -> None:
    submit(wire)
    fetched = fetch(wire)
    head = {
        "submission_key": fetched.key,
        "submission_id": str(fetched.submission_id),
        "grader": "x",
        "lms_key": None,
    }

    assert put_result(wire, json.dumps(head), GRADE).content == ""


def test_the_queue_name_in_the_query_is_ignored(wire: Wire) -> None:
    submit(wire)
    form = {"xqueue_header": fetch(wire).header, "xqueue_body": GRADE}

    assert wire.post("/xqueue/put_result/?queue_name=no-such-queue", form).content == ""


def test_a_result_may_come_as_multipart(wire: Wire) -> None:
    submit(wire)
    form = {"xqueue_header": fetch(wire).header, "xqueue_body": GRADE}

    assert wire.upload("/xqueue/put_result/", form, {}).content == ""


def test_the_same_key_may_be_used_again(wire: Wire) -> None:
    submit(wire)
    head = fetch(wire).header

    assert put_result(wire, head, GRADE).content == ""
    assert put_result(wire, head, GRADE).content == ""


@pytest.mark.parametrize("body", ["not json", "", "[]", '{"score": 1}', "\x00", "x" * 200_000])
def test_a_grader_may_say_anything_and_is_answered_as_ever(wire: Wire, body: str) -> None:
    submit(wire)

    assert put_result(wire, fetch(wire).header, body).content == ""


def test_an_lms_that_is_not_there_does_not_keep_the_grader_waiting(wire: Wire) -> None:
    submit(wire, header_text=header(lms_callback_url="http://127.0.0.1:9/never"))

    assert put_result(wire, fetch(wire).header, GRADE).content == ""


def test_the_lms_gets_its_header_and_the_result_as_they_were(
    wire: Wire, lms: StandInLms, nonce: str
) -> None:
    where = ProblemInput(user_id="1", usage_id=f"block@{nonce}", input_id="a")
    lms.book.expect(where, "the key")
    sent = json.dumps(
        {
            "queue_name": "test-queue",
            "lms_key": "the key",
            "extra": ["kept", "é"],
            "lms_callback_url": lms.callback_url(where),
        },
        indent=3,
    )
    result = '{"correct": true,  "score": 0.5, "msg": "<p>\U0001f511 \\u00e9</p>", "more": 1}'
    submit(wire, header_text=sent)
    put_result(wire, fetch(wire).header, result)

    assert lms.wait_for_grade(where, timeout_s=60).status is InputStatus.CORRECT
    assert lms.wait_for_callbacks(1, timeout_s=60)  # which are noted after the grade
    assert [(c.header, c.body) for c in lms.callbacks] == [(sent, result)]
