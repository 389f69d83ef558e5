"""One turn of a worker at a queue: lease, grade, report. The same for pollers and RQ's jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from grader_worker.assignment import Assignment
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
from grader_worker.leasing import Leased, Leases
from grader_worker.preparing import preparation_of
from grader_worker.record import Timing, record_text
from grader_worker.renewal import RENEW_EVERY_S, Renewal, kept_alive
from grader_worker.sandbox_gate import SandboxGate, Sleep
from grader_worker.scoreboard import Slot
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
    """No queue's grader is ready on this host: nothing was asked for."""
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
    """Serves the queues of one pool, one submission at a time. Belongs to one thread."""

    def __init__(
        self,
        client: XQueueClient,
        books: Sequence[Assignments],
        *,
        sandbox: Sandbox,
        gate: SandboxGate,
        pace: Pace | None = None,
        sleep: Sleep,
        slot: Slot | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.gate = gate
        self._sandbox = sandbox
        self._pace = pace or Pace()
        self._leases = Leases(client, books, wait_s=self._pace.wait_s)
        self._sleep = sleep
        self._slot = slot or Slot.unshared()
        self._clock = clock
        self._warned: set[str] = set()
        self._given_up: str | None = None
        """The last submission that was abandoned."""
        self._files = SubmittedFiles(client.account.url, client.session)

    @property
    def queues(self) -> str:
        """For logs."""
        return self._leases.queues

    def take_turn(self, *, long_poll: bool = True) -> TurnEnd:
        """Wait for the sandbox, lease at most one submission and see it through.

        Raises:
            XQueueError: the server could not be asked for a submission.
        """
        self._slot.idle()
        if not self.gate.wait_until_open(self._sleep) or self._sleep(0):
            return TurnEnd.STOPPED
        if not self._leases.are_ready():
            return TurnEnd.NOT_READY
        leased = self._leases.next(long_poll=long_poll)
        if leased is None:
            return TurnEnd.EMPTY
        if self._sleep(0):
            self._report_failure(leased, "platform", "the worker was told to stop")
            return TurnEnd.STOPPED
        with self._slot.grading(leased.lease.submission_id, leased.queue_at):
            return self._see_through(leased)

    def _see_through(self, leased: Leased) -> TurnEnd:
        lease = leased.lease
        started_at = self._clock()
        self._log("leased", leased)
        with kept_alive(self.client, lease, every_s=self._pace.renew_every_s) as renewal:
            outcome = self._grade(leased)
            took_s = self._clock() - started_at
            if isinstance(outcome, PlatformBroken) and outcome.sandbox_down:
                self.gate.close(outcome.detail)
            if renewal.lost:
                return TurnEnd.ABANDONED
            end = self._report(leased, outcome, renewal, took_s)
        if isinstance(outcome, PlatformBroken) or self._comes_again(leased, end):
            end = TurnEnd.RELEASED
        self._log(
            "turn-ended",
            leased,
            outcome=type(outcome).__name__,
            end=end.value,
            seconds=round(self._clock() - started_at, 3),
        )
        return end

    def _comes_again(self, leased: Leased, end: TurnEnd) -> bool:
        """Whether the server hands out what was abandoned just now: edx-submissions then does so
        with every request, and asking at once would be asking without a pause."""
        given_up, number = self._given_up, leased.lease.submission_id
        self._given_up = number if end is TurnEnd.ABANDONED else None
        if end is not TurnEnd.ABANDONED or given_up != number:
            return False
        log_warning("handed-out-again", queue=leased.assignments.queue, submission=number)
        return True

    def _grade(self, leased: Leased) -> Outcome:
        lease = leased.lease
        try:
            assignment = leased.assignments.of(lease)
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
        self._warn_of_short_lease(leased, assignment)
        return grade(
            lease,
            assignment,
            sandbox=self._sandbox,
            fetch_files=self._files.fetch,
            whole_points=self.client.account.whole_points,
        )

    def _warn_of_short_lease(self, leased: Leased, assignment: Assignment) -> None:
        """Once for each queue: a server that can not be told to wait hands it out again."""
        again_s = self.client.handed_out_again_s
        queue = leased.assignments.queue
        if again_s is None or assignment.limits.wall_s < again_s or queue in self._warned:
            return
        self._warned.add(queue)
        log_warning(
            "grader-may-outlive-lease",
            queue=queue,
            wall_s=assignment.limits.wall_s,
            handed_out_again_s=again_s,
        )

    def _report(self, leased: Leased, outcome: Outcome, renewal: Renewal, took_s: float) -> TurnEnd:
        if isinstance(outcome, Graded):
            return self._put_result(leased, outcome, renewal, took_s)
        kind = "grader" if isinstance(outcome, GraderBroken) else "platform"
        # Not `detail`: what a grader says may quote the learner's code.
        self._log(f"{kind}-broken", leased, summary=outcome.summary)
        return self._report_failure(leased, kind, outcome.detail)

    def _put_result(
        self, leased: Leased, graded: Graded, renewal: Renewal, took_s: float
    ) -> TurnEnd:
        """Again and again: the grading was the expensive part, and the same bytes under the
        same key are taken twice as once."""
        lease = leased.lease
        backoff = Backoff(first_s=self._pace.retry_first_s, cap_s=self._pace.retry_cap_s)
        deadline = self._clock() + min(
            self._pace.result_bound_s, self.client.handed_out_again_s or self._pace.result_bound_s
        )
        record = record_text(lease, graded.record, Timing.of(graded.record, took_s))
        last_try = False
        while not renewal.lost:
            try:
                self.client.put_result(lease, graded.reply, record=record)
                return TurnEnd.REPORTED
            except LeaseLost as error:
                self._log("result-refused", leased, error=str(error))
                return TurnEnd.ABANDONED
            except XQueueError as error:
                self._log("result-not-taken", leased, error=str(error))
            if last_try:
                log_warning(
                    "result-given-up", submission=lease.submission_id, trace_id=lease.trace_id
                )
                return TurnEnd.ABANDONED
            stopping = self._sleep(backoff.next_s())
            last_try = stopping or self._clock() > deadline
        return TurnEnd.ABANDONED

    def _report_failure(self, leased: Leased, kind: str, detail: str) -> TurnEnd:
        """Towards a server without the extension: no reply. Its lease lapses, and a reply of
        any kind would be recorded as a grade."""
        if "failure" not in self.client.extensions:
            return TurnEnd.ABANDONED
        backoff = Backoff(first_s=self._pace.retry_first_s, cap_s=self._pace.retry_cap_s)
        for _ in range(FAILURE_TRIES):
            try:
                self.client.put_failure(leased.lease, kind=kind, detail=detail)
                return TurnEnd.REPORTED
            except LeaseLost:
                return TurnEnd.ABANDONED
            except XQueueError as error:
                self._log("failure-not-taken", leased, error=str(error))
            if self._sleep(backoff.next_s()):
                break
        return TurnEnd.ABANDONED

    def _log(self, event: str, leased: Leased, **facts: object) -> None:
        log_event(
            event,
            queue=leased.assignments.queue,
            submission=leased.lease.submission_id,
            attempt=leased.lease.attempt,
            trace_id=leased.lease.trace_id,
            **facts,
        )
