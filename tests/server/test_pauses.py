"""A paused queue hands nothing out; all else goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event

from tests.server.builders import QUEUE, Desk, add_queue
from tests.server.test_fairness import arrive
from tests.server.test_long_poll import EMPTY, LONG, TIMEOUT_S, wait_until_waiting
from tests.server.web_client import Answer, Server
from xqueue_server.errors import Conflict, NotFound
from xqueue_server.models.submission import TRIAL_PRIORITY, Line
from xqueue_server.storage import browsing, queues
from xqueue_server.submissions import leasing
from xqueue_server.submissions.leasing import FailureKind


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as running:
        yield running


def pause(desk: Desk, name: str = QUEUE) -> None:
    with desk.storage.write() as tx:
        queues.pause(tx, name, reason="the exam is over", actor="operator anna")


def resume(desk: Desk, name: str = QUEUE) -> None:
    with desk.storage.write() as tx:
        queues.resume(tx, name, actor="operator anna")


def test_it_looks_empty_and_takes_submissions(server: Server) -> None:
    pause(server.desk)
    assert server.lms.submit() == Answer(code=0, content="1")
    assert server.grader.try_fetch() == EMPTY
    resume(server.desk)
    assert server.grader.fetch().submission_id == 1


def test_what_is_being_graded_is_renewed_and_graded(server: Server) -> None:
    server.lms.submit()
    given = server.grader.fetch()
    pause(server.desk)
    assert server.grader.post("renew_lease", xqueue_header=given.header).code == 0
    assert server.grader.put(given).code == 0
    assert server.desk.see(1).state == "graded"


def test_what_comes_back_waits_as_well(desk: Desk) -> None:
    desk.submit()
    desk.fail(desk.lease(), FailureKind.PLATFORM)
    pause(desk)
    desk.sweep_after(1)
    assert desk.try_lease() is None
    resume(desk)
    assert desk.lease().submission_id == 1


def test_a_queue_read_before_the_pause_hands_out_nothing_either(desk: Desk) -> None:
    """A long poll has read it when it began."""
    with desk.storage.read() as tx:
        read_before = queues.get(tx, QUEUE)
    desk.submit()
    pause(desk)
    assert leasing.lease(desk.storage, desk.grader, read_before, key="k") is None


def test_trials_wait_too(desk: Desk) -> None:
    arrive(desk, "", priority=TRIAL_PRIORITY)
    pause(desk)
    with desk.storage.read() as tx:
        terms = queues.get(tx, QUEUE)
    for line in Line:
        assert leasing.lease(desk.storage, desk.grader, terms, key="k", line=line) is None


def test_other_queues_go_on(desk: Desk) -> None:
    add_queue(desk.storage, "other")
    pause(desk)
    assert desk.submit(queue="other") == desk.lease("other").submission_id


def test_a_waiting_grader_is_woken_by_the_end_of_the_pause_and_not_before(
    server: Server, pool: ThreadPoolExecutor
) -> None:
    """While it waits the claim is not tried: only the watcher asks, and finds nothing."""
    pause(server.desk)
    server.lms.submit()
    waiter = pool.submit(server.grader.fetch, wait=LONG)
    wait_until_waiting(server.services.waiting, 1)
    asked: list[str] = []
    enough = threading.Event()

    def note(_conn: object, _cursor: object, _statement: str, *_more: object) -> None:
        asked.append(threading.current_thread().name)
        if len(asked) > 5:
            enough.set()

    event.listen(server.desk.storage.engine, "before_cursor_execute", note)
    assert enough.wait(TIMEOUT_S)
    assert set(asked) == {"watcher"}
    assert not waiter.done()
    resume(server.desk)
    assert waiter.result(timeout=TIMEOUT_S).submission_id == 1


def test_who_did_it_and_why_is_kept(desk: Desk) -> None:
    pause(desk)
    with desk.storage.read() as tx:
        paused = queues.get(tx, QUEUE)
    assert (paused.paused_by, paused.paused_reason) == ("operator anna", "the exam is over")
    resume(desk)
    with desk.storage.read() as tx:
        resumed = queues.get(tx, QUEUE)
        recorded = browsing.latest_events(tx, subject=f"queue {QUEUE}", limit=2)
    assert (resumed.paused_at, resumed.paused_by, resumed.paused_reason) == (None, None, None)
    assert [(e.why, e.actor, e.detail) for e in recorded] == [
        ("resumed", "operator anna", None),
        ("paused", "operator anna", "the exam is over"),
    ]


def test_new_terms_leave_a_queue_paused(desk: Desk) -> None:
    pause(desk)
    with desk.storage.write() as tx:
        queues.change(tx, queues.get(tx, QUEUE), actor="test")
        assert queues.get(tx, QUEUE).paused_at is not None


def test_pausing_twice_resuming_twice_or_what_is_not_there_is_refused(desk: Desk) -> None:
    with pytest.raises(Conflict):
        resume(desk)
    pause(desk)
    with pytest.raises(Conflict):
        pause(desk)
    for change in (pause, resume):
        with pytest.raises(NotFound):
            change(desk, "absent")
