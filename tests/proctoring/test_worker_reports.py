"""What workers tell, stored; and a sweeper that notices when they tell nothing any more."""

from __future__ import annotations

import pytest

from proctoring_hooks import attempts
from proctoring_hooks.exam import Exam
from proctoring_hooks.statuses import Status
from proctoring_hooks.transitions import Action
from proctoring_hooks.worker.liveness import Report, SilenceRule
from tests.proctoring.conftest import MakeExam
from tests.proctoring.sitting import LEARNER, now, started
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring.workers import WorkerReports
from xqueue_server.upkeep.exam_silences import LOOK_EVERY_S, silence_watch

RULE = SilenceRule(ping_interval_s=60, misses=3, severity=0.9)


@pytest.fixture
def reports(store: ProctoringStore) -> WorkerReports:
    return WorkerReports(store)


@pytest.fixture
def exam(make_exam: MakeExam) -> Exam:
    return make_exam(terms={"incident_policy": "flag"})


def test_what_is_heard_is_kept_for_attempts_that_there_are(
    store: ProctoringStore, reports: WorkerReports, exam: Exam, clock: ManualClock
) -> None:
    attempt = started(store, exam)
    assert reports.status("edx", "nothing") is None
    assert reports.heard("edx", "nothing", Report.PING) is None
    assert reports.heard("another", attempt.external_id, Report.PING) is None
    assert reports.status("edx", attempt.external_id) is Status.STARTED
    (watched,) = reports.watched()
    assert (watched.heard_at, watched.has_ended) == (None, False)
    assert watched.started_since == attempt.started_at
    clock.advance(60)
    assert reports.heard("edx", attempt.external_id, Report.PING) is Status.STARTED
    with store.read() as session:
        heard_at = session.now
    clock.advance(2)
    reports.heard("edx", attempt.external_id, Report.PING)  # too soon to be worth a write
    assert reports.watched()[0].heard_at == heard_at
    reports.heard("edx", attempt.external_id, Report.END)
    assert reports.watched()[0].has_ended
    with store.write() as session:
        attempts.act(session, attempt.id, Action.STOP, LEARNER)
    assert reports.watched() == [], "pages do not ping while the learner looks back"
    clock.advance(60)
    with store.write() as session:
        attempts.act(session, attempt.id, Action.START, LEARNER)
        again = session.now
    assert reports.watched()[0].started_since == again


def test_a_silence_is_one_incident_and_a_new_one_another(
    store: ProctoringStore,
    reports: WorkerReports,
    exam: Exam,
    storage: Storage,
    clock: ManualClock,
) -> None:
    attempt = started(store, exam)
    look = silence_watch(storage, store, RULE)

    def watch(seconds: float) -> int:
        found = 0
        for _ in range(int(seconds / LOOK_EVERY_S)):
            clock.advance(LOOK_EVERY_S)
            found += look()
        return found

    reports.heard("edx", attempt.external_id, Report.PING)
    look()
    assert watch(170) == 0
    assert watch(10) == 1
    assert now(store, attempt).is_flagged, "the exam's policy"
    assert watch(600) == 0, "the same silence is told once"
    reports.heard("edx", attempt.external_id, Report.PING)
    assert watch(180) == 1
    with store.read() as session:
        assert [each.strike for each in session.records.incidents(attempt.id)] == [1, 2]


def test_while_no_sweeper_listened_nobody_was_silent(
    store: ProctoringStore,
    reports: WorkerReports,
    exam: Exam,
    storage: Storage,
    clock: ManualClock,
) -> None:
    attempt = started(store, exam)
    reports.heard("edx", attempt.external_id, Report.PING)
    look = silence_watch(storage, store, RULE)
    look()
    clock.advance(1000)  # the database was away
    assert look() == 0
    for _ in range(17):
        clock.advance(LOOK_EVERY_S)
        assert look() == 0
    clock.advance(LOOK_EVERY_S)
    assert look() == 1
