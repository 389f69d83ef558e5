"""The worker's side of Redis: reaching it, watching whether it answers, nudging ourselves."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from grader_worker.backoff import Random, jittered_s
from grader_worker.errors import SettingsError
from grader_worker.event_log import log_event, log_warning
from grader_worker.jobs import GRADE_NEXT, lane
from grader_worker.shared_flag import SharedFlag

CONNECT_S = 3.0
PING_S = 2.0
LOOK_EVERY_S = 10.0
JOB_TIMEOUT_S = 900
NUDGE_TTL_S = 300
FAILURE_TTL_S = 3600
LOOKED_KEY = "rq:grader-worker:looked"
LOOKED_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """Where nudges come from. The URL may hold a password."""

    url: str = field(repr=False)
    ca_bundle: Path | None = None

    def connect(self, *, timeout_s: float | None = None) -> Redis:
        """Opens no connection yet. Never tries anything twice by itself: whoever asks knows better
        what to do meanwhile.

        Raises:
            SettingsError: the address can not be read.
        """
        more: dict[str, Any] = {"ssl_ca_certs": str(self.ca_bundle)} if self.ca_bundle else {}
        if more and not self.url.startswith("rediss://"):
            raise SettingsError("--redis-ca-bundle goes with a rediss:// address")
        if not self.url.startswith("unix:"):  # redis-py knows of no keepalive there
            more["socket_keepalive"] = True
        try:
            return Redis.from_url(
                self.url,
                socket_connect_timeout=CONNECT_S,
                socket_timeout=timeout_s,
                health_check_interval=30,
                retry=Retry(NoBackoff(), 0),
                **more,
            )
        except ValueError as error:  # its text may repeat a password
            raise SettingsError(
                "--redis-url must be like redis://host:6379/0 or rediss://user:password@host:6379/0"
            ) from error


class RedisWatch:
    """Tells the workers whether Redis answers, and nudges idle ones from time to time: what a
    flushed Redis forgot is found again."""

    def __init__(
        self,
        redis: Redis,
        answers: SharedFlag,
        *,
        every_s: float = LOOK_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
        rand: Random = random.random,
    ) -> None:
        self._redis = redis
        self._answers = answers
        self._every_s = every_s
        self._clock = clock
        self._rand = rand
        self._said: bool | None = None
        self._look_at = clock() + jittered_s(every_s, rand)

    def look(self, idle_workers: Callable[[], Mapping[str, int]]) -> None:
        """One round. `idle_workers` are counted by the queue to nudge for, when it is time to."""
        problem = self._problem()
        answers = problem is None
        if answers is not self._said:
            log_event("redis-answers" if answers else "redis-silent-polling-instead", why=problem)
        self._said = answers
        self._answers.set(answers)
        if answers and self._clock() >= self._look_at:
            self._look_at = self._clock() + jittered_s(self._every_s, self._rand)
            self._nudge_all(idle_workers())

    def _nudge_all(self, idle_workers: Mapping[str, int]) -> None:
        try:
            for queue, count in idle_workers.items():
                nudge_idle(self._redis, queue, count)
        except RedisError as error:
            log_warning("nudge-failed", error=str(error))

    def _problem(self) -> str | None:
        """Why workers can not wait for nudges. A Redis that is full, still loading or a replica
        answers a ping, and they could not even register."""
        try:
            self._redis.set(LOOKED_KEY, b"", ex=LOOKED_S)
        except RedisError as error:
            return str(error)
        return None


def nudge_idle(redis: Redis, queue: str, count: int) -> None:
    """So many nudges, if none are waiting already. Raises RedisError."""
    nudges = Queue(lane(queue), connection=redis, serializer=JSONSerializer)
    if count and nudges.count == 0:
        for _ in range(count):
            nudges.enqueue_call(
                GRADE_NEXT,
                args=(queue,),
                timeout=JOB_TIMEOUT_S,
                result_ttl=0,
                ttl=NUDGE_TTL_S,
                failure_ttl=FAILURE_TTL_S,
            )
