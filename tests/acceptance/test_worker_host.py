"""A host of workers and its server: announced, told how many are wanted, and taking leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.lms import StandInLms
from deploy.demo.processes import ROOT
from grader_worker.control import ControlClient, control_path
from tests.acceptance.classroom import (
    RIGHT,
    WRONG,
    assert_each_graded_right,
    assert_nothing_left,
    assert_taken_once,
    submit,
)
from tests.acceptance.services import PrivateRedis
from tests.acceptance.site import Site
from tests.worker.fakes import eventually, need

GRADER = ROOT / "graders" / "examples" / "functions"
HOST = "grading-1"
PROMPT_S = 60.0


@pytest.fixture
def site(own_postgres: str, redis: PrivateRedis, lms: StandInLms, tmp_path: Path) -> Iterator[Site]:
    need("bwrap")
    urls = {"database_url": own_postgres, "redis_url": redis.url}
    with Site(tmp_path, lms_origin=lms.origin, **urls) as site:
        site.prepare()
        site.start_server()
        site.start_deliver()
        site.start_sandboxd("bubblewrap")
        yield site


def hosts(site: Site) -> list[dict[str, Any]]:
    found = site.ask("worker", "list")
    return list(found["hosts"] if isinstance(found, dict) else found)


def test_a_host_is_shown_follows_what_is_wanted_of_it_and_takes_leave(
    site: Site, redis: PrivateRedis, lms: StandInLms
) -> None:
    flags = ("--redis-url", redis.url, "--host-name", HOST)
    worker = site.start_worker("run", *flags, grader=str(GRADER))
    eventually(lambda: [host["host"] for host in hosts(site)] == [HOST], PROMPT_S)

    control = ControlClient(control_path(site.socket))
    site.command("worker", "scale", HOST, "python=3")
    eventually(lambda: len(control.status()["workers"]) == 3, PROMPT_S)

    submitted = [submit(lms, site.capa(), attempt) for attempt in (RIGHT, WRONG, RIGHT)]
    assert_each_graded_right(lms, submitted, PROMPT_S)
    assert_taken_once(lms, submitted)
    assert_nothing_left(site, len(submitted))

    worker.stop(PROMPT_S)  # not killed: it could not take leave
    assert hosts(site) == []
