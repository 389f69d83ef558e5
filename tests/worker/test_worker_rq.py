"""Nudges through a real Redis to forked jobs; what Redis loses or asks for does not matter."""

from __future__ import annotations

import os
import pickle
import signal
from pathlib import Path

import pytest
from rq import Queue
from rq.exceptions import DeserializationError
from rq.job import Callback
from rq.serializers import JSONSerializer
from rq.webhook import Webhook

from grader_worker import jobs
from grader_worker.assignment import ServedQueue
from grader_worker.errors import SettingsError
from grader_worker.jobs import GRADE_NEXT, NotOurQueue, grade_next, lane
from grader_worker.lane_worker import NudgeJob, RefusedJob
from grader_worker.nudged import LookPace, SharedLogin, run_nudged
from grader_worker.published.publications import Publications
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.turn import TurnEnd
from grader_worker.xqueue_client import XQueueClient
from sandbox.backend import BackendHealth
from tests.worker.fakes import (
    account,
    assignment,
    end_by_more_signals,
    eventually,
    free_port,
    need,
)

RUN = """
import sys
from pathlib import Path
from grader_worker.assignment import ServedQueue
from grader_worker.event_log import configure_logging
from grader_worker.nudged import run_nudged
from grader_worker.published.publications import Publications
from grader_worker.sandboxd.client import SandboxdClient
from grader_worker.server_account import ServerAccount
from tests.worker.fakes import assignment

server, redis_url, socket_path, look_every_s = sys.argv[1:]
configure_logging()
served = [
    ServedQueue(
        account=ServerAccount(url=server, username="grader", password="secret"),
        name="python",
        assignment=assignment(),
    )
]
run_nudged(
    served,
    Publications(served, Path("/nonexistent")),
    redis_url=redis_url,
    sandbox=SandboxdClient(Path(socket_path)),
    look_every_s=float(look_every_s),
)
"""
NEVER_S = 3600


@pytest.fixture
def redis(new_redis):
    return new_redis()


@pytest.fixture
def run(processes, xqueue, socket_path):
    """`grader-worker run` in a process of its own, after its first look."""

    def start(redis_url, look_every_s=NEVER_S):
        process = processes.start("-c", RUN, xqueue.url, redis_url, socket_path, look_every_s)
        # The first is sent to log in, the second is the look.
        xqueue.until(lambda xqueue: len(xqueue.asked("get_submission")) >= 2)
        return process

    return start


def nudge(redis, func=GRADE_NEXT, args=("python",), **options):
    queue = Queue(lane("python"), connection=redis.client, serializer=JSONSerializer)
    return queue.enqueue_call(func, args=args, timeout=60, result_ttl=0, **options)


def worker_is_up(redis):
    return redis.client.smembers("rq:workers")


def ended(job):
    return job.get_status(refresh=True) in ("finished", "failed", None)


def test_a_nudge_grades_from_a_forked_job(run, redis, xqueue, sandboxd_process):
    sandboxd_process()
    run(redis.url)
    number = xqueue.submit()
    nudge(redis)
    xqueue.until(lambda xqueue: number in xqueue.results)


def test_one_nudge_grades_all_that_is_waiting_and_logs_in_once(
    run, redis, xqueue, sandboxd_process
):
    sandboxd_process()
    run(redis.url)
    logins = xqueue.logins
    numbers = [xqueue.submit() for _ in range(3)]
    nudge(redis)
    xqueue.until(lambda xqueue: set(numbers) <= xqueue.results.keys())
    last = xqueue.submit()
    nudge(redis)
    nudge(redis)
    xqueue.until(lambda xqueue: last in xqueue.results)
    assert xqueue.logins == logins + 1


def test_a_flushed_redis_costs_no_submission(run, redis, xqueue, sandboxd_process):
    sandboxd_process()
    run(redis.url, look_every_s=0.3)
    for _ in range(2):
        number = xqueue.submit()
        redis.client.flushall()
        xqueue.until(lambda xqueue, number=number: number in xqueue.results)


def test_without_redis_the_worker_polls_and_comes_back_to_it(
    run, new_redis, xqueue, sandboxd_process
):
    need("redis-server")
    sandboxd_process()
    port = free_port()
    run(f"redis://127.0.0.1:{port}/0")
    number = xqueue.submit()
    xqueue.until(lambda xqueue: number in xqueue.results)
    redis = new_redis(port)
    eventually(lambda: worker_is_up(redis), 30)


def test_a_redis_that_died_is_found_again(run, new_redis, xqueue, sandboxd_process):
    sandboxd_process()
    redis = new_redis()
    run(redis.url, look_every_s=0.3)
    eventually(lambda: worker_is_up(redis))
    redis.process.kill()
    redis.process.wait()
    number = xqueue.submit()
    xqueue.until(lambda xqueue: number in xqueue.results)
    redis = new_redis(redis.port)
    job = nudge(redis)
    eventually(lambda: not redis.client.exists(job.key), 30)


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
    sandboxd = sandboxd_process(1.0)
    worker = run(redis.url)
    first, second = xqueue.submit(), xqueue.submit()
    nudge(redis)
    assert sandboxd.stdout.readline() == "running\n"
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert first in xqueue.results
    assert second not in xqueue.results


def test_a_second_sigterm_ends_at_once(run, redis, xqueue, sandboxd_process):
    sandboxd = sandboxd_process(30)
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


def test_redis_holds_nothing_of_a_submission(run, redis, xqueue, sandboxd_process):
    sandboxd = sandboxd_process(0.5)
    run(redis.url)
    xqueue.submit("LEARNERS-CODE")
    nudge(redis)
    assert sandboxd.stdout.readline() == "running\n"
    held = b"".join(redis.client.dump(key) or b"" for key in redis.client.scan_iter())
    assert b"LEARNERS-CODE" not in held
    assert b"secret" not in held


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
    served = [
        ServedQueue(account=account(new_xqueue()), name="python", assignment=assignment())
        for _ in "ab"
    ]
    publications = Publications(served, Path("/nonexistent"))
    with pytest.raises(SettingsError, match="python"):
        run_nudged(served, publications, redis_url="redis://127.0.0.1:1", sandbox=None)


def test_a_login_is_shared_until_it_is_old(xqueue):
    times = iter([0, 10, 4000])
    login = SharedLogin(XQueueClient(account(xqueue)), clock=lambda: next(times))
    for _ in range(3):
        login.keep_fresh()
    assert xqueue.logins == 2


class FlakyRedis:
    def __init__(self, *answers):
        self.answers = list(answers)

    def ping(self):
        from redis.exceptions import ConnectionError as RedisConnectionError

        if not self.answers.pop(0):
            raise RedisConnectionError
        return True


def test_the_worker_looks_seldom_while_redis_answers_and_polls_while_not():
    pace = LookPace(FlakyRedis(True, False, True), rand=lambda: 0.5)
    seen = [(pace.long_poll(), pace.pause_s()) for _ in range(3)]
    assert seen == [(False, 10.0), (True, 1.0), (False, 10.0)]
