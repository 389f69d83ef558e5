"""RQ's fork worker, narrowed to our one job (of RQ 2.12, read in its source).

Whoever can write to Redis can name any importable function, callback or webhook in a job; here
all of those but `grade_next` are refused, and nothing is ever unpickled.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from redis import Redis
from rq import Worker
from rq.job import Job
from rq.serializers import JSONSerializer

from grader_worker.errors import SettingsError
from grader_worker.jobs import GRADE_NEXT, grade_next, lane
from grader_worker.stopping import Stop

MAINTENANCE_S = 30
WORKER_TTL_S = 60
CONNECT_S = 5


class RefusedJob(Exception):
    """The job asks for something else than grading the next submission."""


class NudgeJob(Job):
    """A job that can only be `grade_next(queue)`, whatever Redis says."""

    @property
    def func(self) -> Callable[[str], None]:
        arguments = self.args
        is_ours = self.func_name == GRADE_NEXT and self.instance is None and not self.kwargs
        if not is_ours or len(arguments) != 1 or not isinstance(arguments[0], str):
            raise RefusedJob(str(self.func_name)[:100])
        return grade_next

    @property
    def success_callback(self) -> None:
        return None

    @property
    def failure_callback(self) -> None:
        return None

    @property
    def stopped_callback(self) -> None:
        return None

    def send_webhooks(self, *_args: Any, **_kwargs: Any) -> None:
        """RQ would post to any address that stands in the job."""


class LaneWorker(Worker):
    """Works on one lane: with two, RQ pops in a way that loses jobs when a worker dies."""

    job_class = NudgeJob

    def __init__(
        self, queue: str, connection: Redis, *, stop: Stop, before_fork: Callable[[], None]
    ) -> None:
        # A name, not a Queue: a Queue made elsewhere would bring the pickle serializer along.
        super().__init__(
            [lane(queue)],
            connection=connection,
            serializer=JSONSerializer,
            job_class=NudgeJob,
            default_result_ttl=0,
            maintenance_interval=MAINTENANCE_S,
            worker_ttl=WORKER_TTL_S,
            log_job_description=False,
        )
        self._stop = stop
        self._before_fork = before_fork

    def execute_job(self, job: Job, queue: Any) -> None:
        self._before_fork()
        super().execute_job(job, queue)

    def handle_warm_shutdown_request(self) -> None:
        """Tell the job as well: it finishes its submission and leases no other."""
        if self.horse_pid:
            os.kill(self.horse_pid, signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        """A fork inherits the parent's pipe; the job gets a stop of its own in `_stop`'s place."""
        self._stop.renew()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_terminate)

    def _on_terminate(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()


def connect(redis_url: str) -> Redis:
    """Opens no connection yet. Raises SettingsError for an address that can not be read."""
    try:
        return Redis.from_url(
            redis_url,
            socket_connect_timeout=CONNECT_S,
            socket_keepalive=True,
            health_check_interval=30,
        )
    except ValueError as error:  # its text may repeat a password
        raise SettingsError("--redis-url must be like redis://host:6379/0") from error
