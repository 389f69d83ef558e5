"""Nudges through Redis: an RQ job that carries a queue's name and nothing else.

The job is named by string and serialised as JSON: this server never imports the worker, and a
worker never unpickles. A nudge that can not be sent is forgotten: workers also look by themselves.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from xqueue_server.dispatch import DispatchUnavailable

log = logging.getLogger(__name__)

# What `grader_worker.jobs` documents as the agreement between the two.
LANE_PREFIX = "xqueue:"
GRADE_NEXT = "grader_worker.jobs.grade_next"
JOB_TIMEOUT_S = 900
NUDGE_TTL_S = 300
FAILURE_TTL_S = 3600
REDIS_TIMEOUT_S = 1.0
"""A submit waits no longer than this for a Redis that is gone."""
REST_S = 5.0
"""After a nudge that was not sent, for how long none is tried: a Redis that hangs would cost every
submit its second, and with them every thread of the server."""


def connect(redis_url: str, ca_bundle: Path | None) -> Redis:
    """Opens no connection yet, and tries nothing twice. `ca_bundle` is for rediss:// only."""
    more: dict[str, Any] = {"ssl_ca_certs": str(ca_bundle)} if ca_bundle else {}
    if not redis_url.startswith("unix:"):  # redis-py knows of no keepalive there
        more["socket_keepalive"] = True
    return Redis.from_url(
        redis_url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 0),
        **more,
    )


class RqDispatcher:
    """Safe to share between threads."""

    def __init__(
        self,
        redis_url: str,
        *,
        ca_bundle: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = connect(redis_url, ca_bundle)
        self._clock = clock
        self._rests_until = clock()
        self._lanes: dict[str, Queue] = {}
        self._lock = threading.Lock()

    def nudge(self, queue: str) -> None:
        if self._clock() < self._rests_until:
            return
        try:
            self._enqueue(queue)
        except (RedisError, OSError) as error:
            self._rests_until = self._clock() + REST_S
            log.warning(
                "nudge not sent",
                extra={"action": "nudge", "queue": queue, "why": type(error).__name__},
            )

    def top_up(self, queue: str, most: int) -> int:
        try:
            missing = most - self._underway(queue)
            for _ in range(missing):
                self._enqueue(queue)
        except (RedisError, OSError) as error:
            raise DispatchUnavailable(type(error).__name__) from error
        return max(missing, 0)

    def answers(self) -> bool:
        try:
            return bool(self._redis.ping())
        except (RedisError, OSError):
            return False

    def _underway(self, queue: str) -> int:
        """Nudges that wait, and those that a worker follows. One whose worker has died stays in
        the second list, but its time runs out."""
        lane = self._lane(queue)
        followed = self._redis.zcount(lane.started_job_registry.key, time.time(), "+inf")
        assert isinstance(followed, int)  # not the asynchronous client's
        return int(lane.count) + followed

    def _enqueue(self, queue: str) -> None:
        self._lane(queue).enqueue_call(
            GRADE_NEXT,
            args=(queue,),
            timeout=JOB_TIMEOUT_S,
            result_ttl=0,
            ttl=NUDGE_TTL_S,
            failure_ttl=FAILURE_TTL_S,
        )

    def _lane(self, queue: str) -> Queue:
        with self._lock:
            if queue not in self._lanes:
                self._lanes[queue] = Queue(
                    LANE_PREFIX + queue, connection=self._redis, serializer=JSONSerializer
                )
            return self._lanes[queue]
