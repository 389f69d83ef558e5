"""The history of load: each full minute once, whoever writes it and whatever was away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import insert

from tests.server.builders import QUEUE, Desk, add_queue
from xqueue_server.models import trial
from xqueue_server.models.submission import TRIAL_PRIORITY, NewSubmission
from xqueue_server.storage import Transaction, load, submissions
from xqueue_server.storage.load import LoadMinute
from xqueue_server.storage.operations_schema import worker_hosts, workers
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.workload import history

START = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the clock of the tests begins."""
US = 1_000_000
LATER = START + timedelta(days=400)


@pytest.fixture(autouse=True)
def _begun(desk: Desk) -> None:
    """The first minute that is written is the one that begins now."""
    desk.clock.advance(5)
    assert history.roll(desk.storage) == 1
    desk.clock.advance(-5)


def minutes(desk: Desk, queue: str | None = None) -> list[LoadMinute]:
    with desk.storage.read() as tx:
        return list(load.minutes(tx, queue, START, LATER))


def roll_at(desk: Desk, seconds: float) -> int:
    """Move the clock to so many seconds after its start, and write what is due."""
    desk.clock.advance(START.timestamp() + seconds - desk.storage.now_us() / US)
    return history.roll(desk.storage)


def test_a_minute_says_what_arrived_was_graded_and_waits(desk: Desk) -> None:
    for _ in range(4):
        desk.submit()
    desk.clock.advance(20)
    first, second = desk.lease(), desk.lease()
    desk.clock.advance(2)
    desk.put(first)
    desk.clock.advance(1)
    desk.put(second)
    desk.lease()

    assert roll_at(desk, 65) == 1

    assert minutes(desk) == [
        LoadMinute(
            queue=QUEUE,
            minute=START,
            arrived=4,
            graded=2,
            service_us=5 * US,
            service_sq_s2=2**2 + 3**2,
            wait_us=40 * US,
            longest_wait_us=20 * US,
            queued=1,
            leased=1,
            oldest_us=60 * US,
            workers=0,
            desired=0,
        )
    ]


def test_a_minute_is_written_when_it_is_over_and_settled_and_only_once(desk: Desk) -> None:
    desk.submit()
    assert roll_at(desk, 64.999999) == 0
    assert roll_at(desk, 65) == 1
    assert roll_at(desk, 65) == 0
    assert roll_at(desk, 124) == 0


def test_what_happens_on_the_edge_belongs_to_the_minute_that_begins(desk: Desk) -> None:
    desk.clock.advance(59.999999)
    desk.submit()
    desk.clock.advance(0.000001)
    desk.submit()
    desk.submit()
    roll_at(desk, 125)
    assert [(m.minute, m.arrived) for m in minutes(desk)] == [
        (START, 1),
        (START + timedelta(minutes=1), 2),
    ]


def test_a_quiet_minute_has_no_row_and_one_in_which_something_waits_has(desk: Desk) -> None:
    desk.submit()
    for minute in (1, 2, 3):
        roll_at(desk, 60 * minute + 5)
    desk.put(desk.lease())
    for minute in (4, 5, 6):
        roll_at(desk, 60 * minute + 5)
    assert [(m.arrived, m.graded, m.queued) for m in minutes(desk)] == [
        (1, 0, 1),
        (0, 0, 1),
        (0, 0, 1),
        (0, 1, 0),
    ]
    assert minutes(desk)[2].oldest_us == 180 * US


def test_queues_are_counted_apart(desk: Desk) -> None:
    add_queue(desk.storage, "java")
    desk.submit()
    desk.submit(queue="java")
    desk.submit(queue="java")
    roll_at(desk, 65)
    assert [(m.queue, m.arrived, m.queued) for m in minutes(desk)] == [
        ("java", 2, 2),
        (QUEUE, 1, 1),
    ]
    assert [m.queue for m in minutes(desk, "java")] == ["java"]


def test_delayed_submissions_wait_too(desk: Desk) -> None:
    desk.submit()
    desk.clock.advance(58)
    desk.fail(desk.lease(), FailureKind.PLATFORM)
    with desk.storage.write() as tx:
        standing = load.gauges(tx, at_us=desk.storage.now_us())
    assert (standing[QUEUE].queued, standing[QUEUE].leased) == (1, 0)


def test_trials_count_nowhere(desk: Desk) -> None:
    new = NewSubmission(
        request_id="r",
        queue=QUEUE,
        header="{}",
        body="{}",
        callback_url=trial.CALLBACK_URL,
        lms_key='"trial"',
        files=(),
        submitted_by="author",
        supersede_key=None,
        learner_submitted_at=None,
        priority=TRIAL_PRIORITY,
    )
    with desk.storage.write() as tx:
        submissions.insert_new(tx, new)
    roll_at(desk, 65)
    assert minutes(desk) == []


