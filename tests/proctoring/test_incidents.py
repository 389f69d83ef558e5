"""Incidents as they are taken: once each, and what an exam's policy then does to the attempt."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from proctoring_hooks import reporting
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.incidents import Consequence, Incident, NewIncident, Source
from proctoring_hooks.statuses import Status
from tests.proctoring.conftest import MakeExam
from tests.proctoring.sitting import now, started
from xqueue_server.instant import ManualClock
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.upkeep.exam_clock import end_what_has_run_out

HOUR_S = 3600.0
AT_ONCE = 10
TWO_STRIKES = {"incident_policy": "two_strikes"}


def reported(store: ProctoringStore, attempt: Attempt, incident_id: str = "a") -> Incident | None:
    with store.write() as session:
        seen = NewIncident(
            attempt_id=attempt.id,
            incident_id=incident_id,
            source=Source.WORKER,
            kind="left full screen",
            severity=0.9,
            happened_at=session.now,
        )
        return reporting.report(session, seen)


def test_an_incident_that_is_reported_ten_times_at_once_is_one_strike(
    store: ProctoringStore, make_exam: MakeExam
) -> None:
    attempt = started(store, make_exam(terms=TWO_STRIKES))
    line = threading.Barrier(AT_ONCE)

    def report(_number: int) -> Incident | None:
        line.wait()
        return reported(store, attempt)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(report, range(AT_ONCE)))
    (taken,) = [each for each in answers if each is not None]
    assert taken.strike == 1
    with store.read() as session:
        assert session.records.incidents(attempt.id) == [taken]
    after = now(store, attempt)
    assert (after.status, after.mark_factor) == (Status.STARTED, 0.5)


def test_ten_incidents_at_once_are_ten_strikes_and_one_end(
    store: ProctoringStore, make_exam: MakeExam
) -> None:
    attempt = started(store, make_exam(terms=TWO_STRIKES))
    line = threading.Barrier(AT_ONCE)

    def report(number: int) -> Incident | None:
        line.wait()
        return reported(store, attempt, str(number))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(report, range(AT_ONCE)))
    strikes = [each.strike for each in answers if each is not None]
    assert sorted(filter(None, strikes)) == list(range(1, AT_ONCE + 1))
    assert now(store, attempt).status is Status.SECOND_REVIEW_REQUIRED


def test_a_warned_attempt_is_submitted_when_its_time_is_over(
    store: ProctoringStore, make_exam: MakeExam, clock: ManualClock
) -> None:
    attempt = started(store, make_exam(terms=TWO_STRIKES))
    incident = reported(store, attempt)
    assert incident is not None
    assert Consequence.WARN in incident.consequences
    clock.advance(HOUR_S)
    assert end_what_has_run_out(store).ended == 1
    ended = now(store, attempt)
    assert (ended.status, ended.mark_factor) == (Status.SUBMITTED, 0.5)
    assert ended.completed_at == attempt.expires_at
