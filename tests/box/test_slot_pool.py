"""Which slots are used again, without an engine: containers that only say what they should."""

import itertools
from types import SimpleNamespace

import pytest

from sandbox.backends.docker.frame_aligned import FrameAlignedChannel
from sandbox.backends.docker.settings import SlotSettings
from sandbox.backends.docker.slot_pool import CLEAN_S, LIFETIME_S, SlotPool
from sandbox.conversation import await_ready
from sandbox.supervisor import frames

READY = frames.encode({"type": "ready"})
UNCLEAN = frames.encode({"type": "unclean", "why": "x"})


class SaidBefore:
    """A channel on which everything has been said already; it ends, or is silent, after that."""

    def __init__(self, said=b"", *, ended=False, at_once=65536):
        self.said = said
        self.ended = ended
        self.at_once = at_once

    def receive(self, timeout_s):
        if not self.said and not self.ended:
            raise TimeoutError
        data, self.said = self.said[: self.at_once], self.said[self.at_once :]
        return data

    def is_silent(self):
        return not self.said and not self.ended

    stderr = ""


class Engine:
    """Starts and removes containers that are numbers."""

    def __init__(self):
        self.now = 1000.0
        self.numbers = itertools.count()
        self.removed = []

    def start(self, spec, lasting_s):
        return SimpleNamespace(
            container_id=f"{next(self.numbers)}",
            channel=SaidBefore(),
            expires_at=self.now + lasting_s + 60,
        )

    def remove(self, container):
        self.removed.append(container.container_id)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def open_pool(engine):
    def open_one(**settings):
        return SlotPool(
            SlotSettings(**settings),
            engine.start,
            engine.remove,
            clock=lambda: engine.now,
            wall_clock=lambda: engine.now,
        )

    return open_one


def use(pool, says=READY, *, spec="python", ended=False):
    """One run, after which the slot says that; gives the slot's number."""
    slot = pool.borrow(spec, 30)
    slot.container.channel.said += says
    slot.container.channel.ended = ended
    pool.give_back(slot)
    return slot.container.container_id


def test_a_clean_slot_serves_run_after_run(open_pool, engine):
    pool = open_pool()
    assert [use(pool) for _ in range(5)] == ["0"] * 5
    assert engine.removed == []


@pytest.mark.parametrize(
    ("says", "ended"),
    [(UNCLEAN, True), (b"", True), (b"", False), (READY + READY, False), (b"junk!", True)],
    ids=["unclean", "gone", "silent", "says more", "junk"],
)
def test_a_slot_that_does_not_say_ready_and_nothing_else_is_thrown_away(
    open_pool, engine, says, ended
):
    pool = open_pool()
    use(pool, says, ended=ended)
    assert use(pool) == "1"
    assert engine.removed == ["0"]


def test_a_slot_is_thrown_away_after_its_last_use(open_pool, engine):
    pool = open_pool(uses=3)
    assert [use(pool) for _ in range(4)] == ["0", "0", "0", "1"]
    assert engine.removed == ["0"]


def test_slots_of_another_kind_are_not_used(open_pool):
    pool = open_pool()
    assert [use(pool, spec="python"), use(pool, spec="c"), use(pool, spec="python")] == [
        "0",
        "1",
        "0",
    ]


def test_a_slot_whose_label_will_expire_within_the_run_is_not_used(open_pool, engine):
    pool = open_pool()
    use(pool)
    engine.now += LIFETIME_S + 5
    assert use(pool) == "1"
    assert engine.removed == ["0"]


def test_no_more_slots_wait_than_are_allowed(open_pool, engine):
    pool = open_pool(most_waiting=2)
    slots = [pool.borrow("python", 30) for _ in range(3)]
    for slot in slots:
        engine.now += 1
        slot.container.channel.said += READY
        pool.give_back(slot)
    assert engine.removed == ["0"]
    assert pool.counters["slots_waiting"] == 2


def test_tending_removes_the_unwanted_and_the_dirty_and_keeps_the_rest(open_pool, engine):
    pool = open_pool(idle_expiry_s=100)
    slots = [pool.borrow("python", 30) for _ in range(3)]
    for slot, says in zip(slots, (READY, UNCLEAN, READY), strict=True):
        slot.container.channel.said += says
        pool.give_back(slot)
    pool.tend()
    assert engine.removed == []  # they may still be cleaning up
    engine.now += CLEAN_S + 1
    pool.tend()
    assert engine.removed == ["1"]
    engine.now += 100
    pool.tend()
    assert sorted(engine.removed) == ["0", "1", "2"]


def test_closing_removes_all_that_wait_and_all_that_come_back(open_pool, engine):
    pool = open_pool()
    use(pool)
    busy = pool.start("python", 30)
    pool.close()
    assert engine.removed == ["0"]
    pool.give_back(busy)
    assert engine.removed == ["0", "1"]


@pytest.mark.parametrize("at_once", [1, 3, 7, 1000])
def test_frames_are_given_one_at_a_time_however_they_arrive(at_once):
    said = [frames.encode({"type": "a", "n": n}) for n in range(3)]
    source = SaidBefore(b"".join(said) + READY, at_once=at_once)
    channel = FrameAlignedChannel(source)
    decoder = frames.FrameDecoder()
    for n in range(3):
        while (frame := decoder.next_frame()) is None:
            decoder.feed(channel.receive(1))
        assert frame["n"] == n
        assert decoder.next_frame() is None
    await_ready(channel, 1)
    assert channel.is_silent()


def test_a_stream_that_ends_within_a_frame_has_ended(open_pool):
    channel = FrameAlignedChannel(SaidBefore(b"\0\0", ended=True))
    assert channel.receive(1) == b""
