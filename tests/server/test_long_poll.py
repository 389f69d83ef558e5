"""Waiting for work: woken by it, bounded in number, and never at the cost of a submission."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from gunicorn.config import Config
from sqlalchemy import event, text

from tests.server.builders import QUEUE, Desk, add_queue
from tests.server.web_client import Answer, Server
from xqueue_server.errors import StorageUnavailable
from xqueue_server.storage import Storage, Transaction
from xqueue_server.web import waiting as waiting_module
from xqueue_server.web.call import to_seconds
from xqueue_server.web.gunicorn_worker import Worker
from xqueue_server.web.waiting import Waiting

EMPTY = Answer(code=1, content=f"Queue '{QUEUE}' is empty")
PLACES = 2
"""Half of the four threads of the test settings."""
LONG = "20"
TIMEOUT_S = 60


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as running:
        yield running


def wait_until_waiting(waiting: Waiting, count: int) -> None:
    """Until so many callers are blocked."""
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        if sum(waiting._waiters.values()) >= count:
            return
        time.sleep(0.005)
    pytest.fail("nobody waits")


def test_a_waiting_grader_gets_what_arrives(server: Server, pool: ThreadPoolExecutor) -> None:
    waiter = pool.submit(server.grader.fetch, wait=LONG)
    wait_until_waiting(server.services.waiting, 1)
    assert server.lms.submit().code == 0
    assert waiter.result(timeout=TIMEOUT_S).submission_id == 1


def test_work_that_is_there_is_not_waited_for(server: Server) -> None:
    server.lms.submit()
    assert server.grader.fetch(wait=LONG).submission_id == 1
    assert server.services.waiting._thread is None


def test_a_returned_lease_wakes_a_waiting_grader(server: Server, pool: ThreadPoolExecutor) -> None:
    server.lms.submit()
    server.grader.fetch()
    waiter = pool.submit(server.grader.fetch, wait=LONG)
    wait_until_waiting(server.services.waiting, 1)
    server.desk.sweep_after(601)
    assert waiter.result(timeout=TIMEOUT_S).submission_id == 1


def test_of_two_waiting_graders_one_gets_it_and_the_other_waits_on(
    server: Server, pool: ThreadPoolExecutor
) -> None:
    waiters = [pool.submit(server.grader.fetch, wait=LONG) for _ in range(2)]
    wait_until_waiting(server.services.waiting, 2)
    server.lms.submit()
    first = _first_done(waiters)
    assert first.result().submission_id == 1
    server.lms.submit()
    (other,) = [waiter for waiter in waiters if waiter is not first]
    assert other.result(timeout=TIMEOUT_S).submission_id == 2


def test_waiters_of_other_queues_are_left_alone(server: Server, pool: ThreadPoolExecutor) -> None:
    add_queue(server.desk.storage, "other")
    here = pool.submit(server.grader.fetch, wait=LONG)
    there = pool.submit(server.grader.fetch, "other", wait=LONG)
    wait_until_waiting(server.services.waiting, 2)
    server.desk.submit(queue="other")
    assert there.result(timeout=TIMEOUT_S).submission_id == 1
    assert not here.done()
    server.desk.submit()
    assert here.result(timeout=TIMEOUT_S).submission_id == 2


def test_beyond_half_the_threads_the_answer_is_empty_at_once(
    server: Server, pool: ThreadPoolExecutor
) -> None:
    waiters = [pool.submit(server.grader.fetch, wait=LONG) for _ in range(PLACES)]
    wait_until_waiting(server.services.waiting, PLACES)
    assert server.grader.try_fetch(wait=LONG) == EMPTY
    for _ in waiters:
        server.lms.submit()
    assert sorted(w.result(timeout=TIMEOUT_S).submission_id for w in waiters) == [1, 2]


def test_a_place_is_free_again_after_the_wait(server: Server) -> None:
    for _ in range(PLACES + 2):
        assert server.grader.try_fetch(wait="0.01") == EMPTY
    with server.services.waiting.place() as one, server.services.waiting.place() as two:
        assert one
        assert two


@pytest.mark.parametrize(
    "wait", ["", "0", "-1", "nan", "inf", "-inf", "x", "1e999", "\x00", "٣e9", "1,5", "0x10"]
)
def test_a_wait_of_garbage_is_no_wait(server: Server, wait: str) -> None:
    assert server.grader.try_fetch(wait=wait) == EMPTY
    assert server.services.waiting._thread is None, "it did not even begin to wait"


def test_without_a_wait_nobody_waits(server: Server) -> None:
    assert server.grader.try_fetch() == EMPTY
    assert server.grader.try_fetch(block="true") == EMPTY
    assert server.services.waiting._thread is None


@pytest.mark.parametrize(
    ("text_", "seconds"), [("1", 1), ("0.5", 0.5), ("1e3", 1000), ("1e6", None), (None, None)]
)
def test_seconds_are_read_within_reason(text_: str | None, seconds: float | None) -> None:
    assert to_seconds(text_) == seconds


def test_a_head_request_neither_takes_nor_waits(server: Server) -> None:
    server.lms.submit()
    server.grader.raw("HEAD", f"/xqueue/get_submission/?queue_name={QUEUE}&wait=20")
    assert server.desk.see(1).state == "queued"


def test_a_client_that_hung_up_while_it_waited_takes_no_lease(
    server: Server, pool: ThreadPoolExecutor
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        gone = pool.submit(
            server.grader.raw,
            "GET",
            f"/xqueue/get_submission/?queue_name={QUEUE}&wait=20",
            environ_overrides={"gunicorn.socket": ours},
        )
        wait_until_waiting(server.services.waiting, 1)
        theirs.close()
        server.lms.submit()
        gone.result(timeout=TIMEOUT_S)
    assert server.desk.see(1).state == "queued"
    assert server.grader.fetch().submission_id == 1


def test_a_client_that_is_still_there_gets_its_lease(
    server: Server, pool: ThreadPoolExecutor
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        waiter = pool.submit(
            server.grader.raw,
            "GET",
            f"/xqueue/get_submission/?queue_name={QUEUE}&wait=20",
            environ_overrides={"gunicorn.socket": ours},
        )
        wait_until_waiting(server.services.waiting, 1)
        server.lms.submit()
        waiter.result(timeout=TIMEOUT_S)
    assert server.desk.see(1).state == "leased"


# -- the watcher -----------------------------------------------------------------------------------


class Flaky(Storage):
    """A database whose reads fail as often as told."""

    def __init__(self, storage: Storage, *failures: Exception) -> None:
        super().__init__(storage.engine, storage.clock)
        self.failures = list(failures)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        if self.failures:
            raise self.failures.pop(0)
        with super().read() as tx:
            yield tx


@pytest.mark.parametrize("failure", [StorageUnavailable("away"), RuntimeError("a fault of ours")])
def test_a_probe_that_fails_is_repeated_and_the_waiters_are_served(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor, failure: Exception
) -> None:
    monkeypatch.setattr(waiting_module, "AFTER_FAILURE_S", 0.01)
    storage = Flaky(desk.storage, failure, failure)
    waiting = Waiting(storage, most=1)
    desk.submit()
    assert pool.submit(waiting.until_work, QUEUE, time.monotonic() + TIMEOUT_S).result()
    assert storage.failures == []


def test_one_thread_asks_for_all_waiters_and_only_while_there_are_any(
    desk: Desk, pool: ThreadPoolExecutor
) -> None:
    waiting = Waiting(desk.storage, most=4)
    asked: list[str] = []
    probed = threading.Event()

    def note(_conn: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("SELECT queues.name"):
            asked.append(threading.current_thread().name)
            probed.set()

    event.listen(desk.storage.engine, "before_cursor_execute", note)
    waiters = [
        pool.submit(waiting.until_work, QUEUE, time.monotonic() + TIMEOUT_S) for _ in range(4)
    ]
    wait_until_waiting(waiting, 4)
    assert probed.wait(TIMEOUT_S)
    desk.submit()
    assert all(waiter.result(timeout=TIMEOUT_S) for waiter in waiters)
    assert set(asked) == {"watcher"}
    wait_for_quiet = len(asked)
    with desk.storage.read() as tx:
        tx.scalar(text("SELECT 1"))
    assert len(asked) <= wait_for_quiet + 1, "nobody waits, nobody asks"


def test_a_queue_that_is_never_seen_ends_the_wait_at_its_deadline(desk: Desk) -> None:
    waiting = Waiting(desk.storage, most=1)
    assert not waiting.until_work(QUEUE, time.monotonic() + 0.05)
    assert not waiting.until_work(QUEUE, time.monotonic() - 1)


def test_nobody_may_wait_where_a_single_thread_has_to_answer(desk: Desk) -> None:
    with Waiting(desk.storage, most=0).place() as taken:
        assert not taken


def _first_done(waiters: list[Future[object]]) -> Future[object]:  # type: ignore[type-arg]
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        for waiter in waiters:
            if waiter.done():
                return waiter
        time.sleep(0.005)
    pytest.fail("nobody was woken")


def test_sigterm_sends_waiting_graders_home(server: Server, pool: ThreadPoolExecutor) -> None:
    worker = Worker.__new__(Worker)  # as gunicorn has it once the application is loaded
    worker.wsgi, worker.alive = server.app, False
    waiter = pool.submit(server.grader.try_fetch, wait=LONG)
    wait_until_waiting(server.services.waiting, 1)
    worker.handle_exit(signal.SIGTERM, None)
    assert waiter.result(timeout=TIMEOUT_S) == EMPTY


def test_a_worker_that_is_told_to_stop_while_it_starts_stops() -> None:
    """It has no application yet; an exception in the signal's handler would be its last word."""
    worker = Worker(0, 1, [], None, 30, Config(), None)
    with closing(worker.tmp), closing(worker.method_queue):
        worker.method_queue.init()  # as gunicorn does before it listens to signals
        worker.handle_exit(signal.SIGTERM, None)
        assert not worker.alive
