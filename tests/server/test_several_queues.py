"""One get_submission for several queues, on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.server.builders import QUEUE, Desk, add_account, add_queue, change_queue
from tests.server.test_long_poll import TIMEOUT_S, wait_until_waiting
from tests.server.test_pauses import pause
from tests.server.web_client import Answer, Caller, Server, read_answer
from xqueue_server.models.account import Role
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.web.handing_out import MOST_QUEUES

HIGH, LOW = "high", "low"


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as running:
        yield running


@pytest.fixture
def several(server: Server) -> Server:
    """Three queues: one before and one after the default one."""
    add_queue(server.desk.storage, HIGH, priority=5)
    add_queue(server.desk.storage, LOW, priority=-5)
    return server


def ask(caller: Caller, *names: str, **query: str) -> Answer:
    asked = urlencode([("queue_name", name) for name in names] + list(query.items()))
    return read_answer(caller.raw("GET", f"/xqueue/get_submission/?{asked}"))


def header(answer: Answer) -> dict[str, Any]:
    assert answer.code == 0, answer
    parsed: dict[str, Any] = json.loads(json.loads(answer.content)["xqueue_header"])
    return parsed


def served(desk: Desk, caller: Caller, *names: str) -> list[str]:
    """The queues of what is handed out, until there is nothing any more."""
    found = []
    while (answer := ask(caller, *names)).code == 0:
        told = header(answer)
        assert desk.see(told["submission_id"]).queue == told["queue_name"]
        found.append(told["queue_name"])
    return found


def test_the_queue_with_the_highest_priority_that_has_something_is_served(several: Server) -> None:
    for queue in (LOW, QUEUE, HIGH, LOW, HIGH):
        several.desk.submit(queue=queue)
    assert served(several.desk, several.grader, LOW, QUEUE, HIGH) == [HIGH, HIGH, QUEUE, LOW, LOW]


def test_of_equals_the_one_whose_next_came_first_is_served(several: Server) -> None:
    change_queue(several.desk.storage, HIGH)
    for queue in (HIGH, QUEUE, QUEUE, HIGH):
        several.desk.clock.advance(1)
        several.desk.submit(queue=queue)
    assert served(several.desk, several.grader, QUEUE, HIGH) == [HIGH, QUEUE, QUEUE, HIGH]


def test_a_priority_can_be_changed(several: Server) -> None:
    change_queue(several.desk.storage, LOW, priority=9)
    for queue in (HIGH, LOW):
        several.desk.submit(queue=queue)
    assert served(several.desk, several.grader, HIGH, LOW) == [LOW, HIGH]


def test_only_who_asks_for_several_is_told_the_queue(several: Server) -> None:
    for _ in range(3):
        several.desk.submit()
    both = header(ask(several.grader, QUEUE, LOW))
    assert list(both) == ["submission_id", "submission_key", "queue_name"]
    for names in ((QUEUE,), (QUEUE, QUEUE)):
        assert list(header(ask(several.grader, *names))) == ["submission_id", "submission_key"]


def test_nothing_anywhere_is_said_of_all(several: Server) -> None:
    expected = Answer(code=1, content=f"Queues '{HIGH}', '{QUEUE}' are empty")
    assert ask(several.grader, HIGH, QUEUE, HIGH) == expected


def test_a_queue_that_is_not_theirs_spoils_it_and_looks_like_none(several: Server) -> None:
    mine = several.caller(add_account(several.desk.storage, "mine", Role.GRADER, queue=QUEUE))
    several.desk.submit()
    for name in (HIGH, "absent"):
        expected = Answer(code=1, content=f"Queue '{name}' not found")
        assert ask(mine, QUEUE, name) == expected
        assert ask(mine, name, QUEUE) == expected
    assert several.desk.see(1).state == "queued"


def test_a_paused_queue_is_passed_over(several: Server) -> None:
    for queue in (HIGH, QUEUE):
        several.desk.submit(queue=queue)
    pause(several.desk, HIGH)
    assert served(several.desk, several.grader, HIGH, QUEUE) == [QUEUE]


def test_a_back_off_that_has_ended_is_found(several: Server) -> None:
    several.desk.submit(queue=HIGH)
    several.desk.fail(several.desk.lease(HIGH), FailureKind.PLATFORM)
    assert ask(several.grader, HIGH, QUEUE).code == 1
    several.desk.clock.advance(1)
    assert header(ask(several.grader, HIGH, QUEUE))["queue_name"] == HIGH


def test_a_wait_for_several_is_ended_by_any(several: Server, pool: ThreadPoolExecutor) -> None:
    waiter = pool.submit(ask, several.grader, LOW, QUEUE, HIGH, wait="20")
    wait_until_waiting(several.services.waiting, 3)
    several.desk.submit(queue=LOW)
    assert header(waiter.result(timeout=TIMEOUT_S))["queue_name"] == LOW
    assert sum(several.services.waiting._waiters.values()) == 0


def test_a_worker_that_serves_only_published_graders_is_given_none_of_the_learners(
    several: Server,
) -> None:
    several.desk.submit(queue=HIGH)
    assert ask(several.grader, HIGH, QUEUE, grader="only").code == 1
    assert header(ask(several.grader, HIGH, QUEUE, grader="1"))["queue_name"] == HIGH


def test_too_many_names_are_refused(several: Server) -> None:
    names = [f"q{i}" for i in range(MOST_QUEUES + 1)]
    answer = ask(several.grader, *names)
    assert answer.code == 1
    assert f"{MOST_QUEUES} times, not {MOST_QUEUES + 1}" in answer.content
