"""The arrival law: its published figures, and its parameter found again in what it made."""

from __future__ import annotations

import math
import random

import pytest

from xqueue_server.capacity.arrivals import (
    MOST_D0_MIN,
    Law,
    PastRush,
    Rush,
    assumed_d0_min,
    expected_between,
    fit,
    peak_between,
    same_hours_before,
    usual_per_min,
)

WEEK_S = 7 * 86_400


@pytest.mark.parametrize(
    ("d0", "shares", "peak"),
    [
        (5, (14.4, 33.7, 47.5, 74.5), 158),
        (15, (7.8, 24.7, 39.4, 70.3), 61),
        (30, (4.9, 18.9, 33.4, 66.9), 34),
        (60, (3.0, 13.5, 27.0, 62.7), 19),
    ],
)
def test_shares_of_the_last_minutes_and_the_peak(
    d0: float, shares: tuple[float, ...], peak: int
) -> None:
    """In percent, of the last 10 minutes, hour, 3 hours and day of a week."""
    law = Law(submissions=6_000, d0_min=d0)
    found = tuple(round(law.to_come(left) / 60, 1) for left in (10, 60, 180, 1440))
    assert found == shares
    assert math.floor(law.peak + 0.5) == peak


def test_counts_are_the_integral_of_the_rate() -> None:
    law = Law(submissions=1_000, window_min=300, d0_min=7)
    step = 0.01
    summed = sum(law.rate(20 + step * (i + 0.5)) * step for i in range(10_000))
    assert law.between(120, 20) == pytest.approx(summed, rel=1e-6)
    assert law.arrived(20) + law.to_come(20) == pytest.approx(1_000)
    assert law.arrived(300) == pytest.approx(0)
    assert law.to_come(0) == 0


def test_nothing_arrives_outside_the_window() -> None:
    law = Law(submissions=100, window_min=60)
    assert [law.rate(left) for left in (-0.1, 60.1)] == [0, 0]
    assert law.between(1_000, -1_000) == pytest.approx(100)
    assert law.between(10, 20) == 0
    assert law.peak_between(-1, -2) == 0
    assert law.peak_between(100, 80) == 0


def test_a_window_over_the_deadline_has_the_peak_at_the_deadline() -> None:
    law = Law(submissions=100)
    assert law.peak_between(5, -5) == law.peak
    assert law.peak_between(50, 5) == law.rate(5)


def test_several_deadlines_and_the_usual_rate_add_up() -> None:
    law = Law(submissions=600, window_min=120)
    rushes = [Rush(deadline_s=0, law=law), Rush(deadline_s=0, law=law)]
    assert expected_between(rushes, 2.0, -7200, 0) == pytest.approx(1200 + 240)
    assert peak_between(rushes, 2.0, -600, 0) == pytest.approx(2 * law.peak + 2)


# -- fitting -------------------------------------------------------------------------------------


def drawn(law: Law, seen_min: int, seed: int) -> PastRush:
    """A rush as the history would have counted it."""
    source = random.Random(seed)
    ratio = (law.window_min + law.d0_min) / law.d0_min
    by_minute: dict[int, int] = {}
    for _ in range(round(law.submissions)):
        left = int(law.d0_min * (ratio ** source.random() - 1))
        by_minute[left] = by_minute.get(left, 0) + 1
    return PastRush(by_minute=by_minute, seen_min=seen_min, window_min=law.window_min)


@pytest.mark.parametrize("d0", [3, 8, 15, 40, 90])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_d0_and_n_are_found_again(d0: float, seed: int) -> None:
    law = Law(submissions=5_000, d0_min=d0)
    found = fit([drawn(law, 720, seed), drawn(law, 720, seed + 100)])
    assert found.is_fitted
    assert found.sureness is not None
    assert d0 / found.sureness**3 < found.d0_min < d0 * found.sureness**3
    assert found.sureness < 1.25
    assert list(found.submissions) == pytest.approx([5_000, 5_000], rel=0.2)
    assert "fitted to" in found.reason


def test_a_fit_is_the_maximum_of_the_likelihood() -> None:
    """Against a plain search through many values, with its own likelihood."""
    past = drawn(Law(submissions=3_000, d0_min=20), 600, seed=9)

    def likelihood(d0: float) -> float:
        whole = math.log((600 + d0) / d0)
        return sum(
            n * math.log(math.log((minute + 1 + d0) / (minute + d0)) / whole)
            for minute, n in past.by_minute.items()
            if minute < 600
        )

    best = max((x / 10 for x in range(50, 600)), key=likelihood)
    assert fit([past]).d0_min == pytest.approx(best, abs=0.1)


def test_too_few_arrivals_are_not_fitted_and_it_says_so() -> None:
    found = fit([PastRush(by_minute={0: 50, 30: 20}, seen_min=720)])
    assert (found.d0_min, found.is_fitted, found.arrivals) == (15, False, 70)
    assert found.reason == "assumed: 70 arrivals before past deadlines are too few"
    assert not fit([]).is_fitted
    assert fit([], otherwise_min=5).d0_min == 5


def test_arrivals_without_a_rush_are_not_fitted() -> None:
    """Evenly spread ones fit any large d0."""
    even = PastRush(by_minute=dict.fromkeys(range(720), 1), seen_min=720)
    found = fit([even])
    assert (found.d0_min, found.is_fitted) == (15, False)
    assert "would fit many values" in found.reason
    assert found.d0_min < MOST_D0_MIN


def test_the_end_of_an_exam_is_assumed_to_be_sharper() -> None:
    assert (assumed_d0_min(180), assumed_d0_min(7 * 1440)) == (5, 15)


# -- any other day -------------------------------------------------------------------------------


def test_the_same_hours_of_earlier_weeks_without_those_before_deadlines() -> None:
    moment = 10 * WEEK_S + 5_000
    assert same_hours_before(moment, 3, []) == [w * WEEK_S + 3600 for w in (9, 8, 7)]
    rush_at = 8 * WEEK_S + 3600 + 20 * 3600
    assert same_hours_before(moment, 3, [rush_at]) == [w * WEEK_S + 3600 for w in (9, 7)]


def test_the_usual_rate_is_the_median_of_hours() -> None:
    assert usual_per_min([60, 600, 120]) == 2
    assert usual_per_min([]) == 0
