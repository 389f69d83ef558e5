"""The desired number of workers from what is stored, on each kind of database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.capacity.stored import (
    NOW,
    ONE_MINUTE,
    QUEUE,
    a_minute,
    fill,
    history,
    store_minutes,
    store_rush,
)
from tests.server.builders import add_queue
from xqueue_server.capacity.arrivals import Law
from xqueue_server.capacity.policy import HOLD_MIN, Desired
from xqueue_server.models.submission import BULK_PRIORITY, REGRADE_PRIORITY, TRIAL_PRIORITY
from xqueue_server.storage import Storage, deadlines, load, queues
from xqueue_server.workload import experience
from xqueue_server.workload.scaling import NO_HISTORY, desired_by_queue, desired_workers

HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)


@pytest.fixture(autouse=True)
def _queue(storage: Storage) -> None:
    add_queue(storage, QUEUE)


def desired(storage: Storage) -> Desired:
    (found,) = desired_workers(storage, [QUEUE])
    return found


def add_deadline(storage: Storage, in_: timedelta, submissions: int = 6_000) -> None:
    with storage.write() as tx:
        deadlines.add(tx, queue=QUEUE, at=NOW + in_, submissions=submissions, actor="test")


# -- what is there now ---------------------------------------------------------------------------


def test_a_new_server_with_nothing_to_do_wants_nobody_and_says_what_it_lacks(
    storage: Storage,
) -> None:
    found = desired(storage)
    assert found.workers == 0
    assert found.reason.endswith(NO_HISTORY)
    assert desired_by_queue(storage) == {QUEUE: 0}


def test_what_waits_and_runs_counts_without_any_history(storage: Storage) -> None:
    fill(storage, 10)
    fill(storage, 3, state="leased")
    found = desired(storage)
    assert (found.inputs["waiting"], found.inputs["running"]) == (10, 3)
    assert found.workers == 5  # 10 of the assumed 15 s within 30 s


def test_regrades_and_bulk_are_told_apart_from_what_people_wait_for(storage: Storage) -> None:
    fill(storage, 2, priority=REGRADE_PRIORITY)
    fill(storage, 1, priority=BULK_PRIORITY)
    fill(storage, 4, priority=TRIAL_PRIORITY)
    fill(storage, 5)
    found = desired(storage)
    assert (found.inputs["waiting"], found.inputs["unhurried"]) == (9, 3)


def test_a_paused_queue_wants_nobody_for_what_waits(storage: Storage) -> None:
    fill(storage, 10)
    fill(storage, 1, state="leased")
    with storage.write() as tx:
        queues.pause(tx, QUEUE, reason="", actor="test")
    found = desired(storage)
    assert found.workers == 1
    assert "paused" in found.reason


def test_only_the_queues_asked_for_are_answered(storage: Storage) -> None:
    add_queue(storage, "other")
    assert [each.queue for each in desired_workers(storage)] == ["other", QUEUE]
    assert [each.queue for each in desired_workers(storage, ["other", "none"])] == ["other"]


# -- what came before ----------------------------------------------------------------------------


def test_recent_arrivals_are_those_of_the_last_whole_minutes(storage: Storage) -> None:
    with history(storage, until=NOW - ONE_MINUTE) as tx:
        store_minutes(tx, {NOW - (i + 2) * ONE_MINUTE: 10 for i in range(0, 5, 2)})
    found = desired(storage)
    assert found.inputs["recent_per_min"] == 6  # 10, 0, 10, 0, 10: a minute without a row is 0
    assert "6 a minute arrived" in found.reason


def test_an_old_history_says_nothing_of_now(storage: Storage) -> None:
    with history(storage, until=NOW - HOUR) as tx:
        store_minutes(tx, {NOW - HOUR - ONE_MINUTE: 100})
        load.store(tx, a_minute(NOW - HOUR - 2 * ONE_MINUTE, desired=50))
    found = desired(storage)
    assert found.workers == 0
    assert NO_HISTORY in found.reason


def test_service_times_come_from_the_shortest_span_with_enough_gradings(
    storage: Storage,
) -> None:
    with history(storage) as tx:
        load.store(tx, a_minute(NOW - 20 * 24 * HOUR, graded=500, service_s=40))
    assert desired(storage).inputs["service_s"] == pytest.approx(40)
    with history(storage) as tx:
        load.store(tx, a_minute(NOW - 9 * ONE_MINUTE, graded=20, service_s=4))
    found = desired(storage)
    assert found.inputs["service_s"] == pytest.approx(4)
    assert found.inputs["service_cv2"] == pytest.approx(0, abs=1e-6)


def test_where_service_times_come_from_is_said(storage: Storage) -> None:
    with storage.read() as tx:
        assert "assumed" in experience.service_times(tx, QUEUE, NOW).source
    with history(storage) as tx:
        load.store(tx, a_minute(NOW - 20 * 24 * HOUR, graded=500, service_s=40))
    with storage.read() as tx:
        known = experience.service_times(tx, QUEUE, NOW)
    assert known.source == "history of 500 gradings over 20 days"


def test_the_usual_rate_is_that_of_the_same_hour_of_earlier_weeks(storage: Storage) -> None:
    with history(storage) as tx:
        for week, arrived in ((1, 60), (2, 120), (3, 600)):
            store_minutes(tx, {NOW - week * WEEK: arrived})
    with storage.read() as tx:
        assert experience.usual_per_min(tx, QUEUE, NOW, []) == 2
        assert experience.usual_per_min(tx, QUEUE, NOW + 5 * WEEK, []) == 2
        assert experience.usual_per_min(tx, QUEUE, NOW + HOUR, []) == 0
    assert "as usual at this hour" in desired(storage).reason


def test_what_was_desired_lately_is_held(storage: Storage) -> None:
    with history(storage) as tx:
        for i in range(HOLD_MIN - 1):
            load.store(tx, a_minute(NOW - (i + 1) * ONE_MINUTE, desired=7))
    assert desired(storage).workers == 7
    with history(storage) as tx:
        load.store(tx, a_minute(NOW - HOLD_MIN * ONE_MINUTE, desired=7))
    assert desired(storage).workers == 0


# -- deadlines -----------------------------------------------------------------------------------


def test_a_known_deadline_is_staffed_before_it(storage: Storage) -> None:
    add_deadline(storage, timedelta(minutes=10))
    found = desired(storage)
    assert found.inputs["deadlines"] == 1
    assert found.workers > 5
    assert "before the deadline in 10 min" in found.reason


def test_a_deadline_that_opens_later_or_was_long_ago_does_not_count(storage: Storage) -> None:
    add_deadline(storage, 2 * WEEK)
    add_deadline(storage, -2 * HOUR)
    assert desired(storage).inputs["deadlines"] == 0


def test_past_deadlines_of_the_same_kind_teach_d0(storage: Storage) -> None:
    law = Law(submissions=3_000, d0_min=40)
    for week in (1, 2):
        add_deadline(storage, -week * WEEK, 3_000)
    with history(storage) as tx:
        for week in (1, 2):
            store_rush(tx, NOW - week * WEEK, law)
    add_deadline(storage, HOUR)
    with storage.read() as tx:
        told = deadlines.of_queue(tx, QUEUE)
        found = experience.fitted(tx, QUEUE, told, told[-1])
    assert found.is_fitted
    assert found.d0_min == pytest.approx(40, rel=0.1)
    assert list(found.submissions) == pytest.approx([3_000, 3_000], rel=0.05)


def test_homework_teaches_nothing_about_exams(storage: Storage) -> None:
    add_deadline(storage, -WEEK, 3_000)
    with history(storage) as tx:
        store_rush(tx, NOW - WEEK, Law(submissions=3_000, d0_min=40))
    with storage.write() as tx:
        deadlines.add(
            tx, queue=QUEUE, at=NOW + HOUR, opens_at=NOW - HOUR, submissions=9, actor="test"
        )
    with storage.read() as tx:
        told = deadlines.of_queue(tx, QUEUE)
        found = experience.fitted(tx, QUEUE, told, told[-1])
    assert (found.d0_min, found.is_fitted) == (5, False)
