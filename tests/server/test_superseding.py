"""Which submission retires which: only the same part, made by the learner clearly later."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.server.builders import Desk, add_queue, callback_url, grade, lms_body
from xqueue_server.storage import outbox
from xqueue_server.submissions.intake import SubmitHeader, read_supersede_terms
from xqueue_server.submissions.leasing import FailureKind

FIRST, LATER = "20260101120000", "20260101120005"
TOO_SOON = "20260101120004"


def test_a_newer_submission_of_the_same_part_retires_one_that_waits(desk: Desk) -> None:
    older = desk.submit(body=lms_body(FIRST))
    newer = desk.submit(body=lms_body(LATER, response="better"), key="another")
    assert desk.see(older).state == "superseded"
    assert desk.see(older).ended_at is not None
    last = desk.events_of(older)[-1]
    assert (last.actor, last.why, last.detail) == (
        "account lms",
        "supersede",
        f"by submission {newer}",
    )
    assert desk.lease().submission_id == newer
    assert desk.try_lease() is None


def test_it_retires_one_that_is_being_graded_and_its_result_goes_nowhere(desk: Desk) -> None:
    older = desk.submit(body=lms_body(FIRST))
    leased = desk.lease()
    desk.submit(body=lms_body(LATER))
    assert desk.see(older).state == "superseded"
    desk.put(leased)
    assert desk.outgoing(older) == []
    assert [r.disposition for r in desk.results_of(older)] == ["unused"]
    assert desk.sweep_after(10_000).returned == 0


def test_it_retires_one_that_is_held(desk: Desk) -> None:
    older = desk.submit(body=lms_body(FIRST))
    desk.fail(desk.lease(), FailureKind.GRADER)
    desk.submit(body=lms_body(LATER))
    assert desk.see(older).state == "superseded"
    assert desk.sweep_after(10**7).given_up == 0


def test_it_retires_one_that_backs_off(desk: Desk) -> None:
    older = desk.submit(body=lms_body(FIRST))
    desk.fail(desk.lease(), FailureKind.PLATFORM)
    newer = desk.submit(body=lms_body(LATER))
    assert (desk.see(older).state, desk.see(older).available_at) == ("superseded", None)
    desk.clock.advance(100)
    assert desk.lease().submission_id == newer


def test_it_retires_all_older_ones_at_once(desk: Desk) -> None:
    older = [desk.submit(body=lms_body(FIRST)) for _ in range(3)]
    desk.submit(body=lms_body(LATER))
    assert {desk.see(i).state for i in older} == {"superseded"}


def test_it_cancels_a_grade_that_was_not_delivered_yet(desk: Desk) -> None:
    older = desk.submit(body=lms_body(FIRST))
    desk.put(desk.lease())
    desk.submit(body=lms_body(LATER))
    assert desk.see(older).state == "graded"
    assert desk.outgoing(older) == [("cancelled", grade())]


def test_it_leaves_a_grade_that_was_delivered(desk: Desk) -> None:
    older = desk.submit(body=lms_body(FIRST))
    desk.put(desk.lease())
    desk.deliver(desk.claim_callback())
    desk.submit(body=lms_body(LATER))
    assert desk.outgoing(older) == [("delivered", grade())]


def test_it_cancels_a_grade_that_is_just_being_sent(desk: Desk) -> None:
    older = desk.submit(body=lms_body(FIRST))
    desk.put(desk.lease())
    sending = desk.claim_callback()
    desk.submit(body=lms_body(LATER))
    assert not desk.deliver(sending)
    assert desk.outgoing(older) == [("cancelled", grade())]
    with desk.storage.write() as tx:
        assert not outbox.claim_due(tx, sending.origin, limit=9, token=b"t" * 16)


def test_it_retires_nothing_that_the_learner_made_less_than_five_seconds_before(
    desk: Desk,
) -> None:
    older = desk.submit(body=lms_body(FIRST))
    desk.submit(body=lms_body(TOO_SOON))
    assert desk.see(older).state == "queued"


def test_one_that_arrives_late_retires_nothing_newer(desk: Desk) -> None:
    newer = desk.submit(body=lms_body(LATER))
    older = desk.submit(body=lms_body(FIRST))
    assert {desk.see(newer).state, desk.see(older).state} == {"queued"}


def test_two_parts_of_a_problem_with_the_same_url_and_payload_are_both_graded(desk: Desk) -> None:
    """They are submitted by one press of the button, and differ in lms_key alone."""
    parts = [desk.submit(body=lms_body(FIRST), key=key) for key in ("part 1", "part 2")]
    for _ in parts:
        desk.put(desk.lease())
    assert [len(desk.outgoing(part)) for part in parts] == [1, 1]
    assert {desk.see(part).state for part in parts} == {"graded"}


def test_two_parts_with_different_payloads_never_touch_each_other(desk: Desk) -> None:
    first = desk.submit(body=lms_body(FIRST, payload='{"part": 1}'))
    second = desk.submit(body=lms_body("20260101130000", payload='{"part": 2}'))
    assert {desk.see(first).state, desk.see(second).state} == {"queued"}


@pytest.mark.parametrize(
    "other_url",
    [
        callback_url("0" * 31 + "1"),
        callback_url(dispatch="ungraded_response"),
        callback_url(user=43),
        callback_url(origin="http://lms.example.org"),
        callback_url() + "?x",
    ],
)
def test_another_url_is_another_part_however_far_on_it_differs(desk: Desk, other_url: str) -> None:
    older = desk.submit(body=lms_body(FIRST))
    desk.submit(other_url, body=lms_body("20260201120000"))
    assert desk.see(older).state == "queued"
    assert len(callback_url()) > 128


def test_another_queue_is_another_part(desk: Desk) -> None:
    add_queue(desk.storage, "other")
    older = desk.submit(body=lms_body(FIRST))
    desk.submit(queue="other", body=lms_body("20260201120000"))
    assert desk.see(older).state == "queued"


def test_the_payload_may_be_written_in_another_order(desk: Desk) -> None:
    older = desk.submit(body=lms_body(FIRST, payload={"a": 1, "b": [2]}))
    desk.submit(body=lms_body(LATER, payload={"b": [2], "a": 1}))
    assert desk.see(older).state == "superseded"


def test_a_part_whose_payload_is_null_is_still_a_part(desk: Desk) -> None:
    older = desk.submit(body=lms_body(FIRST, payload=None))
    desk.submit(body=lms_body(LATER, payload=None))
    assert desk.see(older).state == "superseded"


NOT_FROM_CAPA = {
    "no JSON": "print(1)",
    "empty": "",
    "a list": "[]",
    "a number": "1",
    "a string": '"x"',
    "null": "null",
    "an empty object": "{}",
    "no payload": json.dumps({"student_info": {"submission_time": LATER}}),
    "no student_info": json.dumps({"grader_payload": "{}"}),
    "student_info is no JSON": json.dumps({"grader_payload": "", "student_info": "x"}),
    "student_info is a list": json.dumps({"grader_payload": "", "student_info": "[1]"}),
    "student_info is a number": json.dumps({"grader_payload": "", "student_info": 7}),
    "no time": json.dumps({"grader_payload": "", "student_info": "{}"}),
    "deep": '{"grader_payload": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep student_info": json.dumps({"grader_payload": "", "student_info": "[" * 100_000}),
    "huge number": '{"grader_payload": ' + "9" * 5000 + "}",
    "NUL": "\x00",
}


@pytest.mark.parametrize("name", NOT_FROM_CAPA)
def test_a_body_that_no_lms_writes_supersedes_nothing_and_is_kept(desk: Desk, name: str) -> None:
    body = NOT_FROM_CAPA[name]
    older = desk.submit(body=lms_body(FIRST))
    first, second = desk.submit(body=body), desk.submit(body=body)
    assert [desk.see(i).state for i in (older, first, second)] == ["queued"] * 3
    desk.lease()
    assert desk.lease().body == body


@pytest.mark.parametrize(
    "made_at",
    [
        None, "", "now", "2026-01-01T12:00:00", 20260101120060, "20261301120000", True, [LATER],
        {"x": LATER}, "0" * 14, "9" * 14, 1e308, "\x00", "20260101120000\n+", -1,
    ],
)  # fmt: skip
def test_a_time_that_no_lms_writes_supersedes_nothing(desk: Desk, made_at: Any) -> None:
    first = desk.submit(body=lms_body(made_at))
    desk.submit(body=lms_body(made_at))
    assert desk.see(first).state == "queued"


@pytest.mark.parametrize(
    "made_at", ["00010101000000", "00010101000004", "99991231235959", "19691231235959"]
)
def test_the_ends_of_the_calendar_do_no_harm(desk: Desk, made_at: str) -> None:
    first = desk.submit(body=lms_body(made_at))
    second = desk.submit(body=lms_body(made_at))
    assert {desk.see(first).state, desk.see(second).state} == {"queued"}


def test_every_nesting_around_the_recursion_limit_is_taken(desk: Desk) -> None:
    for depth in range(900, 1010):
        nested = "[" * depth + "]" * depth
        desk.submit(body=f'{{"grader_payload": {nested}, "student_info": {{}}}}')


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda children: (
            st.lists(children, max_size=3)
            | st.dictionaries(
                st.sampled_from(["grader_payload", "student_info", "submission_time", "x"]),
                children,
            )
        ),
    )
)
@hypothesis_settings(max_examples=300, deadline=None)
def test_no_json_of_any_shape_is_too_odd_to_read(body: Any) -> None:
    header = SubmitHeader(callback_url="https://l/x", lms_key='"k"', queue="q")
    key, made_at = read_supersede_terms(header, json.dumps(body))
    assert (key is None) == (made_at is None)


@given(moment=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))
@hypothesis_settings(max_examples=100, deadline=None)
def test_the_learners_time_is_read_to_the_second(moment: datetime) -> None:
    text = f"{moment.year:04}{moment:%m%d%H%M%S}"
    header = SubmitHeader(callback_url="https://l/x", lms_key='"k"', queue="q")
    _, made_at = read_supersede_terms(header, lms_body(text))
    assert made_at == moment.replace(microsecond=0)
    assert made_at is not None
    assert made_at - timedelta(seconds=5) < made_at
