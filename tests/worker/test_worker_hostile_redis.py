"""Whoever can write to Redis can wake workers, and neither end them nor make them do other work."""

from __future__ import annotations

import json
import pickle
import zlib

import pytest
from rq import Retry
from rq.serializers import JSONSerializer

from grader_worker.jobs import GRADE_NEXT, lane
from grader_worker.lane_worker import MAX_NUDGE_BYTES, NudgeJob
from grader_worker.shared_flag import SharedFlag
from tests.worker.fakes import eventually
from tests.worker.running import events, listening, nudge, worker_is_up

LANE = f"rq:queue:{lane('python')}"
CALL = zlib.compress(json.dumps([GRADE_NEXT, None, ["python"], {}]).encode())
UNREADABLE: dict[bytes, dict[str, bytes]] = {
    b"\xff\xfe": {},
    b"not:an:id": {"data": CALL},
    b"large": {"data": b"x" * (MAX_NUDGE_BYTES + 1)},
    b"nameless": {"data": CALL, "origin": b"\xff"},
    b"pickled": {"data": pickle.dumps((GRADE_NEXT, None, ("python",), {}))},
    b"deep": {"data": zlib.compress(b"[" * 100_000)},
    b"dated": {"data": CALL, "created_at": b"yesterday", "status": b"odd", "timeout": b"soon"},
}


def push(redis, where=LANE):
    for name, job in UNREADABLE.items():
        if job:
            redis.client.hset(b"rq:job:" + name, mapping=job)
        redis.client.rpush(where, name)


def test_jobs_that_can_not_be_read_are_passed_over(run, redis, xqueue, sandboxd_process):
    sandboxd_process()
    run(redis.url)
    eventually(lambda: listening(redis) == 1)
    before = worker_is_up(redis)
    push(redis)
    number = xqueue.submit()
    nudge(redis)
    xqueue.until(lambda xqueue: number in xqueue.results)
    eventually(lambda: listening(redis) == 1)
    assert worker_is_up(redis) == before


def test_what_others_left_in_rqs_lists_is_forgotten_unread(run, redis, sandboxd_process):
    push(redis, f"{LANE}:intermediate")
    left = dict.fromkeys(UNREADABLE, 1) | {b"no-colon": 1, b"dated:1": 1}
    redis.client.zadd(f"rq:wip:{lane('python')}", left)
    redis.client.zadd(f"rq:failed:{lane('python')}", left)
    redis.client.sadd("rq:groups", "g")
    sandboxd_process()
    run(redis.url)
    eventually(lambda: listening(redis) == 1)
    assert not redis.client.exists(f"{LANE}:intermediate", f"rq:wip:{lane('python')}")


def test_no_message_reaches_a_worker(run, redis, sandboxd_process):
    """RQ's would have it kill what it grades, or end."""
    sandboxd_process()
    run(redis.url)
    eventually(lambda: listening(redis) == 1)
    (key,) = worker_is_up(redis)
    name = key.decode().rpartition(":")[2]
    assert redis.client.publish(f"rq:pubsub:{name}", '{"command": "kill-horse"}') == 0


def fetched(redis, **options):
    job = NudgeJob.create(
        GRADE_NEXT,
        args=("python",),
        connection=redis.client,
        serializer=JSONSerializer,
        origin=lane("python"),
        **options,
    )
    job.save()
    return NudgeJob.fetch(job.id, connection=redis.client, serializer=JSONSerializer)


def test_nothing_but_the_call_is_taken_from_a_job(redis):
    job = fetched(redis, meta={"a": 1}, timeout=1, failure_ttl=-1, result_ttl=-1, group_id="g")
    assert (job.origin, job.args) == (lane("python"), ["python"])
    assert (job.meta, job.group_id) == ({}, None)
    assert (job.result_ttl, job.failure_ttl) == (0, 3600)


def test_no_grading_is_ended_by_a_time_limit_of_rq(redis):
    """Whether from a server or from somebody else: it may wait long for a place in the sandbox."""
    assert fetched(redis, timeout=1).timeout == -1


def test_a_refused_job_is_not_tried_again(run, redis, sandboxd_process):
    sandboxd_process()
    run(redis.url)
    job = nudge(redis, "os.system", ("true",), retry=Retry(max=1000))
    eventually(lambda: job.get_status(refresh=True) == "failed")
    assert redis.client.llen(LANE) == 0


# A Redis that answers and can not be used


def test_of_a_full_redis_is_said_why_nobody_waits_for_it(
    run, redis, xqueue, sandboxd_process, tmp_path
):
    redis.client.config_set("maxmemory", 1)
    sandboxd_process()
    log = tmp_path / "log"
    run(redis.url, stderr=log)
    number = xqueue.submit()
    xqueue.until(lambda xqueue: number in xqueue.results)
    (said,) = [each for each in events(log) if each["event"].startswith("redis-")]
    assert said["event"] == "redis-silent-polling-instead"
    assert "maxmemory" in said["why"]
    redis.client.config_set("maxmemory", 0)
    eventually(lambda: listening(redis) == 1)


def test_a_lane_of_another_type_is_left_alone_for_a_while(
    run, redis, xqueue, sandboxd_process, tmp_path
):
    redis.client.set(LANE, "taken")
    sandboxd_process()
    log = tmp_path / "log"
    run(redis.url, stderr=log)
    eventually(lambda: "redis-lost" in log.read_text())
    xqueue.until(lambda xqueue: "wait" in xqueue.asked("get_submission")[-1])
    number = xqueue.submit()
    xqueue.until(lambda xqueue: number in xqueue.results)
    (said,) = [each for each in events(log) if each["event"] == "redis-lost"]
    assert "WRONGTYPE" in said["error"]


@pytest.mark.parametrize(("at", "is_set"), [(129.9, False), (130.0, True)])
def test_a_flag_that_is_held_down_stays_so_though_it_is_set(at, is_set):
    now = 100.0
    flag = SharedFlag(clock=lambda: now)
    flag.hold_down(30)
    flag.set(True)
    now = at
    assert flag.is_set is is_set
