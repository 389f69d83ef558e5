"""What the server's tests are made of: accounts, queues, submissions and results in a line each."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from xqueue_server.accounts import passwords
from xqueue_server.instant import ManualClock
from xqueue_server.models.account import ALL_QUEUES, Account, Grant, Role
from xqueue_server.models.callback import Callback, DueCallback
from xqueue_server.models.queue import Queue
from xqueue_server.models.submission import FileReference, LeasedSubmission, Submission
from xqueue_server.storage import Storage, accounts, callbacks, events, outbox, queues, submissions
from xqueue_server.storage import results as stored_results
from xqueue_server.storage.attempts import Ending
from xqueue_server.storage.events import Event
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.results import Disposition, Result
from xqueue_server.submissions import intake, leasing, results
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.upkeep.sweeping import SweepReport, sweep

QUEUE = "python"
PASSWORD = "a password that is in no log"
SECRET_KEY = b"k" * 32
LEARNER_CODE = "print('the code of a learner, in no log')"
ORIGIN = "https://lms.example.org"
COURSE = "course-v1:OrganisationWithAName+CourseWithANumber101+2026_T1"
BLOCK = "block-v1:OrganisationWithAName+CourseWithANumber101+2026_T1+type@problem+block@"


def callback_url(
    block: str = "0" * 32, *, dispatch: str = "score_update", origin: str = ORIGIN, user: int = 42
) -> str:
    """As long as those of a real LMS, the problem's id beyond the 128th character."""
    return f"{origin}/courses/{COURSE}/xqueue/{user}/{BLOCK}{block}/{dispatch}"


def lms_header(url: str | None = None, *, key: Any = "lms-key", queue: Any = QUEUE) -> str:
    url = callback_url() if url is None else url
    return json.dumps({"lms_callback_url": url, "lms_key": key, "queue_name": queue})


def lms_body(
    made_at: Any = "20260101120000", *, payload: Any = '{"tests": 1}', response: str = LEARNER_CODE
) -> str:
    info = {"anonymous_student_id": "a1", "submission_time": made_at, "random_seed": 1}
    return json.dumps(
        {
            "student_info": json.dumps(info),
            "student_response": response,
            "grader_payload": payload,
        }
    )


def grade(score: Any = 1, *, correct: Any = True, msg: Any = "<p>Good</p>", **more: Any) -> str:
    return json.dumps({"correct": correct, "score": score, "msg": msg, **more})


INVALID_GRADE = '{"correct": true, "score": 1}'


@functools.cache
def password_hash() -> str:
    return passwords.hash_password(PASSWORD)


def add_queue(storage: Storage, name: str = QUEUE, **terms: int) -> Queue:
    queue = Queue(name=name, **terms)
    with storage.write() as tx:
        queues.add(tx, queue, actor="test")
    return queue


def change_queue(storage: Storage, name: str = QUEUE, **terms: int) -> Queue:
    queue = Queue(name=name, **terms)
    with storage.write() as tx:
        queues.change(tx, queue, actor="test")
    return queue