def test_workers_of_hosts_that_live_and_the_wanted_number_are_kept(desk: Desk) -> None:
    desk.clock.advance(60)
    with desk.storage.write() as tx:
        for host, age_s in (("well", 39), ("silent", 41)):
            beat_at = START + timedelta(seconds=60 - age_s)
            _announce(tx, host, beat_at)
    desk.clock.advance(5)  # 44 s and 46 s by now
    history.roll(desk.storage, desired=lambda: {QUEUE: 7})
    assert [(m.workers, m.desired) for m in minutes(desk)] == [(2, 7)]


def _announce(tx: Transaction, host: str, beat_at: datetime) -> None:
    tx.run(
        insert(worker_hosts),
        host=host,
        account_id=1,
        pid=1,
        version="1",
        backend="docker",
        cpus=2,
        started_at=beat_at,
        beat_at=beat_at,
    )
    for name in ("a", "b"):
        tx.run(
            insert(workers),
            host=host,
            name=name,
            pid=2,
            queue=QUEUE,
            state="idle",
            since=beat_at,
        )


def test_after_an_outage_counts_are_made_up_and_what_stood_there_is_unknown(desk: Desk) -> None:
    desk.submit()
    desk.clock.advance(60)
    desk.submit()
    desk.put(desk.lease())

    assert roll_at(desk, 185) == 3

    assert [(m.arrived, m.graded, m.queued, m.workers) for m in minutes(desk)] == [
        (1, 0, None, None),
        (1, 1, None, None),
        (0, 0, 1, 0),
    ]


def test_no_more_than_a_day_is_made_up(desk: Desk) -> None:
    desk.submit()
    desk.clock.advance(2 * 3600)
    desk.submit()
    assert roll_at(desk, 25 * 3600 + 5) == 24 * 60
    counted = [(m.minute, m.arrived) for m in minutes(desk) if m.arrived]
    assert counted == [(START + timedelta(hours=2), 1)]


def test_a_clock_that_was_a_year_ahead_does_not_stop_the_history_for_a_year(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "CATCH_UP_S", 60)
    desk.submit()
    roll_at(desk, 365 * 24 * 3600)
    roll_at(desk, 605)
    desk.submit()
    assert roll_at(desk, 665) == 1
    assert (START + timedelta(minutes=10), 1) in [(m.minute, m.arrived) for m in minutes(desk)]


def test_a_clock_that_was_a_little_ahead_is_waited_for(desk: Desk) -> None:
    roll_at(desk, 600 + 65)
    assert roll_at(desk, 65) == 0
    desk.submit()
    assert roll_at(desk, 600 + 125) == 1


def test_more_arrivals_than_are_read_at_once_are_all_counted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_ARRIVALS", load._ARRIVALS.limit(2))
    monkeypatch.setattr(load, "ARRIVALS_AT_ONCE", 2)
    for _ in range(7):
        desk.submit()
    desk.clock.advance(60)
    for _ in range(5):
        desk.submit()
    roll_at(desk, 125)
    assert [m.arrived for m in minutes(desk)] == [7, 5]


def test_several_sweepers_write_each_minute_once(desk: Desk) -> None:
    for minute in range(6):
        desk.submit()
        desk.clock.advance(60 if minute < 5 else 65)
    together = Barrier(3)

    def roll(_: int) -> int:
        together.wait()
        return history.roll(desk.storage)

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(roll, range(3))) == 6
    assert [m.arrived for m in minutes(desk)] == [1] * 6


def test_an_ending_sweeper_leaves_the_rest_to_others(desk: Desk) -> None:
    desk.clock.advance(600)
    assert history.roll(desk.storage, is_ending=lambda: True) == 0
    assert history.roll(desk.storage) > 0


def test_longer_steps_add_up_counts_and_keep_the_highest_standing(desk: Desk) -> None:
    row = LoadMinute(
        queue=QUEUE,
        minute=START,
        arrived=3,
        graded=2,
        service_us=10,
        service_sq_s2=0.5,
        wait_us=7,
        longest_wait_us=5,
        queued=4,
        leased=1,
        oldest_us=60,
        workers=2,
        desired=3,
    )
    with desk.storage.write() as tx:
        load.store(tx, row)
        load.store(tx, replace(row, minute=START + timedelta(minutes=4), queued=9))
        load.store(
            tx,
            replace(row, minute=START + timedelta(minutes=5), queued=None, workers=None, arrived=1),
        )
    with desk.storage.read() as tx:
        steps = load.steps(tx, QUEUE, START, LATER, step_s=300)
    assert steps == [
        replace(
            row,
            arrived=6,
            graded=4,
            service_us=20,
            service_sq_s2=1.0,
            wait_us=14,
            queued=9,
        ),
        replace(row, minute=START + timedelta(minutes=5), arrived=1, queued=None, workers=None),
    ]


def test_a_range_begins_with_its_first_minute_and_ends_before_its_last(desk: Desk) -> None:
    for minute in range(3):
        desk.submit()
        roll_at(desk, 60 * minute + 65)
    with desk.storage.read() as tx:
        middle = load.minutes(tx, None, START + timedelta(minutes=1), START + timedelta(minutes=2))
    assert [m.minute for m in middle] == [START + timedelta(minutes=1)]
