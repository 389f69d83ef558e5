"""Redis is down, dies, forgets everything or hangs: workers poll meanwhile, come back to it, and
every submission is graded once."""

from __future__ import annotations

import signal

import pytest

from deploy.demo.processes import free_port
from tests.worker.fakes import eventually, need
from tests.worker.running import OFTEN_S, listening, nudge

AT_ONCE = 2


@pytest.fixture
def workers(run, redis, sandboxd_process):
    """Waiting for nudges, and looking by themselves almost never."""
    sandboxd = sandboxd_process(0.2)
    workers = run(redis.url, "--concurrency", AT_ONCE)
    workers.sandboxd = sandboxd
    eventually(lambda: listening(redis) == AT_ONCE)
    yield workers
    workers.send_signal(signal.SIGTERM)
    assert workers.wait(60) == 0
    eventually(lambda: workers.processes_left() == [])


def submit_and_wait(xqueue, count=3):
    numbers = [xqueue.submit() for _ in range(count)]
    xqueue.until(lambda xqueue: set(numbers) <= xqueue.results.keys())


def assert_each_graded_once(xqueue):
    assert xqueue.waiting == []
    assert len(xqueue.asked("put_result")) == len(xqueue.results) == len(xqueue.keys)
    assert xqueue.failures == {}


def assert_nudges_are_heard(redis, xqueue):
    """Nothing else would make these workers look."""
    eventually(lambda: listening(redis) == AT_ONCE, 60)
    number = xqueue.submit()
    nudge(redis)
    xqueue.until(lambda xqueue: number in xqueue.results)


def test_without_redis_at_the_start_workers_poll_and_come_to_it_later(
    run, new_redis, xqueue, sandboxd_process
):
    need("redis-server")
    sandboxd_process()
    port = free_port()
    workers = run(f"redis://127.0.0.1:{port}/0", "--concurrency", AT_ONCE)
    submit_and_wait(xqueue)
    assert_nudges_are_heard(new_redis(port), xqueue)
    assert_each_graded_once(xqueue)
    workers.send_signal(signal.SIGTERM)
    assert workers.wait(60) == 0
    eventually(lambda: workers.processes_left() == [])


def test_a_redis_that_is_killed_and_comes_back_empty(workers, new_redis, redis, xqueue):
    redis.process.kill()
    redis.process.wait()
    submit_and_wait(xqueue)
    assert_nudges_are_heard(new_redis(redis.port), xqueue)
    assert_each_graded_once(xqueue)


def test_a_redis_that_is_killed_during_gradings(workers, new_redis, redis, xqueue):
    numbers = [xqueue.submit() for _ in range(4)]
    nudge(redis)
    nudge(redis)
    assert workers.sandboxd.stdout.readline() == "running\n"
    redis.process.kill()
    redis.process.wait()
    xqueue.until(lambda xqueue: set(numbers) <= xqueue.results.keys())
    assert_nudges_are_heard(new_redis(redis.port), xqueue)
    assert_each_graded_once(xqueue)


def test_a_redis_that_hangs_is_left_within_seconds_and_found_again(workers, redis, xqueue):
    """Its sockets are open and silent, as with a host that lost its network."""
    redis.process.send_signal(signal.SIGSTOP)
    try:
        submit_and_wait(xqueue)
    finally:
        redis.process.send_signal(signal.SIGCONT)
    assert_nudges_are_heard(redis, xqueue)
    assert_each_graded_once(xqueue)


def test_a_redis_that_hangs_during_gradings(workers, redis, xqueue):
    numbers = [xqueue.submit() for _ in range(4)]
    nudge(redis)
    assert workers.sandboxd.stdout.readline() == "running\n"
    redis.process.send_signal(signal.SIGSTOP)
    try:
        numbers += [xqueue.submit() for _ in range(2)]
        xqueue.until(lambda xqueue: set(numbers) <= xqueue.results.keys())
    finally:
        redis.process.send_signal(signal.SIGCONT)
    assert_nudges_are_heard(redis, xqueue)
    assert_each_graded_once(xqueue)


def test_what_a_flushed_redis_forgot_is_found_by_looking(run, redis, xqueue, sandboxd_process):
    sandboxd_process()
    run(redis.url, look_every_s=OFTEN_S)
    eventually(lambda: listening(redis))
    for _ in range(3):
        number = xqueue.submit()
        nudge(redis)
        redis.client.flushall()
        xqueue.until(lambda xqueue, number=number: number in xqueue.results)
    assert_each_graded_once(xqueue)


def test_a_suspended_rq_does_not_stop_the_grading(workers, redis, xqueue):
    redis.client.set("rq:suspended", 1)
    assert_nudges_are_heard(redis, xqueue)


def test_redis_holds_nothing_of_a_submission(run, redis, xqueue, sandboxd_process):
    sandboxd = sandboxd_process("held")
    run(redis.url)
    xqueue.submit("LEARNERS-CODE")
    nudge(redis)
    assert sandboxd.stdout.readline() == "running\n"
    held = b"".join(redis.client.dump(key) or b"" for key in redis.client.scan_iter())
    assert b"LEARNERS-CODE" not in held
    assert b"secret" not in held
