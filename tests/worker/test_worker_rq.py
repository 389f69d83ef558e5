"""Nudges through a real Redis to forked jobs; what Redis loses or asks for does not matter."""

from __future__ import annotations

import os
import pickle
import signal

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from rq import Queue
from rq.exceptions import DeserializationError
from rq.job import Callback
from rq.serializers import JSONSerializer
from rq.webhook import Webhook

from grader_worker import jobs
from grader_worker.crew import refuse_same_names, refuse_too_many
from grader_worker.errors import SettingsError
from grader_worker.jobs import GRADE_NEXT, NotOurQueue, grade_next, lane
from grader_worker.lane_worker import NudgeJob, RefusedJob
from grader_worker.nudging import RedisWatch, nudge_idle
from grader_worker.pool import MOST_WORKERS
from grader_worker.pool_worker import SharedLogin
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.shared_flag import SharedFlag
from grader_worker.turn import TurnEnd
from grader_worker.xqueue_client import XQueueClient
from sandbox.backend import BackendHealth
from tests.worker.fakes import account, end_by_more_signals, eventually, pool, release_runs
from tests.worker.running import NEVER_S, listening, nudge, worker_is_up


def ended(job):
    return job.get_status(refresh=True) in ("finished", "failed", None)


def test_a_nudge_grades_from_a_forked_job(run, redis, xqueue, sandboxd_process):
    sandboxd_process()
    run(redis.url)
    number = xqueue.submit()
    nudge(redis)
    xqueue.until(lambda xqueue: number in xqueue.results)


def test_one_nudge_grades_all_that_is_waiting_and_logs_in_no_more(
    run, redis, xqueue, sandboxd_process
):
    sandboxd_process()
    workers = run(redis.url)
    workers.until(lambda _: worker_is_up(redis) and xqueue.api.announcements)
    numbers = [xqueue.submit() for _ in range(3)]
    nudge(redis)
    xqueue.until(lambda xqueue: set(numbers) <= xqueue.results.keys())
    logins = xqueue.logins
    last = xqueue.submit()
    nudge(redis)
    nudge(redis)
    xqueue.until(lambda xqueue: last in xqueue.results)
    assert xqueue.logins == logins


def test_a_killed_rq_worker_is_replaced(run, redis, xqueue, sandboxd_process):
    sandboxd_process()
    run(redis.url)
    eventually(lambda: worker_is_up(redis))
    (name,) = worker_is_up(redis)
    os.kill(int(redis.client.hget(name, "pid")), signal.SIGKILL)
    eventually(lambda: worker_is_up(redis) - {name})
    number = xqueue.submit()
    nudge(redis)
    xqueue.until(lambda xqueue: number in xqueue.results)


def test_sigterm_finishes_the_grading_and_exits_0(run, redis, xqueue, sandboxd_process):
    sandboxd = sandboxd_process("held")
    worker = run(redis.url)
    eventually(lambda: listening(redis) == 1)
    (key,) = worker_is_up(redis)
    first, second = xqueue.submit(), xqueue.submit()
    nudge(redis)
    assert sandboxd.stdout.readline() == "running\n"
    worker.send_signal(signal.SIGTERM)
    # RQ notes it after its job was told.
    eventually(lambda: redis.client.hget(key, "shutdown_requested_date"))
    release_runs(worker.socket_path)
    assert worker.wait(60) == 0
    assert first in xqueue.results
    assert [number for number, _body, _files in xqueue.waiting] == [second], "it was not touched"
    assert xqueue.failures == {}


def test_a_second_sigterm_ends_at_once(run, redis, xqueue, sandboxd_process):
    sandboxd = sandboxd_process("held")
    worker = run(redis.url)
    xqueue.submit()
    nudge(redis)
    assert sandboxd.stdout.readline() == "running\n"
    worker.send_signal(signal.SIGTERM)
    eventually(lambda: worker.poll() is None and xqueue.logins)
    # RQ takes a second signal within a second for the same one sent twice.
    with pytest.raises(Exception, match="timed out"):
        worker.wait(1.2)
    end_by_more_signals(worker)
    assert worker.returncode == 130


def test_a_job_that_asks_for_anything_else_is_refused(
    run, redis, xqueue, sandboxd_process, tmp_path
):
    sandboxd_process()
    run(redis.url)
    touched = tmp_path / "touched"
    job = nudge(redis, "os.system", (f"touch {touched}",))
    eventually(lambda: ended(job))
    assert job.get_status() == "failed"
    assert not touched.exists()


# Signals while a job is forked


STOPPED_AFTER_THE_FORK = """
import os, signal, sys
from redis import Redis
from rq.worker import WorkerStatus
from grader_worker.lane_worker import LaneWorker
from grader_worker.stopping import Stop

class Waiting(LaneWorker):
    def perform_job(self, job, queue):
        os._exit(0 if self._stop.wait(30) else 1)

def fork_and_be_stopped(fork=os.fork):
    pid = fork()
    if (pid == 0) == (sys.argv[2] == "job"):
        os.kill(os.getpid(), signal.SIGTERM)
    return pid

stop = Stop()
os.fork = fork_and_be_stopped
nothing = lambda: None
worker = Waiting(["python"], Redis.from_url(sys.argv[1]), stop=stop, before_fork=nothing,
                 after_fork=nothing)
worker._state = WorkerStatus.BUSY
signal.signal(signal.SIGTERM, worker.request_stop)
worker.fork_work_horse(type("Job", (), {"id": "7"}), None)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(worker.horse_pid, 0)[1]))
"""


