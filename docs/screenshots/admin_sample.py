"""An installation with something of everything on it, for the pictures of the admin pages.

Made through the stages, with a clock that walks through the last hours; only the history of load
and what needs many days is written directly.
"""

from __future__ import annotations

import json
import math
import random
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from xqueue_server.accounts import passwords
from xqueue_server.authoring import publishing
from xqueue_server.instant import ManualClock, from_datetime, to_datetime
from xqueue_server.models.account import ALL_QUEUES, Account, Grant, Role
from xqueue_server.models.grader import Ceilings
from xqueue_server.models.queue import Queue
from xqueue_server.models.submission import LeasedSubmission
from xqueue_server.storage import (
    Storage,
    accounts,
    deadlines,
    load,
    marks,
    ordering,
    outbox,
    queues,
)
from xqueue_server.storage.attempts import Ending
from xqueue_server.storage.load import LoadMinute
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.timings import WorkerTimes
from xqueue_server.storage.workers import HostAnnouncement, WorkerReport
from xqueue_server.submissions import intake, leasing, results
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.workload import history, workforce

ADMIN, PASSWORD = "olga", "a password for pictures"
COURSE = "course-v1:DemoX+CS101+2026"
OTHER_COURSE = "course-v1:DemoX+DATA2+2026"
ORIGIN = "https://lms.example.org"
SAMPLES = ("cs101", "databases", "legacy")
MB = 1024 * 1024
CEILINGS = Ceilings(wall_s=120, memory_bytes=1024 * MB, cpus=2, pids=256, output_bytes=MB)
LIMITS = {
    "wall_s": 30,
    "learner_wall_s": 6,
    "learner_cpu_s": 4,
    "memory_bytes": 256 * MB,
    "pids": 64,
    "cpus": 1,
    "output_bytes": 64 * 1024,
    "result_bytes": MB,
    "scratch_bytes": 16 * MB,
}
LATEST_S = 200
"""Before the present the latest events begin."""
GOOD = "<p><b>3 of 3 tests passed</b></p><pre>square(3) = 9</pre>"
WRONG = "<p><b>1 of 3 tests passed</b></p><p>square(-2): expected 4, got -4</p>"


