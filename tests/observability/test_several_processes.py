"""Counts of several worker processes as one: exact, and never less than before."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.multiprocess import MultiProcessCollector

from tests.observability.scrape import get, scrape
from tests.observability.stack import Stack, is_alive, running_stack, until

WORKERS = 3
ROUTE = {"method": "GET", "route": "/healthz", "status": "200"}
COUNT = "http_request_duration_seconds_count"


@pytest.fixture
def stack(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Stack]:
    database = tmp_path / "xqueue.db"
    database.write_bytes(migrated_sqlite.read_bytes())
    with running_stack(
        f"sqlite:///{database}", tmp_path, workers=WORKERS, with_deliver=False
    ) as running:
        yield running


def counted_by_process(stack: Stack) -> Counter[str]:
    """File of a worker -> how many requests for the route it has counted."""
    (directory,) = stack.metrics_dir.glob("xqueue-metrics-*")
    counted: Counter[str] = Counter()
    for file in directory.glob("histogram_*.db"):
        for metric in MultiProcessCollector.merge([str(file)]):
            for sample in metric.samples:
                if sample.name == COUNT and sample.labels == ROUTE:
                    counted[file.name] += int(sample.value)
    return counted


def ask_until_all_have_answered(stack: Stack) -> int:
    """Returns how many requests it took."""
    before = counted_by_process(stack)
    for sent in range(1, 5000):
        assert get(stack.web_port, "/healthz")[0] == 200
        if len(counted_by_process(stack) - before) == WORKERS:
            return sent
    raise AssertionError(f"not every worker has answered: {counted_by_process(stack)}")


def test_requests_are_counted_once_each_whichever_worker_is_asked(stack: Stack) -> None:
    sent = ask_until_all_have_answered(stack)
    seen = [scrape(stack.web_port).number(COUNT, **ROUTE) for _ in range(10)]
    assert seen == [sent] * 10
    own = [scrape(stack.web_port).number(COUNT, **ROUTE | {"route": "/metrics"}) for _ in range(3)]
    assert own == [10, 11, 12]


def test_a_killed_worker_takes_no_count_with_it_and_the_next_counts_on(stack: Stack) -> None:
    sent = ask_until_all_have_answered(stack)
    for pid in stack.workers():
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: not is_alive(pid), "gunicorn buries its worker")
        assert scrape(stack.web_port).number(COUNT, **ROUTE) == sent
    until(lambda: len(stack.workers()) == WORKERS, "gunicorn starts other workers")
    sent += ask_until_all_have_answered(stack)
    assert [scrape(stack.web_port).number(COUNT, **ROUTE) for _ in range(5)] == [sent] * 5
    assert len(counted_by_process(stack)) == WORKERS


def test_what_is_not_served_shares_one_label(stack: Stack) -> None:
    for path in ("/nothing", "/else", "/xqueue/../x"):
        assert get(stack.web_port, path)[0] == 404
    unknown = {"method": "GET", "route": "(unknown)", "status": "404"}
    assert scrape(stack.web_port).number(COUNT, **unknown) == 3


def test_the_directory_goes_when_the_server_ends_and_a_killed_servers_is_swept_up(
    stack: Stack,
) -> None:
    (living,) = stack.metrics_dir.glob("xqueue-metrics-*")
    dead = stack.metrics_dir / "xqueue-metrics-of-a-killed-server"
    dead.mkdir()
    (dead / "lock").touch()
    from xqueue_server.web.gunicorn_metrics import _remove_left_over

    _remove_left_over(stack.metrics_dir)
    assert (living.exists(), dead.exists()) == (True, False)
    stack.web.ask_to_stop()
    until(lambda: stack.web.has_ended, "the server ends")
    assert not living.exists()
