"""RQ's fork worker, narrowed to our one job (of RQ 2.12, read in its source).

Whoever can write to Redis can name any importable function, callback or webhook in a job, have it
tried again for ever, or order workers about; here all of that but `grade_next` is refused or not
even read, and nothing is ever unpickled.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Worker
from rq.exceptions import DequeueTimeout, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import WorkerStatus
from rq.worker_registration import clean_worker_registry

from grader_worker.event_log import log_warning
from grader_worker.jobs import GRADE_NEXT, grade_next, lane
from grader_worker.stopping import Stop
from grader_worker.supervisor import end_with_parent

MAINTENANCE_S = 30
WORKER_TTL_S = 60
DEQUEUE_S = 3
"""How long Redis holds one request for a job."""
SILENCE_S = 5
"""After this long without an answer Redis is taken for dead: it may be there and hang."""
MAX_NUDGE_BYTES = 4096
"""A name of a queue has at most 128 characters."""
_ALWAYS = {b"timeout": b"-1", b"result_ttl": b"0", b"failure_ttl": b"3600"}
"""A grading is bounded by its own limits, and may wait long for a place in the sandbox: RQ's limit
would end one that is well, again and again."""


class RefusedJob(Exception):
    """The job asks for something else than grading the next submission."""


class NudgeJob(Job):
    """A job that can only be `grade_next(queue)`, whatever Redis says."""

    def refresh(self) -> None:
        """Takes the call and its lane, and nothing else that may stand there: retries, times,
        other jobs to follow, hundreds of megabytes."""
        length = self.connection.hstrlen(self.key, "data")
        if not length:
            raise NoSuchJobError(f"No such job: {self.key}")
        if length > MAX_NUDGE_BYTES:
            raise ValueError(f"a nudge of {length} bytes")
        data, origin = self.connection.hmget(self.key, "data", "origin")
        self.restore({b"data": data or b"", b"origin": origin or b"", **_ALWAYS})

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
    """Works on the lanes of one pool. With several of them RQ pops in a way that loses the nudge
    when a worker dies just then: the next look of its host makes up for it."""

    job_class = NudgeJob

    def __init__(
        self,
        queues: Sequence[str],
        connection: Redis,
        *,
        stop: Stop,
        before_fork: Callable[[], None],
        after_fork: Callable[[], None],
    ) -> None:
        # Names, not Queues: a Queue made elsewhere would bring the pickle serializer along.
        super().__init__(
            [lane(queue) for queue in queues],
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
        self._after_fork = after_fork
        self.trouble: RedisError | None = None
        """Why it ended, where Redis was the reason."""

    @contextmanager
    def _quitting_when_lost(self) -> Iterator[None]:
        """RQ ends its loop quietly for this error only."""
        try:
            yield
        except RedisError as error:
            self.trouble = self.trouble or error
            raise RedisTimeoutError(str(error)) from error

    @property
    def dequeue_timeout(self) -> int:
        return DEQUEUE_S

    @property
    def connection_timeout(self) -> int:
        return SILENCE_S

    def _set_ip_address(self, connection: Redis) -> None:
        """RQ reads it from a list of all clients, which a worker has no business to see."""
        del connection
        self.ip_address = "unknown"

    def check_for_suspension(self, burst: bool) -> None:
        """`rq suspend` is for whoever can write to Redis: that must not stop the grading."""

    def subscribe(self) -> None:
        """Nor may a message end this worker or kill what it grades. And it forks: a thread that
        listens could hold a lock then."""

    def run_maintenance_tasks(self) -> None:
        """Forgets what was left behind. RQ would put lost nudges back, for which it reads each
        again: one that can not be read would end every worker. The next look makes up for them."""
        with self._quitting_when_lost():
            for queue in self.queues:
                self.connection.delete(queue.intermediate_queue.key)
                for registry in (queue.started_job_registry, queue.failed_job_registry):
                    self.connection.zremrangebyscore(registry.key, 0, time.time())
                clean_worker_registry(queue)
        self.last_cleaned_at = now()  # type: ignore[assignment]  # RQ has it so too

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Any]:
        """RQ's own waits for a Redis that is gone; here that ends the worker, which then polls."""
        del max_idle_time
        with self._quitting_when_lost():
            self.set_state(WorkerStatus.IDLE)
            while True:
                self.heartbeat()
                if self.should_run_maintenance_tasks:
                    self.run_maintenance_tasks()
                try:
                    job, queue = self.queue_class.dequeue_any(  # type: ignore[misc]  # may be None
                        self._ordered_queues,
                        timeout,
                        connection=self.connection,
                        job_class=self.job_class,
                        serializer=self.serializer,
                        death_penalty_class=self.death_penalty_class,
                    )
                    job.redis_server_version = self.redis_server_version
                    return job, queue
                except DequeueTimeout:
                    continue
                except (ValueError, TypeError) as error:  # its id, its name or its size
                    log_warning("nudge-unreadable", error=type(error).__name__)

    def execute_job(self, job: Job, queue: Any) -> None:
        self._before_fork()
        try:
            with self._quitting_when_lost():
                super().execute_job(job, queue)
        finally:
            # A fork that was killed could not say so itself.
            self._after_fork()

    def monitor_work_horse(self, job: Job, queue: Any) -> None:
        """A Redis that is lost meanwhile is no reason to leave a grading alone."""
        while True:
            try:
                super().monitor_work_horse(job, queue)
                return
            except RedisError:
                if not self._horse_is_there():
                    raise

    def _horse_is_there(self) -> bool:
        try:
            os.waitid(os.P_PID, self.horse_pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return bool(self.horse_pid)

    def teardown(self) -> None:
        """Saying goodbye to a Redis that is gone is not worth an error."""
        with suppress(RedisError):
            super().teardown()  # type: ignore[no-untyped-call]  # as RQ has it

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]  # as RQ has it
        # One that came before was only noted.
        self._stop_requested = self._stop.is_set()

    def handle_warm_shutdown_request(self) -> None:
        """Tell the job as well: it finishes its submission and leases no other."""
        if self.horse_pid:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.horse_pid, signal.SIGTERM)

    def fork_work_horse(self, job: Job, queue: Any) -> None:
        self._pid_of_parent = os.getpid()
        # Until the worker knows its job and the job has its own handler: a signal that comes
        # between is for both, and would reach neither.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        try:
            super().fork_work_horse(job, queue)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])

    def setup_work_horse_signals(self) -> None:
        """A fork inherits the parent's pipe; the job gets a stop of its own in `_stop`'s place."""
        self._stop.renew()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        if self._stop_requested:  # before the fork
            self._on_terminate(signal.SIGTERM, None)
        end_with_parent(self._pid_of_parent)

    def _on_terminate(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()
