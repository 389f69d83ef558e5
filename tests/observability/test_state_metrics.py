"""What the database knows, counted: queues, callbacks, breakers, workers, signs of life."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from tests.delivery.outbox_data import put_messages
from tests.observability.scrape import Scrape
from tests.server.builders import QUEUE, Desk, add_queue, lms_body
from xqueue_server.instant import ManualClock, to_datetime
from xqueue_server.storage import Storage
from xqueue_server.storage.operations_schema import load_minutes, worker_hosts, workers
from xqueue_server.upkeep.beating import DELIVER, heart
from xqueue_server.workload.state_metrics import KEPT_S, StateMetrics


class Eye:
    """A collector whose own clock a test moves, so that each look is a fresh one."""

    def __init__(self, storage: Storage, directory: Path) -> None:
        self.now = 0.0
        self._metrics = StateMetrics(
            storage, version="1.2.3", data_dir=directory, monotonic=lambda: self.now
        )

    def look(self, *, after_s: float = KEPT_S) -> Scrape:
        self.now += after_s
        return Scrape(self._metrics.exposition().decode())


@pytest.fixture
def eye(storage: Storage, tmp_path: Path) -> Eye:
    return Eye(storage, tmp_path)


def depth(shown: Scrape, queue: str = QUEUE) -> dict[str, float]:
    return {
        s.labels["state"]: s.value
        for s in shown.samples
        if s.name == "xqueue_queue_depth" and s.labels["queue"] == queue and s.value
    }


def submit(desk: Desk, n: int) -> int:
    """Each of another problem, so that none supersedes another."""
    return desk.submit(key=f"key {n}", body=lms_body(payload=f"part {n}"))


def test_depth_and_age_follow_the_submissions(desk: Desk, clock: ManualClock, eye: Eye) -> None:
    add_queue(desk.storage, "empty")
    for number in range(3):
        submit(desk, number)
        clock.advance(10)
    assert desk.try_lease() is not None
    shown = eye.look()
    assert depth(shown) == {"queued": 2, "leased": 1}
    assert shown.number("xqueue_oldest_queued_age_seconds", queue=QUEUE) == 20
    assert depth(shown, "empty") == {}
    assert shown.number("xqueue_oldest_queued_age_seconds", queue="empty") == 0


def test_the_database_is_asked_at_most_once_in_a_while(desk: Desk, eye: Eye) -> None:
    assert depth(eye.look()) == {}
    submit(desk, 1)
    assert depth(eye.look(after_s=KEPT_S - 0.1)) == {}
    assert depth(eye.look(after_s=0.1)) == {"queued": 1}


def test_callbacks_and_breakers_are_told_by_origin(storage: Storage, eye: Eye) -> None:
    put_messages(storage, "https://a.example.org", "1", "2")
    (dead,) = put_messages(storage, "https://b.example.org", "3")
    with storage.write() as tx:
        tx.run(text("UPDATE callbacks SET state = 'dead', next_at = NULL WHERE id = :id"), id=dead)
        tx.run(
            text(
                "INSERT INTO origins (origin, failures, open_since) "
                "VALUES ('https://a.example.org', 5, 1), ('https://c.example.org', 0, NULL)"
            )
        )
    shown = eye.look()
    told = {
        origin: [
            shown.number(f"xqueue_{name}", origin=f"https://{origin}.example.org")
            for name in ("callback_pending", "callback_dead", "breaker_open")
        ]
        for origin in "abc"
    }
    assert told == {"a": [2, 0, 1], "b": [0, 1, 0], "c": [0, 0, 0]}


def test_workers_of_hosts_that_have_fallen_silent_do_not_count(
    storage: Storage, clock: ManualClock, eye: Eye
) -> None:
    add_queue(storage)
    _announce(storage, clock, "gone", is_canary_ok=False)
    clock.advance(46)
    _announce(storage, clock, "here", is_canary_ok=True)
    shown = eye.look()
    assert shown.number("xqueue_workers", lane=QUEUE, state="grading") == 1
    assert shown.total("xqueue_workers") == 1
    assert shown.number("xqueue_worker_hosts", canary="ok") == 1
    assert shown.total("xqueue_worker_hosts") == 1


def _announce(storage: Storage, clock: ManualClock, host: str, *, is_canary_ok: bool) -> None:
    now = to_datetime(clock.now_us() or 0)
    with storage.write() as tx:
        tx.run(
            insert(worker_hosts),
            host=host,
            account_id=1,
            pid=1,
            version="1",
            backend="fake",
            is_canary_ok=is_canary_ok,
            cpus=1,
            started_at=now,
            beat_at=now,
        )
        tx.run(
            insert(workers),
            host=host,
            name=f"{host}-1",
            pid=2,
            queue=QUEUE,
            state="grading",
            since=now,
        )


def test_the_latest_need_of_workers_is_told_and_an_old_one_is_not(
    storage: Storage, clock: ManualClock, eye: Eye
) -> None:
    add_queue(storage)
    for desired in (7, 3):
        _note_minute(storage, clock, desired)
        clock.advance(60)
    assert eye.look().number("xqueue_desired_workers", lane=QUEUE) == 3
    clock.advance(300)
    assert eye.look().total("xqueue_desired_workers") == 0


def test_what_a_clock_that_was_ahead_has_left_hides_nothing(
    storage: Storage, clock: ManualClock, eye: Eye
) -> None:
    add_queue(storage)
    clock.advance(3600)
    _note_minute(storage, clock, 9)
    heart(storage, DELIVER)()
    clock.advance(-3600)
    _note_minute(storage, clock, 2)
    clock.advance(60)
    shown = eye.look()
    assert shown.number("xqueue_desired_workers", lane=QUEUE) == 2
    assert math.isinf(shown.number("xqueue_process_silent_seconds", process=DELIVER))


def _note_minute(storage: Storage, clock: ManualClock, desired: int) -> None:
    sums = ("arrived", "graded", "service_us", "service_sq_s2", "wait_us", "longest_wait_us")
    minute = to_datetime(clock.now_us() or 0)
    with storage.write() as tx:
        zeros = dict.fromkeys(sums, 0)
        tx.run(insert(load_minutes), queue=QUEUE, minute=minute, desired=desired, **zeros)


def test_a_process_is_silent_until_it_beats_and_again_when_it_stops(
    storage: Storage, clock: ManualClock, eye: Eye
) -> None:
    name = "xqueue_process_silent_seconds"
    assert math.isinf(eye.look().number(name, process=DELIVER))
    now = 0.0
    beat = heart(storage, DELIVER, monotonic=lambda: now)
    beat()
    clock.advance(30)
    assert eye.look().number(name, process=DELIVER) == 30
    beat()  # not due yet by its own clock
    assert eye.look().number(name, process=DELIVER) == 30
    now = 10.0
    beat()
    assert eye.look().number(name, process=DELIVER) == 0
    assert math.isinf(eye.look().number(name, process="sweep"))


def test_a_database_that_is_away_shows_as_that_and_not_as_peace(tmp_path: Path) -> None:
    from xqueue_server.storage import open_storage

    away = open_storage("postgresql://nobody:x@127.0.0.1:1/nothing")
    shown = Eye(away, tmp_path).look()
    away.close()
    assert shown.number("xqueue_database_up") == 0
    assert shown.number("xqueue_build_info", version="1.2.3") == 1
    assert "xqueue_queue_depth" not in shown.declared