@pytest.mark.parametrize("signalled", ["worker", "job"])
def test_a_signal_in_the_middle_of_a_fork_reaches_the_job(processes, redis, signalled):
    """Else it would go on to the next submissions for as long as a job may."""
    forking = processes.start("-c", STOPPED_AFTER_THE_FORK, redis.url, signalled)
    assert forking.wait(60) == 0


# The allow-list


def nudge_job(redis, func=GRADE_NEXT, args=("python",), kwargs=None, **options):
    return NudgeJob.create(
        func,
        args=args,
        kwargs=kwargs or {},
        connection=redis.client,
        serializer=JSONSerializer,
        **options,
    )


def test_grading_the_next_is_allowed(redis):
    assert nudge_job(redis).func is grade_next


@pytest.mark.parametrize(
    ("func", "args", "kwargs"),
    [
        ("os.system", ("true",), {}),
        ("grader_worker.jobs.serve_queue", ("python",), {}),
        (GRADE_NEXT, (), {}),
        (GRADE_NEXT, ("a", "b"), {}),
        (GRADE_NEXT, (5,), {}),
        (GRADE_NEXT, (), {"queue": "python"}),
    ],
)
def test_anything_else_is_refused(redis, func, args, kwargs):
    with pytest.raises(RefusedJob):
        _ = nudge_job(redis, func, args, kwargs).func


def test_callbacks_and_webhooks_are_ignored(redis, monkeypatch):
    evil = Callback("os.system")
    hook = Webhook("http://169.254.169.254/", job_status="finished")
    job = nudge_job(redis, on_success=evil, on_failure=evil, on_stopped=evil, webhooks=[hook])
    monkeypatch.setattr(Webhook, "send", lambda *_a, **_k: pytest.fail("sent"))
    job.send_webhooks("finished")
    assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None,) * 3


def test_a_pickle_in_redis_is_not_loaded(redis):
    job = nudge_job(redis)
    job.save()
    redis.client.hset(job.key, "data", pickle.dumps((GRADE_NEXT, None, ("python",), {})))
    loaded = NudgeJob.fetch(job.id, connection=redis.client, serializer=JSONSerializer)
    with pytest.raises(DeserializationError):
        _ = loaded.func


# The job


class ScriptedGrader:
    def __init__(self, gate, *turns):
        self.gate = gate
        self.turns = list(turns)
        self.client = self
        self.closed = False

    def take_turn(self, *, long_poll):
        assert not long_poll
        return self.turns.pop(0)

    def close(self):
        self.closed = True


def serve(monkeypatch, grader):
    monkeypatch.setattr(jobs, "_factories", {"python": lambda: grader})


def test_a_job_goes_on_until_the_queue_is_empty(monkeypatch, backend):
    turns = (TurnEnd.REPORTED, TurnEnd.ABANDONED, TurnEnd.EMPTY, TurnEnd.REPORTED)
    grader = ScriptedGrader(SandboxGate(backend), *turns)
    serve(monkeypatch, grader)
    grade_next("python")
    assert grader.turns == [TurnEnd.REPORTED]
    assert grader.closed


def test_a_job_ends_when_its_time_is_up(monkeypatch, backend):
    monkeypatch.setattr(jobs, "DRAIN_S", 0)
    grader = ScriptedGrader(SandboxGate(backend))
    serve(monkeypatch, grader)
    grade_next("python")


def test_a_job_does_not_wait_for_a_broken_sandbox(monkeypatch, backend):
    backend.health = [BackendHealth(healthy=False)]
    serve(monkeypatch, ScriptedGrader(SandboxGate(backend)))
    grade_next("python")
    assert backend.checks == 1


def test_a_nudge_for_a_queue_that_is_not_served_fails(monkeypatch):
    monkeypatch.setattr(jobs, "_factories", {})
    with pytest.raises(NotOurQueue):
        grade_next("python")


def test_the_same_queue_name_of_two_servers_can_not_share_a_redis(new_xqueue):
    with pytest.raises(SettingsError, match="python"):
        refuse_same_names(tuple(pool(new_xqueue()) for _ in "ab"))


def test_all_workers_of_a_host_together_are_bounded(new_xqueue):
    half = pool(new_xqueue(), concurrency=MOST_WORKERS // 2)
    refuse_too_many((half, half))
    with pytest.raises(SettingsError, match="750 workers"):
        refuse_too_many((half, half, half))


def test_a_login_is_shared_until_it_is_old(xqueue):
    times = iter([0, 10, 4000])
    login = SharedLogin(XQueueClient(account(xqueue)), clock=lambda: next(times))
    for _ in range(3):
        login.keep_fresh()
    assert xqueue.logins == 2


class FlakyRedis:
    def __init__(self, *answers):
        self.answers = list(answers)

    def set(self, *_args, **_options):
        if not self.answers.pop(0):
            raise RedisConnectionError


def test_the_watch_tells_the_workers_whether_redis_answers():
    flag = SharedFlag()
    watch = RedisWatch(FlakyRedis(True, False, True), flag, every_s=NEVER_S)
    seen = []
    for _ in range(3):
        watch.look(dict)
        seen.append(flag.is_set)
    assert seen == [True, False, True]


def test_an_idle_lane_is_nudged_once_for_each_idle_worker_and_not_while_nudges_wait(redis):
    nudge_idle(redis.client, "python", 2)
    nudge_idle(redis.client, "python", 3)
    queue = Queue(lane("python"), connection=redis.client, serializer=JSONSerializer)
    assert [(job.func_name, job.args) for job in queue.jobs] == [(GRADE_NEXT, ["python"])] * 2


def test_no_nudge_is_sent_where_nobody_is_idle(redis):
    nudge_idle(redis.client, "python", 0)
    assert not redis.client.keys("rq:queue:*")
