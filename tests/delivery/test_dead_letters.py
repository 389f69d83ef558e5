"""What people see of the outbox, and sending dead callbacks again."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from tests.delivery.outbox_data import (
    FakeTransport,
    deliver_now,
    new_callback,
    new_deliverer,
    put,
    put_messages,
    row,
    states,
)
from xqueue_server.callbacks.delivery import replay_origin
from xqueue_server.errors import Conflict, NotFound
from xqueue_server.instant import ManualClock, from_datetime, to_datetime
from xqueue_server.models.callback import CallbackState
from xqueue_server.storage import Storage, callbacks, events
from xqueue_server.storage.schema import callbacks as table
from xqueue_server.transport import Outcome

LMS, OTHER = "http://lms", "http://other"


def bury(storage: Storage) -> None:
    """Everything that is due dies, as its origin is not allowed."""
    deliverer = new_deliverer(storage, FakeTransport(), allows_origin=lambda _: False)
    deliver_now(deliverer)
    deliverer.close()


def test_a_dead_callback_is_replayed_from_the_start_of_the_schedule(
    storage: Storage, clock: ManualClock
) -> None:
    [one] = put(storage, new_callback(LMS, submission_id=9))
    bury(storage)
    clock.advance(80 * 3600)
    with storage.write() as tx:
        callbacks.replay(tx, one, actor="operator ann")
    deliverer = new_deliverer(storage, FakeTransport(lambda _: 500))
    deliver_now(deliverer)
    deliverer.close()
    found = row(storage, one)
    assert (found.state, found.attempt) == (CallbackState.PENDING, 1)
    assert found.next_at is not None
    assert from_datetime(found.next_at) - storage.now_us() == 2_000_000
    with storage.read() as tx:
        assert len(callbacks.attempts_of(tx, one)) == 2
        changes = [(e.from_state, e.to_state, e.actor, e.why) for e in events.of_submission(tx, 9)]
    assert changes == [
        ("pending", "dead", "deliver", "not_sent"),
        ("dead", "pending", "operator ann", "replayed"),
    ]


def test_only_a_dead_callback_can_be_replayed(storage: Storage) -> None:
    [one] = put(storage, new_callback(LMS))
    with pytest.raises(Conflict, match=r"is pending; only a dead one"), storage.write() as tx:
        callbacks.replay(tx, one, actor="a")
    with pytest.raises(NotFound), storage.write() as tx:
        callbacks.replay(tx, 12345, actor="a")


def test_all_dead_callbacks_of_an_origin_are_replayed_however_many(storage: Storage) -> None:
    count = callbacks.REPLAY_BATCH + 3
    ids = put_messages(storage, LMS, *["x"] * count)
    others = put_messages(storage, OTHER, "x")
    with storage.write() as tx:
        tx.run(update(table).values(state="dead", next_at=None, finished_at=table.c.created_at))
    assert replay_origin(storage, LMS, actor="operator ann") == count
    with storage.read() as tx:
        assert [b.count for b in callbacks.backlog(tx)] == [count, len(others)]
    assert states(storage, ids[-1:]) == ["pending"]


def test_replayed_callbacks_are_sent_in_their_order(storage: Storage) -> None:
    put(storage, *[new_callback(LMS, message, key="same") for message in "abc"])
    bury(storage)
    replay_origin(storage, LMS, actor="a")
    transport = FakeTransport()
    deliverer = new_deliverer(storage, transport)
    deliver_now(deliverer)
    deliverer.close()
    assert transport.sent == ["a", "b", "c"]


def test_replaying_an_origin_since_a_moment_leaves_older_dead_ones(
    storage: Storage, clock: ManualClock
) -> None:
    old = put_messages(storage, LMS, "old")
    bury(storage)
    clock.advance(60)
    since = to_datetime(storage.now_us())
    new = put_messages(storage, LMS, "new")
    bury(storage)
    assert replay_origin(storage, LMS, actor="a", since=since) == 1
    assert states(storage, old + new) == ["dead", "pending"]


def test_the_list_is_newest_first_and_can_be_narrowed_and_paged(storage: Storage) -> None:
    dead = put_messages(storage, LMS, "a", "b") + put_messages(storage, OTHER, "c")
    bury(storage)
    pending = put_messages(storage, LMS, "d")
    with storage.read() as tx:
        assert [c.id for c in callbacks.latest(tx)] == [*pending, *dead[::-1]]
        assert [c.id for c in callbacks.latest(tx, state=CallbackState.DEAD)] == dead[::-1]
        assert [c.id for c in callbacks.latest(tx, origin=OTHER)] == dead[2:]
        page = callbacks.latest(tx, state=CallbackState.DEAD, origin=LMS, limit=1, before=dead[1])
    assert [c.id for c in page] == dead[:1]


def test_the_backlog_counts_pending_and_dead_per_origin(
    storage: Storage, clock: ManualClock
) -> None:
    put_messages(storage, LMS, "a", "b")
    bury(storage)
    clock.advance(10)
    put_messages(storage, OTHER, "c")
    with storage.read() as tx:
        found = [(b.origin, b.state.value, b.count) for b in callbacks.backlog(tx)]
        oldest = callbacks.backlog(tx)[0].oldest_at
    assert found == [(OTHER, "pending", 1), (LMS, "dead", 2)]
    assert from_datetime(oldest) == storage.now_us()


def test_the_callbacks_of_a_submission_are_listed_oldest_first(storage: Storage) -> None:
    ids = put(storage, *[new_callback(LMS, submission_id=3) for _ in range(3)])
    put(storage, new_callback(LMS, submission_id=4))
    with storage.read() as tx:
        assert [c.id for c in callbacks.of_submission(tx, 3)] == ids


def test_a_response_is_kept_up_to_2_kb(storage: Storage) -> None:
    [one] = put_messages(storage, LMS, "a")
    transport = FakeTransport(lambda _: Outcome(status=500, response="x" * 9000 + "\0"))
    deliverer = new_deliverer(storage, transport)
    deliver_now(deliverer)
    deliverer.close()
    with storage.read() as tx:
        [attempt] = callbacks.attempts_of(tx, one)
    assert attempt.response == "x" * 2048
