"""An origin that is down: its callbacks wait, others do not, and one probe at a time looks."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import func, select

from tests.delivery.lms import Reply, running_lms
from tests.delivery.outbox_data import (
    NO_ANSWER,
    FakeTransport,
    deliver_now,
    http_transport,
    new_deliverer,
    put_messages,
    states,
)
from xqueue_server.callbacks.delivery import Deliverer, replay_origin
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage, breakers, callbacks, open_storage
from xqueue_server.storage.breakers import PARKED_S, PROBE_EVERY_S
from xqueue_server.storage.callbacks import ONCE_NOW
from xqueue_server.storage.schema import IS_PENDING
from xqueue_server.storage.schema import callbacks as table

DOWN, UP = "http://down", "http://up"


def is_open(storage: Storage, origin: str = DOWN) -> bool:
    with storage.read() as tx:
        return origin in breakers.open_origins(tx)


def open_breaker(storage: Storage, deliverer: Deliverer) -> list[int]:
    ids = put_messages(storage, DOWN, *[f"first {n}" for n in range(5)])
    assert deliver_now(deliverer) == 5
    assert is_open(storage)
    return ids


@pytest.mark.parametrize("failure", [NO_ANSWER, 500, 503])
def test_five_failures_within_a_minute_open_it(storage: Storage, failure: int) -> None:
    transport = FakeTransport(lambda _: failure)
    deliverer = new_deliverer(storage, transport)
    put_messages(storage, DOWN, *"abcd")
    deliver_now(deliverer)
    assert not is_open(storage)
    put_messages(storage, DOWN, "e")
    deliver_now(deliverer)
    assert is_open(storage)
    deliverer.close()


@pytest.mark.parametrize("answer", [301, 401, 404, 429])
def test_an_origin_that_answers_does_not_open_it(storage: Storage, answer: int) -> None:
    deliverer = new_deliverer(storage, FakeTransport(lambda _: answer))
    put_messages(storage, DOWN, *"abcdefgh")
    deliver_now(deliverer)
    assert not is_open(storage)
    deliverer.close()


def test_failures_that_are_spread_out_do_not_open_it(storage: Storage, clock: ManualClock) -> None:
    transport = FakeTransport(lambda _: 500)
    deliverer = new_deliverer(storage, transport)
    put_messages(storage, DOWN, "a")
    for tries in range(1, 9):
        deliver_now(deliverer)
        assert len(transport.sent) == tries
        assert not is_open(storage)
        clock.advance(3600)
    deliverer.close()


def test_a_success_between_them_starts_the_count_anew(storage: Storage) -> None:
    deliverer = new_deliverer(
        storage, FakeTransport(lambda due: 200 if due.body == "good" else 500)
    )
    for message in ("a", "b", "c", "good", "d", "e"):
        put_messages(storage, DOWN, message)
        deliver_now(deliverer)
    assert not is_open(storage)
    deliverer.close()


def test_while_open_nothing_is_sent_but_one_probe_at_a_time(
    storage: Storage, clock: ManualClock
) -> None:
    transport = FakeTransport(lambda _: NO_ANSWER)
    deliverer = new_deliverer(storage, transport)
    open_breaker(storage, deliverer)
    put_messages(storage, DOWN, *[f"later {n}" for n in range(20)])
    for _ in range(10):
        sent_before = len(transport.sent)
        clock.advance(PROBE_EVERY_S[1] - 1)
        deliver_now(deliverer)
        assert len(transport.sent) == sent_before
        clock.advance(1)
        deliver_now(deliverer)
        assert len(transport.sent) == sent_before + 1
    deliverer.close()


def test_a_probe_takes_one_that_was_tried_least_so_that_a_poisonous_one_blocks_nobody(
    storage: Storage, clock: ManualClock
) -> None:
    transport = FakeTransport(lambda due: 200 if due.body == "fresh" else 500)
    deliverer = new_deliverer(storage, transport)
    open_breaker(storage, deliverer)
    [fresh] = put_messages(storage, DOWN, "fresh")
    deliver_now(deliverer)
    clock.advance(PROBE_EVERY_S[1])
    deliverer.begin_due()
    deliverer.settle()
    assert states(storage, [fresh]) == ["delivered"]
    assert not is_open(storage)
    deliverer.close()


def test_a_new_callback_is_the_probe_at_once_when_one_is_allowed(
    storage: Storage, clock: ManualClock
) -> None:
    transport = FakeTransport(lambda _: NO_ANSWER)
    deliverer = new_deliverer(storage, transport)
    ids = open_breaker(storage, deliverer)
    with storage.write() as tx:
        callbacks.cancel_superseded(tx, ids, actor="t")
    clock.advance(3600)
    assert deliver_now(deliverer) == 0
    transport.answer = lambda _: 200
    [new] = put_messages(storage, DOWN, "new")
    assert deliver_now(deliverer) == 1
    assert states(storage, [new]) == ["delivered"]
    assert not is_open(storage)
    deliverer.close()


def test_closing_lets_a_few_go_at_once(storage: Storage, clock: ManualClock) -> None:
    transport = FakeTransport(lambda _: NO_ANSWER)
    deliverer = new_deliverer(storage, transport)
    ids = open_breaker(storage, deliverer)
    clock.advance(PROBE_EVERY_S[1])
    transport.answer = lambda _: 200
    deliver_now(deliverer)
    clock.advance(0.1)
    deliver_now(deliverer)
    assert set(states(storage, ids)) == {"delivered"}
    deliverer.close()


def test_closing_spreads_a_big_backlog_over_a_minute_oldest_first(
    storage: Storage, clock: ManualClock
) -> None:
    transport = FakeTransport(lambda _: NO_ANSWER)
    deliverer = new_deliverer(storage, transport, total=1, per_origin=1)
    open_breaker(storage, deliverer)
    waiting = put_messages(storage, DOWN, *[f"{n:05}" for n in range(6000)])
    deliver_now(deliverer)
    clock.advance(PROBE_EVERY_S[1])
    transport.answer = lambda _: 200
    deliver_now(deliverer)
    assert not is_open(storage)
    counts = []
    for _ in range(6):
        clock.advance(10)
        counts.append(_due_count(storage))
    assert counts == sorted(counts)
    assert 900 <= counts[0] <= 1100
    assert counts[-1] >= 5900
    transport.sent.clear()
    for _ in range(20):
        deliverer.begin_due()
        deliverer.settle()
    numbered = [message for message in transport.sent if message.isdigit()]
    assert numbered == sorted(numbered)
    assert len(waiting) == 6000
    deliverer.close()


def _due_count(storage: Storage) -> int:
    with storage.read() as tx:
        statement = select(func.count()).where(IS_PENDING, table.c.next_at <= ONCE_NOW)
        return int(tx.scalar(statement, now=tx.now))


def test_two_deliverers_agree_and_only_one_of_them_probes(
    storage: Storage, database_url: str, clock: ManualClock
) -> None:
    here, there = FakeTransport(lambda _: NO_ANSWER), FakeTransport(lambda _: NO_ANSWER)
    other_storage = open_storage(database_url, clock=clock)
    first = new_deliverer(storage, here)
    second = new_deliverer(other_storage, there)
    open_breaker(storage, first)
    assert deliver_now(second) == 0
    for _ in range(5):
        clock.advance(PROBE_EVERY_S[1])
        assert deliver_now(second) + deliver_now(first) == 1
    there.answer = lambda _: 200
    clock.advance(PROBE_EVERY_S[1])
    deliver_now(second)
    assert not is_open(storage)
    first.close()
    second.close()
    other_storage.close()


def test_a_probe_that_was_never_finished_is_followed_by_another(
    storage: Storage, clock: ManualClock
) -> None:
    transport = FakeTransport(lambda _: NO_ANSWER)
    deliverer = new_deliverer(storage, transport)
    open_breaker(storage, deliverer)
    clock.advance(PROBE_EVERY_S[1])
    with storage.write() as tx:  # a deliverer that is killed right after this
        assert breakers.take_probe(tx, DOWN, next_probe_us=30_000_000)
    assert deliver_now(deliverer) == 0
    clock.advance(30)
    assert deliver_now(deliverer) == 1
    deliverer.close()


def test_an_outage_of_hours_loses_nothing_and_everything_arrives_when_it_ends(
    storage: Storage, clock: ManualClock
) -> None:
    transport = FakeTransport(lambda _: NO_ANSWER)
    deliverer = new_deliverer(storage, transport)
    ids = []
    for hour in range(6):
        ids += put_messages(storage, DOWN, *[f"{hour}.{n}" for n in range(10)])
        for _ in range(60):
            clock.advance(60)
            deliver_now(deliverer)
    assert set(states(storage, ids)) == {"pending"}
    transport.answer = lambda _: 200
    for _ in range(100):
        clock.advance(1)
        deliver_now(deliverer)
    assert set(states(storage, ids)) == {"delivered"}
    deliverer.close()


def test_after_three_days_behind_an_open_breaker_callbacks_are_dead_and_replayable(
    storage: Storage, clock: ManualClock
) -> None:
    transport = FakeTransport(lambda _: NO_ANSWER)
    deliverer = new_deliverer(storage, transport)
    ids = put_messages(storage, DOWN, *[f"{n}" for n in range(20)])
    deliver_now(deliverer)
    for _ in range(73):
        clock.advance(3600)
        deliver_now(deliverer)
    assert set(states(storage, ids)) == {"dead"}
    assert replay_origin(storage, DOWN, actor="operator ann") == 20
    transport.answer = lambda _: 200
    for _ in range(PARKED_S):
        clock.advance(1)
        deliver_now(deliverer)
    assert set(states(storage, ids)) == {"delivered"}
    deliverer.close()


def test_an_origin_that_hangs_delays_no_other(storage: Storage) -> None:
    may_end = threading.Event()
    with running_lms() as hung, running_lms() as well:
        hung.answer = lambda _: Reply(wait_for=may_end)
        deliverer = new_deliverer(storage, http_transport(), total=32, per_origin=8)
        put_messages(storage, hung.origin, *[f"{n}" for n in range(100)])
        deliverer.begin_due()
        deliverer.begin_due()
        good = put_messages(storage, well.origin, *[f"{n}" for n in range(40)])
        until = time.monotonic() + 25  # those that hang are given up after 30 s
        while set(states(storage, good)) != {"delivered"}:
            assert time.monotonic() < until
            deliverer.begin_due()
        assert len(hung.received) <= 8
        may_end.set()
        deliverer.settle()
        deliverer.close()
