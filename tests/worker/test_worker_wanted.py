"""How many workers are wanted, and whose word counts."""

from __future__ import annotations

import dataclasses

import pytest

from grader_worker.pool import Bounds, Pool
from grader_worker.wanted import LOWER_FOR_S, Autoscaler, Wanted
from tests.worker.fakes import FakeXQueue, pool


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def scaled() -> Pool:
    xqueue = FakeXQueue(url="http://x")
    return pool(xqueue, concurrency=2, autoscale=Bounds(least=1, most=8))


@pytest.fixture
def fixed(scaled) -> Pool:
    return dataclasses.replace(scaled, autoscale=None)


def test_the_settings_count_when_nobody_says_anything(fixed):
    assert Wanted(fixed).count == 2


def test_a_word_goes_before_the_settings_and_can_be_taken_back(fixed):
    wanted = Wanted(fixed)
    wanted.say(0)
    assert wanted.count == 0
    wanted.say(None)
    assert wanted.count == 2


def test_a_wish_counts_when_it_is_new_and_not_with_every_answer(fixed):
    wanted = Wanted(fixed)
    wanted.wish(5)
    wanted.say(3)
    wanted.wish(5)
    assert wanted.count == 3
    wanted.wish(6)
    assert wanted.count == 6


def test_the_same_wish_said_again_is_the_last_word(fixed):
    wanted = Wanted(fixed)
    wanted.wish(5, said_at="monday")
    wanted.say(3)
    wanted.wish(5, said_at="monday")
    assert wanted.count == 3
    wanted.wish(5, said_at="tuesday")
    assert wanted.count == 5


def test_a_wish_that_was_withdrawn_leaves_the_settings(fixed):
    wanted = Wanted(fixed)
    wanted.wish(5)
    wanted.wish(None)
    assert wanted.count == 2


def test_a_server_that_never_wished_anything_takes_no_word_back(fixed):
    wanted = Wanted(fixed)
    wanted.say(4)
    wanted.wish(None)
    assert wanted.count == 4


def test_a_number_that_was_changed_in_the_settings_is_the_last_word(fixed):
    wanted = Wanted(fixed)
    wanted.say(4)
    wanted.configure(fixed)
    assert wanted.count == 4
    wanted.configure(dataclasses.replace(fixed, concurrency=3))
    assert wanted.count == 3


def test_a_need_is_followed_up_at_once_and_within_the_bounds(scaled, clock):
    wanted = Wanted(scaled, clock=clock)
    counts = []
    for need in (3, 7, 100):
        wanted.need(need)
        counts.append(wanted.count)
    assert counts == [3, 7, 8]


def test_a_word_goes_before_the_need(scaled, clock):
    wanted = Wanted(scaled, clock=clock)
    wanted.say(0)
    wanted.need(5)
    assert (wanted.count, wanted.follows_need) == (0, False)
    wanted.say(None)
    assert (wanted.count, wanted.follows_need) == (5, True)


def test_the_start_is_within_the_bounds(scaled):
    wanted = Wanted(dataclasses.replace(scaled, autoscale=Bounds(least=4, most=8)))
    assert wanted.count == 4


def autoscaler(clock, start=6):
    return Autoscaler(Bounds(least=1, most=8), start, clock=clock)


def test_a_lower_need_is_followed_after_five_minutes_one_by_one(clock):
    scaler = autoscaler(clock)
    targets = []
    for now in (0, LOWER_FOR_S - 1, LOWER_FOR_S, LOWER_FOR_S + 10, LOWER_FOR_S + 20):
        clock.now = now
        scaler.need(4)
        targets.append(scaler.target)
    assert targets == [6, 6, 5, 4, 4]


def test_a_need_that_comes_back_within_five_minutes_keeps_the_workers(clock):
    scaler = autoscaler(clock)
    for now, need in ((0, 1), (200, 6), (201, 1), (LOWER_FOR_S + 200, 1)):
        clock.now = now
        scaler.need(need)
    assert scaler.target == 6
    clock.now = LOWER_FOR_S + 201
    scaler.need(1)
    assert scaler.target == 5


def test_nothing_goes_below_the_least(clock):
    scaler = autoscaler(clock, start=2)
    for now in range(0, 2000, 10):
        clock.now = now
        scaler.need(0)
    assert scaler.target == 1


def test_two_hosts_that_see_the_same_need_end_up_with_it(clock):
    """Each sees what the other had in its last beat."""
    one, other = autoscaler(clock, start=5), autoscaler(clock, start=5)
    for now in range(0, 1000, 10):
        clock.now = now
        one.need(max(0, 4 - other.target))
        other.need(max(0, 4 - one.target))
    assert one.target + other.target == 4