class Sample:
    """`clock` belongs to `storage`; it must be some hours before the present at first."""

    def __init__(self, storage: Storage, store: ProctoringStore, clock: ManualClock) -> None:
        self._storage = storage
        self._clock = clock
        self._proctoring = store
        self._random = random.Random(7)  # noqa: S311 - the same picture every time
        self.lms: Account = self._account("lms", Role.LMS)
        self.grader: Account = self._account("grader", Role.GRADER)

    def make(self) -> None:
        """Everything; the clock ends at the present."""
        self._people_and_queues()
        self._history()
        for learner in range(1, 15):
            self._graded(learner, is_right=learner % 3 > 0)
            self._clock.advance(200)
        self._clock.advance(self._behind_s() - LATEST_S)
        self._trouble()
        self._clock.advance(60)
        for learner in range(40, 47):
            self.submit(learner, "square")
            self._clock.advance(3)
        self.lease("cs101")
        self.submit(61, "report", queue="databases", course=OTHER_COURSE)
        self._workers()
        self._deadlines()

    def _behind_s(self) -> float:
        return (datetime.now(UTC) - to_datetime(self._storage.now_us())).total_seconds()

    # -- what a submission goes through ----------------------------------------------------------

    def submit(
        self, learner: int, problem: str, *, queue: str = "cs101", course: str = COURSE
    ) -> int:
        block = f"block-v1:{course.removeprefix('course-v1:')}+type@problem+block@{problem}"
        url = f"{ORIGIN}/courses/{course}/xqueue/{learner}/{block}/score_update"
        header = json.dumps(
            {"lms_callback_url": url, "lms_key": secrets.token_hex(8), "queue_name": queue}
        )
        body = {
            "student_info": "{}",
            "student_response": "def square(x): ...",
            "grader_payload": "{}",
        }
        return intake.accept(
            self._storage,
            self._proctoring,
            self.lms,
            header_text=header,
            header=intake.read_header(header),
            body=json.dumps(body),
            files=(),
            request_id=secrets.token_hex(8),
            is_retry=False,
        )

    def lease(self, queue: str) -> LeasedSubmission:
        with self._storage.read() as tx:
            terms = queues.get(tx, queue)
        leased = leasing.lease(
            self._storage,
            self.grader,
            terms,
            key=secrets.token_hex(16),
            lease_s=None,
            request_id=secrets.token_hex(8),
            is_retry=False,
        )
        assert leased is not None
        return leased

    def put(self, leased: LeasedSubmission, score: float, message: str) -> None:
        results.receive(
            self._storage,
            self.grader,
            results.IncomingResult(
                submission_id=leased.submission_id,
                key=leased.key,
                body=json.dumps({"correct": score > 0.5, "score": score, "msg": message}),
                request_id=secrets.token_hex(8),
                times=WorkerTimes(prepare_us=240_000, run_us=1_900_000),
            ),
        )

    def deliver(self, *, status: int = 200) -> None:
        with self._storage.write() as tx:
            (due,) = outbox.claim_due(tx, ORIGIN, limit=1, token=secrets.token_bytes(16))
            if status == 200:
                outbox.finish_delivered(
                    tx, due, Ending(status=200, error=None, response="", duration_us=84_000)
                )
                return
            response = "This key is unknown; the learner has reset the problem."
            ending = Ending(status=status, error=None, response=response, duration_us=91_000)
            outbox.finish_dead(tx, due, ending, why="refused")

    def _graded(self, learner: int, *, is_right: bool) -> None:
        self.submit(learner, "square")
        self._clock.advance(1.4)
        leased = self.lease("cs101")
        self._clock.advance(2.6)
        self.put(leased, 1 if is_right else 0.33, GOOD if is_right else WRONG)
        self._clock.advance(0.2)
        self.deliver()

    def _trouble(self) -> None:
        for learner in (21, 22, 23):
            self.submit(learner, "sorting")
            self._clock.advance(2)
            leased = self.lease("cs101")
            self._clock.advance(1)
            detail = (
                "Traceback (most recent call last):\n"
                '  File "/grader/grade.py", line 12, in <module>\n'
                "ModuleNotFoundError: No module named 'numpy'"
            )
            leasing.report_failure(
                self._storage,
                self.grader,
                leased.submission_id,
                leased.key,
                kind=FailureKind.GRADER,
                detail=detail,
                request_id=secrets.token_hex(8),
            )
            self._clock.advance(30)
        self.submit(31, "square")
        leased = self.lease("cs101")
        self._clock.advance(2)
        self.put(leased, 1, GOOD)
        self.deliver(status=400)

    # -- everything else -------------------------------------------------------------------------

    def _account(self, name: str, role: Role) -> Account:
        with self._storage.write() as tx:
            return accounts.add(
                tx,
                name=name,
                password_hash=passwords.hash_password(secrets.token_hex(16)),
                grants=[Grant(role=role, queue=ALL_QUEUES)],
                actor="operator root",
            )

    def _people_and_queues(self) -> None:
        with self._storage.write() as tx:
            for name in SAMPLES:
                queues.add(tx, Queue(name=name, learner_cap=2), actor="operator root")
            for name, role, queue in (
                (ADMIN, Role.ADMIN, ALL_QUEUES),
                ("piotr", Role.OPERATOR, "cs101"),
                ("vera", Role.VIEWER, "databases"),
            ):
                accounts.add(
                    tx,
                    name=name,
                    password_hash=passwords.hash_password(PASSWORD),
                    grants=[Grant(role=role, queue=queue)],
                    actor="operator root",
                )
            queues.pause(tx, "legacy", reason="moved to cs101", actor=f"account {ADMIN}")
            ordering.set_weight(tx, "cs101", COURSE, 3, actor=f"account {ADMIN}")
            for version in (1, 2):
                document = _publication(version)
                publishing.publish_in(
                    tx,
                    publishing.read_publication(document),
                    CEILINGS,
                    published_by="piotr",
                    actor="account piotr",
                )

    def _history(self) -> None:
        """A day of load with a deadline some hours ago."""
        until = datetime.now(UTC).replace(second=0, microsecond=0)
        with self._storage.write() as tx:
            marks.lock(tx, history.MINUTE, start=from_datetime(until))
            for back in range(24 * 60, 0, -1):
                arrived = round(
                    3 + 26 * math.exp(-(((back - 150) / 34) ** 2)) * self._random.random()
                )
                waits = 1.5 + 0.8 * arrived
                load.store(
                    tx,
                    LoadMinute(
                        queue="cs101",
                        minute=until - timedelta(minutes=back),
                        arrived=arrived,
                        graded=max(0, arrived - 1),
                        service_us=arrived * 3_000_000,
                        service_sq_s2=arrived * 9.0,
                        wait_us=round(max(0, arrived - 1) * waits * 1e6),
                        longest_wait_us=round(waits * 2.4e6),
                        queued=arrived // 3,
                        leased=min(6, arrived),
                        oldest_us=round(waits * 1.1e6),
                        workers=6,
                        desired=6,
                    ),
                )

    def _workers(self) -> None:
        for host, is_ok, running in (("grade-1", True, 3), ("grade-2", False, 1)):
            workforce.announce(self._storage, self.grader, _host(host, is_ok, running))

    def _deadlines(self) -> None:
        now = to_datetime(self._storage.now_us())
        with self._storage.write() as tx:
            deadlines.add(
                tx,
                queue="cs101",
                at=(now + timedelta(days=2)).replace(minute=0, second=0, microsecond=0),
                submissions=6000,
                course=COURSE,
                note="final assignment",
                actor=f"account {ADMIN}",
            )


def _host(name: str, is_ok: bool, running: int) -> HostAnnouncement:
    states = ("grading", "idle", "idle")
    return HostAnnouncement(
        host=name,
        pid=811,
        version="0.1.0",
        backend="docker 27.3.1",
        is_canary_ok=is_ok,
        canary="all limits hold" if is_ok else "the memory limit does not bite",
        cpus=4,
        autoscale_min=1,
        autoscale_max=8,
        started_at=datetime.now(UTC) - timedelta(days=3),
        workers=tuple(
            WorkerReport(
                name=f"cs101-{number}",
                pid=820 + number,
                queue="cs101",
                state=states[number - 1] if is_ok else "waiting",
                submission_id=None,
                since_s=4.0 * number,
            )
            for number in range(1, running + 1)
        ),
    )


def _publication(version: int) -> dict[str, Any]:
    return {
        "queue": "cs101",
        "image": f"registry.example.org/graders/square@sha256:{version:064x}",
        "manifest": {
            "format": 1,
            "name": "square",
            "title": "Squares",
            "base": "python",
            "tier": 0,
            "tests": [{"id": "t1", "title": "one", "max": 1, "visible": True}],
            "limits": LIMITS,
            "isolation": None,
            "lms_points": None,
        },
    }
