"""The stand-in LMS takes and refuses replies as the real one does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus

import pytest
import requests

from deploy.demo.gradebook import INVALID_REPLY, InputStatus, ProblemInput, Reception
from deploy.demo.lms import Outage, StandInLms

PART_1 = ProblemInput(user_id="7", usage_id="block-v1:X+1+1+type@problem+block@a", input_id="a_2_1")
PART_2 = ProblemInput(user_id="7", usage_id="block-v1:X+1+1+type@problem+block@a", input_id="a_3_1")
GOOD = {"correct": True, "score": 1, "msg": "<p>Well done.</p>"}


@pytest.fixture
def lms() -> Iterator[StandInLms]:
    with StandInLms() as running:
        yield running


def send(
    lms: StandInLms, reply: object, *, key: str = "k", where: ProblemInput = PART_1
) -> requests.Response:
    body = reply if isinstance(reply, str) else json.dumps(reply)
    form = {"xqueue_header": json.dumps({"lms_key": key}), "xqueue_body": body}
    return requests.post(lms.callback_url(where), data=form, timeout=60, allow_redirects=False)


def test_a_valid_reply_grades_the_input_that_waits_for_its_key(lms: StandInLms) -> None:
    lms.book.expect(PART_1, "k")
    lms.book.expect(PART_2, "other")

    assert send(lms, GOOD).status_code == 200

    assert lms.state(PART_1).status is InputStatus.CORRECT
    assert lms.state(PART_1).score == 1
    assert lms.state(PART_2).status is InputStatus.PENDING


def test_the_first_valid_reply_consumes_the_key(lms: StandInLms) -> None:
    lms.book.expect(PART_1, "k")
    send(lms, GOOD)

    again = send(lms, {"correct": False, "score": 0, "msg": "<p>No.</p>"})

    assert (again.status_code, again.content) == (200, b"")
    assert lms.state(PART_1).status is InputStatus.CORRECT
    assert lms.count(Reception.IGNORED) == 1


def test_a_reply_with_an_older_key_is_answered_200_and_ignored(lms: StandInLms) -> None:
    lms.book.expect(PART_1, "newer")

    assert send(lms, GOOD, key="older").status_code == 200

    assert lms.state(PART_1).status is InputStatus.PENDING


@pytest.mark.parametrize(
    "reply",
    [
        "not json",
        "[]",
        {"correct": True, "score": 1},
        {"correct": True, "msg": "<p/>"},
        {"correct": True, "score": 1, "msg": ""},
        {"correct": True, "score": 1, "msg": "<p>\x1b</p>"},
    ],
)
def test_an_invalid_reply_clears_what_is_pending_whatever_its_key(
    lms: StandInLms, reply: object
) -> None:
    lms.book.expect(PART_1, "k")
    lms.book.expect(PART_2, "k2")

    assert send(lms, reply, key="unknown").status_code == 200

    assert lms.state(PART_1).status is InputStatus.INVALID
    assert lms.state(PART_2).msg == INVALID_REPLY


@pytest.mark.parametrize("msg", ["plain", "<br>", "a & b", "<p>a</p><p>b</p>", "<b x:=1>odd</b>"])
def test_a_message_that_is_not_xml_may_still_be_an_html_fragment(lms: StandInLms, msg: str) -> None:
    lms.book.expect(PART_1, "k")

    send(lms, GOOD | {"msg": msg})

    assert lms.state(PART_1).status is InputStatus.CORRECT


def test_points_below_zero_count_as_zero(lms: StandInLms) -> None:
    lms.book.expect(PART_1, "k")

    send(lms, {"correct": False, "score": -3, "msg": "<p>No.</p>"})

    assert lms.state(PART_1).score == 0


def test_a_message_that_is_no_string_breaks_the_lms_itself(lms: StandInLms) -> None:
    lms.book.expect(PART_1, "k")

    assert send(lms, GOOD | {"msg": 5}).status_code == 500

    assert lms.state(PART_1).status is InputStatus.PENDING


@pytest.mark.parametrize(
    "form",
    [
        {"xqueue_header": '{"lms_key": "k"}'},
        {"xqueue_body": "{}"},
        {"xqueue_header": "[]", "xqueue_body": "{}"},
        {"xqueue_header": "{}", "xqueue_body": "{}"},
    ],
)
def test_a_callback_without_its_fields_is_not_found(lms: StandInLms, form: dict[str, str]) -> None:
    response = requests.post(lms.callback_url(PART_1), data=form, timeout=60)

    assert response.status_code == 404


def test_an_outage_answers_every_callback_and_applies_none(lms: StandInLms) -> None:
    lms.book.expect(PART_1, "k")
    lms.answer_with(Outage(status=HTTPStatus.FOUND, location=f"{lms.origin}/login"))

    response = send(lms, GOOD)

    assert (response.status_code, response.headers["Location"]) == (302, f"{lms.origin}/login")
    assert lms.state(PART_1).status is InputStatus.PENDING
    assert lms.count(Reception.TURNED_AWAY) == 1


def test_a_slow_answer_can_come_after_the_sender_gave_up(lms: StandInLms) -> None:
    lms.book.expect(PART_1, "k")
    lms.answer_with(Outage(delay_s=3, apply=True))
    form = {"xqueue_header": '{"lms_key": "k"}', "xqueue_body": json.dumps(GOOD)}

    with pytest.raises(requests.ReadTimeout):
        requests.post(lms.callback_url(PART_1), data=form, timeout=(60, 0.05))

    assert lms.wait_for_grade(PART_1, timeout_s=60).status is InputStatus.CORRECT


def test_a_lms_that_is_down_refuses_connections_and_comes_back_on_its_port(
    lms: StandInLms,
) -> None:
    lms.book.expect(PART_1, "k")
    address = lms.callback_url(PART_1)
    lms.go_down()
    with pytest.raises(requests.ConnectionError):
        requests.post(address, data={}, timeout=60)

    lms.come_back()

    assert lms.callback_url(PART_1) == address
    assert send(lms, GOOD).status_code == 200


def test_waiting_for_a_grade_returns_the_pending_state_when_time_is_up(lms: StandInLms) -> None:
    lms.book.expect(PART_1, "k")

    assert lms.wait_for_grade(PART_1, timeout_s=0.01).status is InputStatus.PENDING


def test_the_page_shows_learners_and_their_grades(lms: StandInLms) -> None:
    lms.book.expect(PART_1, "k")
    send(lms, GOOD)

    page = requests.get(lms.origin, timeout=60).text

    assert "1 callbacks received" in page
    assert "<td>correct<td>1<td><p>Well done.</p>" in page