def add_account(storage: Storage, name: str, *roles: Role, queue: str = ALL_QUEUES) -> Account:
    grants = [Grant(role=role, queue=queue) for role in roles]
    with storage.write() as tx:
        return accounts.add(
            tx, name=name, password_hash=password_hash(), grants=grants, actor="test"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An LMS and a grader at one database, without the web between."""

    storage: Storage
    clock: ManualClock
    lms: Account
    grader: Account

    # -- acts ------------------------------------------------------------------------------------

    def submit(
        self,
        url: str | None = None,
        *,
        body: str | None = None,
        key: Any = "lms-key",
        queue: str = QUEUE,
        files: tuple[FileReference, ...] = (),
        request_id: str | None = None,
        is_retry: bool = False,
        storage: Storage | None = None,
    ) -> int:
        header_text = lms_header(url, key=key, queue=queue)
        used = storage or self.storage
        return intake.accept(
            used,
            ProctoringStore(used, SECRET_KEY),
            self.lms,
            header_text=header_text,
            header=intake.read_header(header_text),
            body=lms_body() if body is None else body,
            files=files,
            request_id=request_id or secrets.token_hex(8),
            is_retry=is_retry,
        )

    def try_lease(
        self,
        queue: str = QUEUE,
        *,
        by: Account | None = None,
        lease_s: float | None = None,
        key: str | None = None,
        is_retry: bool = False,
        storage: Storage | None = None,
    ) -> LeasedSubmission | None:
        with self.storage.read() as tx:
            terms = queues.get(tx, queue)
        return leasing.lease(
            storage or self.storage,
            by or self.grader,
            terms,
            key=key or secrets.token_hex(16),
            lease_s=lease_s,
            request_id="r-lease",
            is_retry=is_retry,
        )

    def lease(self, queue: str = QUEUE, **terms: Any) -> LeasedSubmission:
        leased = self.try_lease(queue, **terms)
        assert leased is not None, "nothing to lease"
        return leased

    def put(
        self,
        leased: LeasedSubmission,
        body: str | None = None,
        *,
        by: Account | None = None,
        storage: Storage | None = None,
    ) -> Disposition | None:
        return results.receive(
            storage or self.storage,
            by or self.grader,
            results.IncomingResult(
                submission_id=leased.submission_id,
                key=leased.key,
                body=grade() if body is None else body,
                request_id="r-put",
            ),
        )

    def renew(self, leased: LeasedSubmission, lease_s: float | None = None) -> float:
        return leasing.renew(
            self.storage, self.grader, leased.submission_id, leased.key, lease_s=lease_s
        )

    def fail(
        self, leased: LeasedSubmission, kind: FailureKind, detail: str = "it is broken"
    ) -> None:
        leasing.report_failure(
            self.storage,
            self.grader,
            leased.submission_id,
            leased.key,
            kind=kind,
            detail=detail,
            request_id="r-fail",
        )

    def sweep_after(self, seconds: float) -> SweepReport:
        self.clock.advance(seconds)
        return sweep(self.storage)

    def exhaust(self, queue: str = QUEUE) -> LeasedSubmission:
        """Let every allowed lease of the next submission run out; returns the last of them."""
        with self.storage.read() as tx:
            terms = queues.get(tx, queue)
        for _ in range(terms.max_attempts):
            leased = self.lease(queue)
            self.sweep_after(terms.lease_s + 1)
        return leased

    def claim_callback(self, origin: str = ORIGIN) -> DueCallback:
        """Begin to send the oldest due callback, as the deliverer does."""
        with self.storage.write() as tx:
            (due,) = outbox.claim_due(tx, origin, limit=1, token=secrets.token_bytes(16))
        return due

    def deliver(self, due: DueCallback) -> bool:
        ending = Ending(status=200, error=None, response="", duration_us=1000)
        with self.storage.write() as tx:
            return outbox.finish_delivered(tx, due, ending)

    # -- looking ---------------------------------------------------------------------------------

    def see(self, submission_id: int) -> Submission:
        with self.storage.read() as tx:
            found = submissions.find(tx, submission_id)
        assert found is not None
        return found

    def events_of(self, submission_id: int) -> Sequence[Event]:
        with self.storage.read() as tx:
            return events.of_submission(tx, submission_id)

    def results_of(self, submission_id: int) -> Sequence[Result]:
        with self.storage.read() as tx:
            return stored_results.of_submission(tx, submission_id)

    def callbacks_of(self, submission_id: int) -> Sequence[Callback]:
        with self.storage.read() as tx:
            return callbacks.of_submission(tx, submission_id)

    def outgoing(self, submission_id: int) -> list[tuple[str, str]]:
        """(state, body) of every callback, oldest first."""
        statement = text("SELECT state, body FROM callbacks WHERE submission_id = :of ORDER BY id")
        with self.storage.read() as tx:
            return [(r.state, bytes(r.body).decode()) for r in tx.all(statement, of=submission_id)]

    def count(self, table: str) -> int:
        with self.storage.read() as tx:
            return int(tx.scalar(text(f"SELECT count(*) FROM {table}")))


def open_desk(storage: Storage, clock: ManualClock) -> Desk:
    return Desk(
        storage=storage,
        clock=clock,
        lms=add_account(storage, "lms", Role.LMS),
        grader=add_account(storage, "grader", Role.GRADER),
    )
