"""Our extensions are announced, and nobody who does not ask for them notices."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from tests.wire.exchange import Wire
from tests.wire.traffic import QUEUE, fetch, submit
from xqueue_server.web.waiting import LONGEST_WAIT_S

ANNOUNCED = "wait, lease, renew, failure, grader, record, queues"


@pytest.mark.parametrize(
    "path", ["status/", "login/", "submit/", "get_submission/", "status", "nothing/"]
)
def test_every_answer_of_the_queue_announces_them(anonymous: Wire, path: str) -> None:
    assert anonymous.get(f"/xqueue/{path}").headers["XQueue-Extensions"] == ANNOUNCED


def test_who_does_not_ask_to_wait_is_answered_at_once(wire: Wire) -> None:
    began = monotonic()
    wire.get(f"/xqueue/get_submission/?queue_name={QUEUE}")

    assert monotonic() - began < LONGEST_WAIT_S / 2


def test_a_submission_has_no_parts_that_old_graders_do_not_know(wire: Wire) -> None:
    submit(wire)
    fetched = fetch(wire)

    assert list(json.loads(fetched.raw)) == ["xqueue_header", "xqueue_body", "xqueue_files"]
    assert list(json.loads(fetched.header)) == ["submission_id", "submission_key"]


def test_a_wait_is_ended_by_a_submission(wire: Wire) -> None:
    path = f"/xqueue/get_submission/?queue_name={QUEUE}&wait=15"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wire.get, path)
        submit(wire, body="here it is")

        assert json.loads(json.loads(waiting.result(60).body)["content"])["xqueue_body"] == (
            "here it is"
        )


def test_a_wait_for_nothing_ends_as_an_empty_queue(wire: Wire) -> None:
    answer = wire.get(f"/xqueue/get_submission/?queue_name={QUEUE}&wait=0.2")

    assert answer.complaint == f"Queue '{QUEUE}' is empty"
