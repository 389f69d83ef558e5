"""The production way: PostgreSQL, Redis, RQ, Docker, and an LMS with its own client."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.demo.gradebook import InputStatus
from deploy.demo.lms import StandInLms
from tests.acceptance.classroom import (
    ENDLESS,
    RIGHT,
    WRONG,
    Submitted,
    assert_each_graded_right,
    assert_nothing_left,
    assert_taken_once,
    submit,
)
from tests.acceptance.services import PrivateRedis, require_docker_images
from tests.acceptance.site import Site
from tests.worker.fakes import eventually

GRADER = "xqueue/grader-functions:local"
AT_ONCE = 2
MANY = 30
MANY_S = 120.0
PROMPT_S = 60.0


@pytest.fixture
def site(own_postgres: str, redis: PrivateRedis, lms: StandInLms, tmp_path: Path) -> Iterator[Site]:
    require_docker_images()
    urls = {"database_url": own_postgres, "redis_url": redis.url}
    with Site(tmp_path, lms_origin=lms.origin, **urls) as site:
        site.prepare()
        site.start_server()
        site.start_deliver()
        site.start_sandboxd("docker")
        site.start_worker(
            "run", "--redis-url", redis.url, "--concurrency", str(AT_ONCE), grader=GRADER
        )
        eventually(lambda: len(redis.client.smembers("rq:workers")) == AT_ONCE, 60)
        yield site


def submit_many(lms: StandInLms, site: Site, count: int) -> list[Submitted]:
    """As an LMS with several processes does."""
    attempts = [(RIGHT, WRONG)[number % 2] for number in range(count)]
    with ThreadPoolExecutor(4) as learners:
        return list(learners.map(lambda attempt: submit(lms, site.capa(), attempt), attempts))


def wait_for_some(lms: StandInLms, submitted: list[Submitted], count: int) -> None:
    def graded() -> int:
        return sum(lms.state(s.where).status is not InputStatus.PENDING for s in submitted)

    assert lms.book.wait_until(lambda: graded() >= count, MANY_S)


def test_correct_wrong_and_endless_answers_get_their_grades_once(
    site: Site, lms: StandInLms
) -> None:
    submitted = [submit(lms, site.capa(), attempt) for attempt in (RIGHT, WRONG, ENDLESS)]

    assert_each_graded_right(lms, submitted, 60)

    assert_taken_once(lms, submitted)
    assert_nothing_left(site, len(submitted))


def test_a_redis_flushed_in_the_middle_costs_no_grade(
    site: Site, lms: StandInLms, redis: PrivateRedis
) -> None:
    submitted = submit_many(lms, site, MANY // 2)
    wait_for_some(lms, submitted, 3)
    redis.client.flushall()
    submitted += submit_many(lms, site, MANY // 2)
    redis.client.flushall()

    assert_each_graded_right(lms, submitted, MANY_S)

    assert_taken_once(lms, submitted)
    assert_nothing_left(site, MANY)


def test_a_redis_that_dies_in_the_middle_costs_no_grade(
    site: Site, lms: StandInLms, redis: PrivateRedis
) -> None:
    submitted = submit_many(lms, site, 6)
    wait_for_some(lms, submitted, 2)
    redis.kill()
    submitted += submit_many(lms, site, 6)
    assert_each_graded_right(lms, submitted, MANY_S)

    redis.start()
    eventually(lambda: redis.client.smembers("rq:workers"), 60)
    submitted.append(submit(lms, site.capa()))

    assert_each_graded_right(lms, submitted, PROMPT_S)
    assert_taken_once(lms, submitted)
    assert_nothing_left(site, len(submitted))
