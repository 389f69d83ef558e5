"""`grader-worker run`: for every queue RQ workers that wait for nudges, and one process that
looks by itself, so that a flushed, lost or absent Redis costs seconds and no submission."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial

from redis import Redis
from redis.exceptions import RedisError

from grader_worker.assignment import ServedQueue
from grader_worker.backoff import Random, jittered_s
from grader_worker.errors import SettingsError, XQueueError
from grader_worker.event_log import log_event, log_warning
from grader_worker.grading import Sandbox
from grader_worker.jobs import serve_queue
from grader_worker.lane_worker import LaneWorker, connect
from grader_worker.poller import SteadyPace
from grader_worker.polling import poll_queues
from grader_worker.published.publications import Publications
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.stopping import Stop, stop_on_signals
from grader_worker.supervisor import Member, Supervisor
from grader_worker.turn import Grader
from grader_worker.xqueue_client import XQueueClient

LOOK_EVERY_S = 10.0
LOGIN_AGE_S = 3600.0


class LookPace:
    """Seldom while Redis answers, because nudges come; like a poller while it does not."""

    def __init__(
        self, redis: Redis, *, every_s: float = LOOK_EVERY_S, rand: Random = random.random
    ) -> None:
        self._redis = redis
        self._every_s = every_s
        self._rand = rand
        self._without_redis = SteadyPace(rand=rand)
        self._nudged = False

    def long_poll(self) -> bool:
        nudged = self._redis_answers()
        if nudged != self._nudged:
            log_event("redis-answers" if nudged else "redis-silent-polling-instead")
        self._nudged = nudged
        return not nudged

    def pause_s(self) -> float:
        if self._nudged:
            return jittered_s(self._every_s, self._rand)
        return self._without_redis.pause_s()

    def _redis_answers(self) -> bool:
        try:
            return bool(self._redis.ping())
        except RedisError:
            return False


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


def run_nudged(
    served: Sequence[ServedQueue],
    publications: Publications,
    *,
    redis_url: str,
    sandbox: Sandbox,
    look_every_s: float = LOOK_EVERY_S,
) -> None:
    """Returns after SIGTERM or SIGINT, when every grading in progress has ended.

    Raises SettingsError.
    """
    _refuse_same_lane(served)
    connect(redis_url).close()  # an address that can not be read is refused before any fork
    gate = SandboxGate(sandbox)
    members = [
        Member(
            name=f"rq-{queue.name}-{number}",
            main=partial(_work_lane, queue, publications, redis_url, sandbox, gate),
        )
        for queue in served
        for number in range(queue.concurrency)
    ]
    look = partial(_look, served, publications, redis_url, sandbox, gate, look_every_s)
    members.append(Member(name="look", main=look))
    stop = Stop()
    supervisor = Supervisor(members, stop)
    stop_on_signals(stop, at_once=supervisor.terminate)
    supervisor.supervise()


def _work_lane(
    queue: ServedQueue,
    publications: Publications,
    redis_url: str,
    sandbox: Sandbox,
    gate: SandboxGate,
) -> None:
    stop = Stop()
    login = SharedLogin(XQueueClient(queue.account))

    def new_grader() -> Grader:
        client = login.client.sibling()
        assignments = publications.assignments_of(queue, client)
        return Grader(client, assignments, sandbox=sandbox, gate=gate, sleep=stop.wait)

    name = queue.name
    serve_queue(name, new_grader)
    try:
        worker = LaneWorker(name, connect(redis_url), stop=stop, before_fork=login.keep_fresh)
    except RedisError as error:
        # The supervisor starts us again; until then the one that looks by itself polls.
        log_warning("redis-unreachable", queue=name, error=str(error))
        return
    worker.work(logging_level="WARNING")


def _look(
    served: Sequence[ServedQueue],
    publications: Publications,
    redis_url: str,
    sandbox: Sandbox,
    gate: SandboxGate,
    every_s: float,
) -> None:
    stop = Stop()
    stop_on_signals(stop)
    redis = connect(redis_url)
    poll_queues(
        served,
        publications,
        sandbox=sandbox,
        gate=gate,
        stop=stop,
        idle=lambda: LookPace(redis, every_s=every_s),
        threads_per_queue=1,
    )


def _refuse_same_lane(served: Sequence[ServedQueue]) -> None:
    """A nudge names its queue only: of two servers on one Redis the wrong one would be asked."""
    names = [queue.name for queue in served]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"queue {name!r} of several servers can not share one Redis")
