"""The database's host dies under load; its synchronous standby has all that was acknowledged."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text

from deploy.demo.capa import CapaClient, new_lms_key, submission_body, submission_header
from deploy.demo.lms import StandInLms
from deploy.demo.processes import (
    LongRunning,
    answers_http,
    command,
    free_port,
    run_to_end,
    stop_all,
)
from grader_worker.errors import LeaseLost, XQueueError
from grader_worker.server_account import ServerAccount
from grader_worker.xqueue_client import XQueueClient
from tests.failover.cluster import Cluster
from xqueue_server.storage import open_storage

PASSWORD = "correct horse battery staple"
SUBMITTERS, GRADERS = 3, 3
BEFORE, AFTER = 40, 40
"""Acknowledged submissions before the primary is killed, and after the standby was promoted."""
PATIENCE_S = 120.0
REPLY = json.dumps({"correct": True, "score": 1, "msg": "<p>ok</p>"})


@dataclass
class Acknowledged:
    """What clients were told is safe."""

    submissions: set[str] = field(default_factory=set)
    results: set[int] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def submitted(self, key: str) -> None:
        with self.changed:
            self.submissions.add(key)
            self.changed.notify_all()

    def graded(self, submission_id: int) -> None:
        with self.changed:
            self.results.add(submission_id)
            self.changed.notify_all()

    def wait_for(self, submissions: int) -> None:
        with self.changed:
            assert self.changed.wait_for(
                lambda: len(self.submissions) >= submissions, PATIENCE_S
            ), f"only {len(self.submissions)} of {submissions}"


class Site:
    """Two server processes, delivery and sweeping on the cluster."""

    def __init__(self, folder: Path, database_url: str, lms: StandInLms) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.lms = lms
        self._folder = folder
        self._processes: list[LongRunning] = []
        self._settings = {
            "XQUEUE_LMS_ORIGINS": lms.origin,
            "XQUEUE_DATA_DIR": str(folder / "data"),
            "XQUEUE_DATABASE_URL": database_url,
            "XQUEUE_SECRET_KEY": secrets.token_hex(32),
            "XQUEUE_PUBLIC_URL": self.url,
        }

    def begin(self) -> None:
        self.command("db", "upgrade")
        self.command("queue", "add", "q", "--lease-s", "5", "--max-attempts", "100")
        for name, role in (("lms", "lms"), ("grader", "grader")):
            self.command(
                *("account", "add", name, "--role", role, "--all-queues", "--password-stdin"),
                stdin=PASSWORD,
            )
        bind = self.url.removeprefix("http://")
        serve = self._start("serve", "--bind", bind, "--workers", "2")
        self._start("deliver")
        self._start("sweep")
        serve.wait_until(lambda: answers_http(f"{self.url}/readyz"), 60)

    def end(self) -> None:
        stop_all(self._processes)

    def command(self, *arguments: str, stdin: str = "") -> None:
        run_to_end(command("xqueue-server", *arguments), settings=self._settings, stdin=stdin)

    def _start(self, *arguments: str) -> LongRunning:
        started = LongRunning(
            arguments[0],
            command("xqueue-server", *arguments),
            settings=self._settings,
            log_path=self._folder / f"{arguments[0]}.log",
        )
        self._processes.append(started)
        return started


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    with StandInLms() as lms:
        site = Site(tmp_path, cluster.url, lms)
        try:
            site.begin()
            yield site
        finally:
            site.end()


def submit_until(stop: threading.Event, site: Site, acknowledged: Acknowledged) -> None:
    capa = CapaClient(url=site.url, username="lms", password=PASSWORD)
    while not stop.is_set():
        key = new_lms_key()
        place = f"/courses/c/xqueue/7/{key}/score_update"
        header = submission_header(callback_url=site.lms.origin + place, lms_key=key, queue="q")
        body = submission_body(grader_payload="{}", answer="x", learner="7")
        if capa.submit(header, body).accepted:
            acknowledged.submitted(key)


def grade_until(stop: threading.Event, site: Site, acknowledged: Acknowledged) -> None:
    client = XQueueClient(ServerAccount(url=site.url, username="grader", password=PASSWORD))
    while not stop.is_set():
        try:
            lease = client.get_submission("q", wait_s=1, lease_s=5)
            if lease is not None:
                client.put_result(lease, REPLY)
                acknowledged.graded(int(lease.submission_id))
        except (XQueueError, LeaseLost):
            stop.wait(0.1)
    client.close()


def test_no_acknowledged_submission_or_result_is_lost_with_the_primary(
    cluster: Cluster, site: Site
) -> None:
    acknowledged, stop = Acknowledged(), threading.Event()
    threads = [
        threading.Thread(target=work, args=(stop, site, acknowledged))
        for work, count in ((submit_until, SUBMITTERS), (grade_until, GRADERS))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        acknowledged.wait_for(BEFORE)
        cluster.fail_over()  # in the very moment after an acknowledgement, the others under way
        before = len(acknowledged.submissions)
        acknowledged.wait_for(before + AFTER)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    storage = open_storage(cluster.url)
    with storage.read() as tx:
        keys = {
            json.loads(row.lms_key.decode())
            for row in tx.all(text("SELECT lms_key FROM submissions"))
        }
        graded = {row.submission_id for row in tx.all(text("SELECT submission_id FROM results"))}
        callbacks = tx.scalar(text("SELECT count(DISTINCT submission_id) FROM callbacks"))
    storage.close()
    assert acknowledged.submissions <= keys
    assert acknowledged.results <= graded
    assert callbacks == len(graded)
    assert len(acknowledged.results) > 0
