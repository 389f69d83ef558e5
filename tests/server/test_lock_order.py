"""Transactions that want the same rows and learners take them in one order: none is a victim of
PostgreSQL's search for deadlocks. (SQLite has one lock for all who write.)"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.repair.regraded import NEW, begin, graded
from tests.server.builders import (
    ORIGIN,
    QUEUE,
    Desk,
    add_queue,
    callback_url,
    change_queue,
    lms_body,
)
from xqueue_server.models.fault import FaultKind
from xqueue_server.models.submission import HoldReason, SubmissionEvent, SubmissionState
from xqueue_server.storage import (
    Storage,
    Transaction,
    callbacks,
    faults,
    leases,
    outbox,
    submissions,
    transitions,
)
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.upkeep import sweeping

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
TIMEOUT_S = 60


def part(number: int, user: int) -> str:
    return callback_url(f"{number:032d}", user=user)


def hold(tx: Transaction, submission_id: int) -> None:
    """Takes a capped one out of the line, so that the cap decides about its learner."""
    submission = submissions.get_locked(tx, submission_id)
    transitions.change(
        tx,
        submission,
        SubmissionEvent.EXHAUST,
        actor="test",
        held_reason=HoldReason.ATTEMPTS,
        held_detail="",
    )


def test_two_that_decide_about_the_same_learners_in_another_order_both_come_through(
    desk: Desk,
) -> None:
    change_queue(desk.storage, learner_cap=1)
    # Two of each learner leased, and one that waits for the cap.
    ids: dict[tuple[int, int], int] = {}
    for number in (1, 2):
        change_queue(desk.storage, learner_cap=number)
        for user in (1, 2):
            ids[user, number] = desk.submit(part(number, user))
    waiting = [desk.submit(part(3, user)) for user in (1, 2)]
    for _ in ids:
        desk.lease()
    both_have_one = threading.Barrier(2, timeout=TIMEOUT_S)

    def end(first: int, second: int) -> None:
        with desk.storage.write() as tx:
            hold(tx, first)
            both_have_one.wait()
            hold(tx, second)

    with ThreadPoolExecutor(2) as pool:
        ending = [
            pool.submit(end, ids[1, 1], ids[2, 1]),
            pool.submit(end, ids[2, 2], ids[1, 2]),
        ]
        for each in ending:
            each.result(timeout=TIMEOUT_S)
    assert {desk.see(each).state for each in ids.values()} == {SubmissionState.HELD}
    assert not any(desk.see(each).is_blocked for each in waiting)


def test_a_newer_submission_waits_for_the_row_before_it_takes_the_callback(desk: Desk) -> None:
    """A regrade's result has the row, and wants the callback next."""
    old = graded(desk, made_at="20260101120000", is_delivered=False)
    begin(desk, old.submission_id)
    newer = lms_body("20260101120100")
    with ThreadPoolExecutor(1) as pool:
        with desk.storage.write() as tx:
            submissions.get_locked(tx, old.submission_id)
            submitting = pool.submit(desk.submit, callback_url(), body=newer, key="k42")
            wait_for_a_lock(desk.storage, submitting)
            assert callbacks.withdraw(tx, old.submission_id, actor="test", why="regrade")
        submitting.result(timeout=TIMEOUT_S)
    assert [state for state, _ in desk.outgoing(old.submission_id)] == ["cancelled"]


def wait_for_a_lock(storage: Storage, waiting: Future[int]) -> None:
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        with storage.read() as tx:
            if tx.scalar(WAITING) or waiting.done():
                return
        time.sleep(0.005)
    pytest.fail("nobody waits")


def test_sweepers_that_note_the_same_faults_in_another_order_both_come_through(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "BATCH", 2)
    add_queue(desk.storage, "other", lease_s=600, max_attempts=1)
    change_queue(desk.storage, max_attempts=1)
    for queue in (QUEUE, "other", "other", QUEUE):  # the order in which their leases end
        desk.submit(queue=queue)
        desk.lease(queue)
        desk.clock.advance(1)
    desk.clock.advance(600)
    have_noted_one = threading.Barrier(2, timeout=TIMEOUT_S)
    is_first = threading.local()
    record = faults.record

    def noted(*args: object, **given: object) -> None:
        record(*args, **given)  # type: ignore[arg-type]
        if not hasattr(is_first, "no"):
            is_first.no = True
            have_noted_one.wait()

    monkeypatch.setattr(faults, "record", noted)
    with ThreadPoolExecutor(2) as pool:
        sweeps = [pool.submit(sweeping.sweep, desk.storage) for _ in range(2)]
        assert sum(each.result(timeout=TIMEOUT_S).held for each in sweeps) == 4
    with desk.storage.read() as tx:
        noted_kinds = [(fault.kind, fault.count) for fault in faults.latest(tx)]
    assert noted_kinds == [(FaultKind.ATTEMPTS, 2)] * 2


def test_back_offs_end_beside_one_that_somebody_has_locked(desk: Desk) -> None:
    delayed = [desk.submit(callback_url(user=user)) for user in (1, 2)]
    for _ in delayed:
        desk.fail(desk.lease(), FailureKind.PLATFORM)
    desk.clock.advance(60)
    with desk.storage.write() as tx:
        submissions.get_locked(tx, delayed[0])
        with desk.storage.write_at_once() as other:
            assert leases.make_due_ready(other) == {QUEUE}
    assert [desk.see(each).available_at is None for each in delayed] == [False, True]


@contextmanager
def callback_locked(desk: Desk, submission_id: int) -> Iterator[None]:
    statement = text("SELECT id FROM callbacks WHERE submission_id = :of FOR UPDATE")
    with desk.storage.write() as tx:
        assert tx.all(statement, of=submission_id)
        yield


def test_callbacks_of_an_origin_are_replayed_and_buried_beside_one_that_is_locked(
    desk: Desk,
) -> None:
    ids = [graded(desk, user=user, is_delivered=False, body=NEW).submission_id for user in (1, 2)]
    age = timedelta(days=4)
    desk.clock.advance(age.total_seconds())
    with callback_locked(desk, ids[0]), desk.storage.write() as tx:
        assert outbox.bury_expired(tx, ORIGIN, age_us=1) == 1
    with desk.storage.write() as tx:
        assert outbox.bury_expired(tx, ORIGIN, age_us=1) == 1
    until = desk.callbacks_of(ids[0])[0].created_at + 2 * age
    with callback_locked(desk, ids[0]), desk.storage.write() as tx:
        terms = {"actor": "test", "since": None, "until": until}
        assert callbacks.replay_origin(tx, ORIGIN, **terms) == 1
    assert [desk.outgoing(each)[0][0] for each in ids] == ["dead", "pending"]
