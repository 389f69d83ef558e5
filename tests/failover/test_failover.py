"""The database's host dies under load; its synchronous standby has all that was acknowledged."""

from __future__ import annotations

import json
import secrets
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest
import requests
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
from proctoring_hooks.exam import Exam, ExamType
from tests.failover.cluster import Cluster
from tests.proctoring.conftest import EXAM
from tests.proctoring.exam_pages import SERVED
from tests.proctoring.own_exams import OwnLearner
from xqueue_server.storage import open_storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.upkeep.exam_history import check_all

PASSWORD = "correct horse battery staple"
SUBMITTERS, GRADERS, SITTERS = 3, 3, 2
BEFORE, AFTER = 40, 40
"""Acknowledged submissions before the primary is killed, and after the standby was promoted."""
STEPS = 20
"""Of exam attempts, likewise."""
STAFF = 1
PATIENCE_S = 120.0
REPLY = json.dumps({"correct": True, "score": 1, "msg": "<p>ok</p>"})


@dataclass
class Acknowledged:
    """What clients were told is safe."""

    submissions: set[str] = field(default_factory=set)
    results: set[int] = field(default_factory=set)
    attempts: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Of each what it became, as its learner and staff were told."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def submitted(self, key: str) -> None:
        with self.changed:
            self.submissions.add(key)
            self.changed.notify_all()

    def graded(self, submission_id: int) -> None:
        with self.changed:
            self.results.add(submission_id)
            self.changed.notify_all()

    def stepped(self, attempt_id: int, status: str) -> None:
        with self.changed:
            self.attempts[attempt_id].append(status)
            self.changed.notify_all()

    @property
    def steps(self) -> int:
        return sum(map(len, self.attempts.values()))

    def wait_for(self, *, submissions: int, steps: int) -> None:
        with self.changed:
            assert self.changed.wait_for(
                lambda: len(self.submissions) >= submissions and self.steps >= steps, PATIENCE_S
            ), f"only {len(self.submissions)} of {submissions}, {self.steps} of {steps} steps"


class Site:
    """Two server processes, delivery and sweeping on the cluster."""

    def __init__(self, folder: Path, database_url: str, lms: StandInLms) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.lms = lms
        self.secret_key = secrets.token_hex(32)
        self._folder = folder
        self._processes: list[LongRunning] = []
        self._settings = {
            "XQUEUE_LMS_ORIGINS": lms.origin,
            "XQUEUE_DATA_DIR": str(folder / "data"),
            "XQUEUE_DATABASE_URL": database_url,
            "XQUEUE_SECRET_KEY": self.secret_key,
            "XQUEUE_PUBLIC_URL": self.url,
        }

    def begin(self) -> None:
        self.command("db", "upgrade")
        self.exam = self._publish()
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

    def _publish(self) -> Exam:
        storage = open_storage(self._settings["XQUEUE_DATABASE_URL"])
        with ProctoringStore(storage, self.secret_key.encode()).write() as session:
            session.lmses.add(SERVED)
            exam = session.exams.add(replace(EXAM, exam_type=ExamType.TIMED))
        storage.close()
        return exam

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


def sit_until(stop: threading.Event, site: Site, acknowledged: Acknowledged) -> None:
    """One learner after the other begins, starts and submits the exam, and staff judge it."""
    staff = OwnLearner(url=site.url, user_id=STAFF, is_staff=True)
    while not stop.is_set():
        learner = OwnLearner(url=site.url, user_id=next(NEW_LEARNERS))
        begun = learner.try_to_begin(site.exam)
        if not is_done(begun):
            continue
        attempt_id = int(begun.json()["exam_attempt_id"])
        acknowledged.stepped(attempt_id, "created")
        for who, action, status in (
            (learner, "start", "started"),
            (learner, "submit", "submitted"),
            (staff, "verify", "verified"),
        ):
            if not is_done(who.try_to_act(attempt_id, action)):
                break
            acknowledged.stepped(attempt_id, status)


NEW_LEARNERS = count(STAFF + 1)


def is_done(answer: requests.Response) -> bool:
    """Else the database is away, as nothing else is wrong with it."""
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200


def test_nothing_that_was_acknowledged_is_lost_with_the_primary(
    cluster: Cluster, site: Site
) -> None:
    """Submissions, results, and what became of exam attempts."""
    acknowledged, stop = Acknowledged(), threading.Event()
    threads = [
        threading.Thread(target=work, args=(stop, site, acknowledged))
        for work, number in (
            (submit_until, SUBMITTERS),
            (grade_until, GRADERS),
            (sit_until, SITTERS),
        )
        for _ in range(number)
    ]
    for thread in threads:
        thread.start()
    try:
        acknowledged.wait_for(submissions=BEFORE, steps=STEPS)
        cluster.fail_over()  # in the very moment after an acknowledgement, the others under way
        acknowledged.wait_for(
            submissions=len(acknowledged.submissions) + AFTER, steps=acknowledged.steps + STEPS
        )
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
        stored = {
            row.id: row.status for row in tx.all(text("SELECT id, status FROM exam_attempts"))
        }
        histories = defaultdict(list)
        for row in tx.all(text("SELECT * FROM exam_attempt_history ORDER BY version")):
            histories[row.attempt_id].append(row.after)
    flaws = [
        each for each in check_all(ProctoringStore(storage, site.secret_key.encode())) if each.flaw
    ]
    storage.close()
    assert acknowledged.submissions <= keys
    assert acknowledged.results <= graded
    assert callbacks == len(graded)
    assert len(acknowledged.results) > 0
    for attempt_id, told in acknowledged.attempts.items():
        assert histories[attempt_id][: len(told)] == told
        assert stored[attempt_id] == histories[attempt_id][-1]
    assert "verified" in stored.values()
    assert flaws == []
