"""`xqueue-server worker`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.server.builders import QUEUE, add_account, add_queue
from xqueue_server.instant import SystemClock
from xqueue_server.models.account import Role
from xqueue_server.storage import Storage, workers
from xqueue_server.storage.workers import HostAnnouncement, WorkerReport
from xqueue_server.workload import workforce


@pytest.fixture
def host(storage: Storage) -> str:
    """Just announced, as a command's own clock sees it, with one worker for one queue."""
    storage.clock = SystemClock()
    add_queue(storage)
    account = add_account(storage, "worker", Role.GRADER)
    report = WorkerReport(
        name="w-1", pid=2, queue=QUEUE, state="idle", submission_id=None, since_s=1.0
    )
    said = HostAnnouncement(
        host="grading-1",
        pid=1,
        version="0.1.0",
        backend="bwrap",
        is_canary_ok=False,
        canary="it got out",
        cpus=2,
        autoscale_min=None,
        autoscale_max=None,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        workers=(report,),
    )
    workforce.announce(storage, account, said)
    return said.host


def wanted(storage: Storage, host: str) -> dict[str, int]:
    with storage.read() as tx:
        return {wish.queue: wish.count for wish in workers.wishes_for(tx, host)}


def test_hosts_are_listed_with_their_workers(run: Run, host: str) -> None:
    shown = run("worker", "list").stdout
    assert host in shown
    assert "alive" in shown
    assert "FAILED" in shown
    assert f"{QUEUE}: 1 idle" in shown


def test_hosts_are_listed_for_programs(run_json: Callable[..., Any], host: str) -> None:
    (listed,) = run_json("worker", "list")
    assert (listed["host"], listed["state"], listed["canary"]) == (host, "alive", "it got out")
    assert listed["workers"][0]["queue"] == QUEUE
    assert "account_id" not in listed


def test_a_host_is_scaled_drained_and_left_to_itself(run: Run, storage: Storage, host: str) -> None:
    run("worker", "scale", host, f"{QUEUE}=4")
    assert wanted(storage, host) == {QUEUE: 4}
    run("worker", "drain", host)
    assert wanted(storage, host) == {QUEUE: 0}
    run("worker", "release", host)
    assert wanted(storage, host) == {}


def test_a_forgotten_host_is_not_listed(run: Run, host: str) -> None:
    run("worker", "forget", host)
    assert "(none)" in run("worker", "list").stdout


@pytest.mark.parametrize("verb", ["drain", "release", "forget"])
def test_a_host_that_is_not_there_is_said_so(run: Run, verb: str) -> None:
    assert "not found" in run("worker", verb, "grading-9", exit_code=1).output


@pytest.mark.parametrize("text", ["python", "python=", "=4", "python=-1", "python=1001", "p=x"])
def test_a_number_that_can_not_be_wanted_is_refused(run: Run, host: str, text: str) -> None:
    run("worker", "scale", host, text, exit_code=2)


def test_a_queue_that_is_not_there_is_not_scaled(run: Run, host: str) -> None:
    assert "not found" in run("worker", "scale", host, "missing=2", exit_code=1).output
