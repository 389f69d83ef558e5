"""A periodic job is one caller's at a time, whoever else asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage, marks


def claim(storage: Storage) -> bool:
    with storage.write() as tx:
        return marks.claim(tx, "a job", every_s=60)


def test_a_job_is_claimed_once_in_its_period(storage: Storage, clock: ManualClock) -> None:
    assert [claim(storage), claim(storage)] == [True, False]
    clock.advance(59.999999)
    assert not claim(storage)
    clock.advance(0.000001)
    assert [claim(storage), claim(storage)] == [True, False]


def test_a_job_done_while_the_clock_was_ahead_is_due_again_when_it_is_right(
    storage: Storage, clock: ManualClock
) -> None:
    clock.advance(365 * 24 * 3600)
    assert claim(storage)
    clock.advance(-365 * 24 * 3600)
    assert [claim(storage), claim(storage)] == [True, False]


def test_of_several_that_ask_at_once_one_gets_the_job(storage: Storage) -> None:
    together = Barrier(4)

    def ask(_: int) -> bool:
        together.wait()
        return claim(storage)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(ask, range(4))) == [False, False, False, True]


def test_a_mark_stands_where_it_was_moved_to(storage: Storage) -> None:
    with storage.write() as tx:
        assert marks.position(tx, "a walk") is None
        assert marks.lock(tx, "a walk", start=7) == 7
        marks.move(tx, "a walk", 9)
        assert marks.lock(tx, "a walk", start=7) == marks.position(tx, "a walk") == 9
