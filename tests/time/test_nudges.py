"""Nudges in a real Redis: topped up to what waits after a flush or an outage, and never more."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import text

from tests.acceptance.services import PrivateRedis
from tests.server.builders import QUEUE, Desk, add_queue
from xqueue_server.dispatch import NoDispatcher, rq
from xqueue_server.dispatch.rq import REST_S, RqDispatcher
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.workload.nudging import MOST_NUDGES, Nudges

LANE = f"rq:queue:xqueue:{QUEUE}"
FOLLOWED = f"rq:wip:xqueue:{QUEUE}"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    server = PrivateRedis(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def nudges(desk: Desk, redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> Nudges:
    monkeypatch.setattr(rq, "REDIS_TIMEOUT_S", 30)  # a busy machine may take more than a second
    return Nudges(desk.storage, RqDispatcher(redis.url))


def waiting(client: Redis, lane: str = LANE) -> int:
    count = client.llen(lane)
    assert isinstance(count, int)
    return count


def submit(desk: Desk, count: int, queue: str = QUEUE) -> None:
    for _ in range(count):
        desk.submit(queue=queue)


def test_lost_nudges_are_topped_up_to_what_waits(
    desk: Desk, nudges: Nudges, redis: PrivateRedis
) -> None:
    submit(desk, 3)
    assert nudges.top_up() == 3
    assert nudges.top_up() == 0
    redis.client.flushall()
    assert nudges.top_up() == 3
    assert waiting(redis.client) == 3


def test_a_nudge_is_what_the_worker_expects(
    desk: Desk, nudges: Nudges, redis: PrivateRedis
) -> None:
    submit(desk, 1)
    nudges.top_up()
    (job_id,) = redis.client.lrange(LANE, 0, -1)
    job = redis.client.hgetall(b"rq:job:" + job_id)
    assert json.loads(_decompressed(job[b"data"])) == [
        "grader_worker.jobs.grade_next",
        None,
        [QUEUE],
        {},
    ]


class Silent:
    """Takes connections and answers nothing, as a Redis that hangs; counts them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def taken(self) -> int:
        """Since it was last asked."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()
                count += 1
        return count

    def close(self) -> None:
        self._listener.close()


def test_a_redis_that_hangs_is_left_alone_for_some_seconds() -> None:
    """Else every submit would wait for it."""
    now = 100.0
    with contextlib.closing(Silent()) as silent:
        dispatcher = RqDispatcher(silent.url, clock=lambda: now)
        dispatcher.nudge(QUEUE)
        assert silent.taken() == 1
        dispatcher.nudge(QUEUE)
        assert silent.taken() == 0
        now += REST_S
        dispatcher.nudge(QUEUE)
        assert silent.taken() == 1


def _decompressed(data: bytes) -> bytes:
    return zlib.decompress(data) if data[:1] == b"\x78" else data


def test_nudges_that_workers_follow_count(desk: Desk, nudges: Nudges, redis: PrivateRedis) -> None:
    submit(desk, 3)
    redis.client.zadd(FOLLOWED, {"job:one": time.time() + 60, "job:two": time.time() + 60})
    assert nudges.top_up() == 1


def test_a_nudge_whose_worker_died_long_ago_does_not(
    desk: Desk, nudges: Nudges, redis: PrivateRedis
) -> None:
    submit(desk, 3)
    redis.client.zadd(FOLLOWED, {"job:one": time.time() - 60})
    assert nudges.top_up() == 3


def test_more_nudges_than_work_are_left_alone(
    desk: Desk, nudges: Nudges, redis: PrivateRedis
) -> None:
    submit(desk, 2)
    nudges.top_up()
    desk.lease()
    assert nudges.top_up() == 0
    assert waiting(redis.client) == 2


def test_a_lane_without_workers_does_not_grow_without_bound(
    desk: Desk, nudges: Nudges, redis: PrivateRedis
) -> None:
    submit(desk, MOST_NUDGES + 5)
    for _ in range(3):
        nudges.top_up()
    assert waiting(redis.client) == MOST_NUDGES


def test_lanes_with_nothing_to_lease_are_not_touched(
    desk: Desk, nudges: Nudges, redis: PrivateRedis
) -> None:
    add_queue(desk.storage, "empty")
    submit(desk, 1)
    desk.fail(desk.lease(), FailureKind.PLATFORM)  # waits out a back-off
    assert nudges.top_up() == 0
    assert redis.client.keys("*") == []


def test_a_paused_queue_is_not_nudged(desk: Desk, nudges: Nudges, redis: PrivateRedis) -> None:
    add_queue(desk.storage, "java")
    submit(desk, 1)
    submit(desk, 2, "java")
    with desk.storage.write() as tx:
        tx.run(text(f"UPDATE queues SET paused_at = 1 WHERE name = '{QUEUE}'"))
    assert nudges.top_up() == 2
    assert (waiting(redis.client), waiting(redis.client, "rq:queue:xqueue:java")) == (0, 2)


def test_a_redis_that_goes_and_comes_is_logged_once_each(
    desk: Desk, nudges: Nudges, redis: PrivateRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="xqueue_server.workload.nudging")
    submit(desk, 2)
    nudges.top_up()
    redis.kill()
    assert [nudges.top_up() for _ in range(3)] == [0, 0, 0]
    redis.start()
    assert nudges.top_up() == 2
    nudges.top_up()
    actions = [getattr(record, "action", "") for record in caplog.records]
    assert actions == ["nudges_paused", "nudges_resumed"]


def test_without_redis_nobody_is_told(desk: Desk) -> None:
    submit(desk, 2)
    assert Nudges(desk.storage, NoDispatcher()).top_up() == 0
