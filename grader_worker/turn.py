"""One turn of a worker at a queue: lease, grade, report. The same for pollers and RQ's jobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from grader_worker.assignments import Assignments
from grader_worker.backoff import Backoff
from grader_worker.errors import LeaseLost, XQueueError
from grader_worker.event_log import log_event, log_warning
from grader_worker.grading import (
    Graded,
    GraderBroken,
    Outcome,
    PlatformBroken,
    Sandbox,
    grade,
)
from grader_worker.lease import Lease
from grader_worker.preparing import preparation_of
from grader_worker.record import record_text
from grader_worker.renewal import LEASE_S, RENEW_EVERY_S, Renewal, kept_alive
from grader_worker.sandbox_gate import SandboxGate, Sleep
from grader_worker.submitted_files import SubmittedFiles
from grader_worker.xqueue_client import XQueueClient
from sandbox.errors import GraderNotUsable, SandboxUnavailable

RESULT_BOUND_S = 600.0
"""How long a grade is offered to a server that does not answer. After that it is lost to us,
but the lease has lapsed long since: somebody will grade it again."""
FAILURE_TRIES = 3


class TurnEnd(StrEnum):
    EMPTY = "empty"
    NOT_READY = "not-ready"
    """The queue's grader is not ready on this host: nothing was asked for."""
    REPORTED = "reported"
    """A result or a grader's failure was taken by the server."""
    RELEASED = "released"
    """The platform failed: another try may help, but not at once."""
    ABANDONED = "abandoned"
    """The lease was lost, lapses, or the result could not be delivered."""
    STOPPED = "stopped"
    """The process is stopping; a submission that still arrived was given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Times of a turn that tests shorten."""

    wait_s: int = 10
    """Of a long poll. Also bounds how long an idle worker takes to stop."""
    renew_every_s: float = RENEW_EVERY_S
    result_bound_s: float = RESULT_BOUND_S
    retry_first_s: float = 0.5
    retry_cap_s: float = 30.0


class Grader:
    """Serves one assignment on one server, one submission at a time. Belongs to one thread."""

    def __init__(
        self,
        client: XQueueClient,
        assignments: Assignments,
        *,
        sandbox: Sandbox,
        gate: SandboxGate,
        pace: Pace | None = None,
        sleep: Sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.assignments = assignments
        self.gate = gate
        self._sandbox = sandbox
        self._pace = pace or Pace()
        self._sleep = sleep
        self._clock = clock
        self._files = SubmittedFiles(client.account.url, client.session)

    def take_turn(self, *, long_poll: bool = True) -> TurnEnd:
        """Wait for the sandbox, lease at most one submission and see it through.

        Raises:
            XQueueError: the server could not be asked for a submission.
        """
        if not self.gate.wait_until_open(self._sleep):
            return TurnEnd.STOPPED
        if not self.assignments.ready():
            return TurnEnd.NOT_READY
        lease = self.client.get_submission(
            self.assignments.queue,
            wait_s=self._pace.wait_s if long_poll else None,
            lease_s=LEASE_S,
            name_grader=self.assignments.asks_server,
        )
        if lease is None:
            return TurnEnd.EMPTY
        if self._sleep(0):
            self._report_failure(lease, "platform", "the worker was told to stop")
            return TurnEnd.STOPPED
        return self._see_through(lease)

    def _see_through(self, lease: Lease) -> TurnEnd:
        started_at = self._clock()
        self._log("leased", lease)
        with kept_alive(self.client, lease, every_s=self._pace.renew_every_s) as renewal:
            outcome = self._grade(lease)
            if isinstance(outcome, PlatformBroken) and outcome.sandbox_down:
                self.gate.close(outcome.detail)
            if renewal.lost:
                return TurnEnd.ABANDONED
            end = self._report(lease, outcome, renewal)
        if isinstance(outcome, PlatformBroken):
            end = TurnEnd.RELEASED
        self._log(
            "turn-ended",
            lease,
            outcome=type(outcome).__name__,
            end=end.value,
            seconds=round(self._clock() - started_at, 3),
        )
        return end

    def _grade(self, lease: Lease) -> Outcome:
        try:
            assignment = self.assignments.of(lease)
            if lease.grader is not None and lease.grader.trial is not None:
                # Nobody could make it ready before: its image may have to be pulled.
                self._sandbox.prepare(preparation_of(assignment))
        except GraderNotUsable as error:
            text = f"unusable grader: {error}"
            return GraderBroken(summary=text, detail=text)
        except SandboxUnavailable as error:
            text = f"sandbox: {error}"
            return PlatformBroken(summary=text, detail=text, sandbox_down=False)
        except XQueueError as error:
            text = f"assignment: {error}"
            return PlatformBroken(summary=text, detail=text, sandbox_down=False)
        return grade(lease, assignment, sandbox=self._sandbox, fetch_files=self._files.fetch)

    def _report(self, lease: Lease, outcome: Outcome, renewal: Renewal) -> TurnEnd:
        if isinstance(outcome, Graded):
            return self._put_result(lease, outcome, renewal)
        kind = "grader" if isinstance(outcome, GraderBroken) else "platform"
        # Not `detail`: what a grader says may quote the learner's code.
        self._log(f"{kind}-broken", lease, summary=outcome.summary)
        return self._report_failure(lease, kind, outcome.detail)

    def _put_result(self, lease: Lease, graded: Graded, renewal: Renewal) -> TurnEnd:
        """Again and again: the grading was the expensive part, and the same bytes under the
        same key are taken twice as once."""
        backoff = Backoff(first_s=self._pace.retry_first_s, cap_s=self._pace.retry_cap_s)
        deadline = self._clock() + self._pace.result_bound_s
        record = record_text(lease, graded.record)
        last_try = False
        while not renewal.lost:
            try:
                self.client.put_result(lease, graded.reply, record=record)
                return TurnEnd.REPORTED
            except LeaseLost as error:
                self._log("result-refused", lease, error=str(error))
                return TurnEnd.ABANDONED
            except XQueueError as error:
                self._log("result-not-taken", lease, error=str(error))
            if last_try:
                log_warning("result-given-up", submission=lease.submission_id)
                return TurnEnd.ABANDONED
            stopping = self._sleep(backoff.next_s())
            last_try = stopping or self._clock() > deadline
        return TurnEnd.ABANDONED

    def _report_failure(self, lease: Lease, kind: str, detail: str) -> TurnEnd:
        """Towards a server without the extension: no reply. Its lease lapses, and a reply of
        any kind would be recorded as a grade."""
        if "failure" not in self.client.extensions:
            return TurnEnd.ABANDONED
        backoff = Backoff(first_s=self._pace.retry_first_s, cap_s=self._pace.retry_cap_s)
        for _ in range(FAILURE_TRIES):
            try:
                self.client.put_failure(lease, kind=kind, detail=detail)
                return TurnEnd.REPORTED
            except LeaseLost:
                return TurnEnd.ABANDONED
            except XQueueError as error:
                self._log("failure-not-taken", lease, error=str(error))
            if self._sleep(backoff.next_s()):
                break
        return TurnEnd.ABANDONED

    def _log(self, event: str, lease: Lease, **facts: object) -> None:
        log_event(
            event,
            queue=self.assignments.queue,
            submission=lease.submission_id,
            attempt=lease.attempt,
            **facts,
        )
