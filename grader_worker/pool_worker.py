"""One worker of a pool: it polls until the queue is empty and Redis answers, then waits for nudges.

When its Redis is lost it ends, and the supervisor starts it again: so it polls.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from redis.exceptions import RedisError, ResponseError
from rq.exceptions import StopRequested

from grader_worker.errors import XQueueError
from grader_worker.event_log import log_warning
from grader_worker.grading import Sandbox
from grader_worker.jobs import serve_queue
from grader_worker.lane_worker import LaneWorker
from grader_worker.nudging import RedisAddress
from grader_worker.poller import Poller, SteadyPace
from grader_worker.pool import Pool
from grader_worker.published.publications import Publications
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.scoreboard import Slot
from grader_worker.shared_flag import SharedFlag
from grader_worker.stopping import Stop, stop_on_signals
from grader_worker.turn import Grader
from grader_worker.xqueue_client import XQueueClient

LOGIN_AGE_S = 3600.0
DISTRUST_S = 30.0
"""A Redis that answers and refuses what a worker needs does so again: its queue is of another type,
or a command is not allowed."""


class SharedLogin:
    """Logs in before forks, so that not every job has to; a job still can by itself."""

    def __init__(
        self, client: XQueueClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.client = client
        self._clock = clock
        self._logged_in_at: float | None = None

    def keep_fresh(self) -> None:
        now = self._clock()
        if self._logged_in_at is not None and now - self._logged_in_at < LOGIN_AGE_S:
            return
        try:
            self.client.login()
            self._logged_in_at = now
        except XQueueError as error:
            log_warning("login-failed", server=self.client.account.url, error=str(error))
        finally:
            # The fork must not inherit an open connection to talk on.
            self.client.close()


class UntilNudged:
    """Paces a poller, and ends it at an empty queue once Redis answers."""

    def __init__(self, stop: Stop, redis_answers: SharedFlag) -> None:
        self._stop = stop
        self._redis_answers = redis_answers
        self._steady = SteadyPace()
        self._is_empty = False

    def long_poll(self) -> bool:
        self._is_empty = False
        return not self._redis_answers.is_set

    def pause_s(self) -> float:
        self._is_empty = True
        return self._steady.pause_s()

    def sleep(self, seconds: float) -> bool:
        may_end = self._is_empty and self._redis_answers.is_set
        return may_end or self._stop.wait(seconds)


def work(
    pool: Pool,
    publications: Publications,
    redis: RedisAddress,
    sandbox: Sandbox,
    gate: SandboxGate,
    redis_answers: SharedFlag,
    slot: Slot,
) -> None:
    """Returns when told to stop, or when Redis was lost."""
    stop = Stop()
    stop_on_signals(stop)
    gate.leave_checking_to_another()
    login = SharedLogin(XQueueClient(pool.account))
    login.keep_fresh()

    def new_grader() -> Grader:
        client = login.client.sibling()
        books = publications.books_of(pool, client)
        return Grader(client, books, sandbox=sandbox, gate=gate, sleep=stop.wait, slot=slot)

    pace = UntilNudged(stop, redis_answers)
    grader = new_grader()
    try:
        Poller(grader, sleep=pace.sleep, idle=pace).poll_until_stopped()
    finally:
        grader.client.close()
    if not stop.is_set():
        trouble = _wait_for_nudges(pool, new_grader, redis, login, stop, slot)
        if trouble is not None:
            log_warning("redis-lost", pool=pool.name, error=str(trouble))
        if isinstance(trouble, ResponseError):
            redis_answers.hold_down(DISTRUST_S)


def _wait_for_nudges(
    pool: Pool,
    new_grader: Callable[[], Grader],
    redis: RedisAddress,
    login: SharedLogin,
    stop: Stop,
    slot: Slot,
) -> RedisError | None:
    """Returns when told to stop, or what was wrong with Redis."""
    for queue in pool.queue_names:
        serve_queue(queue, new_grader)
    try:
        worker = LaneWorker(
            pool.queue_names,
            redis.connect(),
            stop=stop,
            before_fork=login.keep_fresh,
            after_fork=slot.idle,
        )
        worker.work(logging_level="WARNING")
    except RedisError as error:
        return error
    except StopRequested:
        return None  # in the middle of its start
    return worker.trouble
