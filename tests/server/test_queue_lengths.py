"""The queue length: exact while it is short, counted once a second when it is long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from tests.server.builders import QUEUE, Desk, add_queue
from xqueue_server.storage import Storage, Transaction
from xqueue_server.submissions import queue_length
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.submissions.queue_length import EXACT_UP_TO, QueueLengths

FILL = text(
    """
    INSERT INTO submissions (queue, state, priority, attempt, platform_failures, arrived_at,
        request_id, submitted_by, callback_url, lms_key)
    VALUES (:queue, 'queued', 0, 1, 0, 0, 'r', 'lms', :url, :url)"""
)


TAKE = text(
    """
    UPDATE submissions SET state = 'graded'
    WHERE id = (SELECT min(id) FROM submissions WHERE state = 'queued')"""
)
TIMEOUT_S = 60


class SteppedTime:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def now() -> SteppedTime:
    return SteppedTime()


@pytest.fixture
def lengths(desk: Desk, now: SteppedTime) -> QueueLengths:
    return QueueLengths(desk.storage, now)


def fill(desk: Desk, count: int, queue: str = QUEUE) -> None:
    with desk.storage.write() as tx:
        tx.run_many(FILL, [{"queue": queue, "url": b"u"}] * count)


def test_an_empty_or_unknown_queue_has_length_zero(lengths: QueueLengths) -> None:
    assert lengths.of(QUEUE) == 0
    assert lengths.of("unknown") == 0


def test_only_what_could_be_leased_now_counts(desk: Desk, lengths: QueueLengths) -> None:
    for _ in range(6):
        desk.submit(body="not json")
    desk.lease()
    desk.put(desk.lease())
    desk.fail(desk.lease(), FailureKind.GRADER)
    desk.fail(desk.lease(), FailureKind.PLATFORM)
    assert lengths.of(QUEUE) == 2


def test_it_is_exact_at_every_moment_up_to_a_thousand(desk: Desk, lengths: QueueLengths) -> None:
    fill(desk, EXACT_UP_TO - 1)
    assert lengths.of(QUEUE) == EXACT_UP_TO - 1
    desk.submit()
    assert lengths.of(QUEUE) == EXACT_UP_TO
    take_one(desk)
    assert lengths.of(QUEUE) == EXACT_UP_TO - 1


def test_beyond_a_thousand_it_is_at_most_a_second_old(
    desk: Desk, lengths: QueueLengths, now: SteppedTime
) -> None:
    fill(desk, EXACT_UP_TO + 1)
    assert lengths.of(QUEUE) == EXACT_UP_TO + 1
    fill(desk, 500)
    now.now += 0.999
    assert lengths.of(QUEUE) == EXACT_UP_TO + 1
    now.now += 0.001
    assert lengths.of(QUEUE) == EXACT_UP_TO + 501


def test_it_is_exact_again_as_soon_as_the_queue_is_short(desk: Desk, lengths: QueueLengths) -> None:
    fill(desk, EXACT_UP_TO + 1)
    lengths.of(QUEUE)
    take_one(desk)
    take_one(desk)
    assert lengths.of(QUEUE) == EXACT_UP_TO - 1


def test_a_queue_that_is_surely_long_is_not_even_probed_for_a_second(
    desk: Desk, lengths: QueueLengths, now: SteppedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_length, "SURELY_LONG", EXACT_UP_TO + 1)
    fill(desk, EXACT_UP_TO + 2)
    assert lengths.of(QUEUE) == EXACT_UP_TO + 2
    for _ in range(3):
        take_one(desk)
    now.now += 0.999
    assert lengths.of(QUEUE) == EXACT_UP_TO + 2
    now.now += 0.001
    assert lengths.of(QUEUE) == EXACT_UP_TO - 1


def test_each_queue_is_remembered_for_itself(desk: Desk, lengths: QueueLengths) -> None:
    add_queue(desk.storage, "other")
    fill(desk, EXACT_UP_TO + 1)
    fill(desk, EXACT_UP_TO + 2, "other")
    assert [lengths.of(QUEUE), lengths.of("other")] == [EXACT_UP_TO + 1, EXACT_UP_TO + 2]


def take_one(desk: Desk) -> None:
    with desk.storage.write() as tx:
        tx.run(TAKE)


class Counting(Storage):
    """Notes how many full counts run at the same time, and holds them until released."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage.engine, storage.clock)
        self.begun = 0
        self.held = threading.Event()
        self.first = threading.Event()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with super().read() as tx:
            real = tx.scalar

            def scalar(statement: object, **params: object) -> object:
                if "most" not in params:
                    self.begun += 1
                    self.first.set()
                    assert self.held.wait(TIMEOUT_S)
                return real(statement, **params)  # type: ignore[arg-type]

            tx.scalar = scalar  # type: ignore[method-assign, assignment]
            yield tx


def test_one_thread_counts_while_the_others_take_the_old_figure(
    desk: Desk, now: SteppedTime
) -> None:
    fill(desk, EXACT_UP_TO + 1)
    storage = Counting(desk.storage)
    storage.held.set()
    lengths = QueueLengths(storage, now)
    lengths.of(QUEUE)
    fill(desk, 100)
    now.now += 2
    storage.held.clear()
    storage.first.clear()
    with ThreadPoolExecutor(5) as pool:
        counting = pool.submit(lengths.of, QUEUE)
        assert storage.first.wait(TIMEOUT_S)
        others = [pool.submit(lengths.of, QUEUE).result(timeout=TIMEOUT_S) for _ in range(4)]
        storage.held.set()
        assert counting.result(timeout=TIMEOUT_S) == EXACT_UP_TO + 101
    assert others == [EXACT_UP_TO + 1] * 4
    assert storage.begun == 2


def test_those_who_come_first_together_count_once(desk: Desk, now: SteppedTime) -> None:
    fill(desk, EXACT_UP_TO + 1)
    storage = Counting(desk.storage)
    lengths = QueueLengths(storage, now)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(lengths.of, QUEUE) for _ in range(4)]
        assert storage.first.wait(TIMEOUT_S)
        storage.held.set()
        assert [f.result(timeout=TIMEOUT_S) for f in asked] == [EXACT_UP_TO + 1] * 4
    assert storage.begun == 1
