"""The policy: what holds in every situation, and what it says of a few."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xqueue_server.capacity import erlang
from xqueue_server.capacity.arrivals import Law, Rush
from xqueue_server.capacity.policy import (
    HOLD_MIN,
    MOST_CORRECTION,
    RECENT_MIN,
    USUAL_AIMS,
    Service,
    Situation,
    desired,
)

SERVICE = Service(mean_s=30.0)
COUNTS = st.integers(0, 500)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def situation(**known: object) -> Situation:
    given_by_default = {
        "queue": "q", "now_s": 0.0, "waiting": 0, "running": 0, "service": SERVICE
    }  # fmt: skip
    return Situation(**(given_by_default | known))  # type: ignore[arg-type]


def rush(*, in_s: float = 600.0, submissions: float = 6_000) -> Rush:
    return Rush(deadline_s=in_s, law=Law(submissions=submissions))


situations = st.builds(
    Situation,
    queue=st.just("q"),
    now_s=st.just(0.0),
    waiting=COUNTS,
    running=COUNTS,
    unhurried=COUNTS,
    service=st.builds(Service, mean_s=st.floats(0.1, 300), cv2=st.floats(0, 4)),
    arrivals=st.lists(st.integers(0, 60), max_size=70),
    rushes=st.lists(
        st.builds(rush, in_s=st.floats(-7_200, 100_000), submissions=st.floats(1, 10_000)),
        max_size=3,
    ),
    usual_per_min=st.floats(0, 20),
    recent_desired=st.lists(COUNTS, max_size=HOLD_MIN),
)


# -- always --------------------------------------------------------------------------------------


@patient
@given(situations)
def test_nobody_who_grades_is_asked_away_and_somebody_comes_for_what_waits(now: Situation) -> None:
    found = desired(now)
    assert found.workers >= now.running
    assert found.workers >= 1 or not (now.waiting or now.unhurried)


@patient
@given(situations, COUNTS)
def test_more_that_waits_never_means_fewer_workers(now: Situation, more: int) -> None:
    longer = dataclasses.replace(now, waiting=now.waiting + more)
    assert desired(longer).workers >= desired(now).workers


@patient
@given(situations, COUNTS)
def test_more_that_runs_never_means_fewer_workers(now: Situation, more: int) -> None:
    busier = dataclasses.replace(now, running=now.running + more)
    assert desired(busier).workers >= desired(now).workers


@patient
@given(situations)
def test_the_number_is_the_greatest_need_or_what_is_held(now: Situation) -> None:
    found = desired(now)
    needs = [value for name, value in found.inputs.items() if name.startswith("for_")]
    assert found.inputs["need"] == max(needs)
    assert found.workers == max(max(needs), found.inputs["held"])


@patient
@given(situations)
def test_the_reason_says_the_number_and_names_what_decided(now: Situation) -> None:
    found = desired(now)
    if not found.workers:
        assert found.reason.startswith("No workers")
        return
    assert found.reason.startswith(f"{found.workers} worker")
    words = {
        "for_running": "are being graded now",
        "for_recent": "arrived in the last",
        "for_foreseen": "are expected",
        "for_backlog": "wait",
    }
    if found.inputs["held"] > found.inputs["need"]:
        assert "kept until" in found.reason
    else:
        deciding = [word for name, word in words.items() if found.inputs[name] == found.workers]
        assert any(word in found.reason for word in deciding)


@patient
@given(situations)
def test_it_never_goes_below_a_number_that_is_younger_than_the_hold(now: Situation) -> None:
    recent = [*now.recent_desired[-2:], 7, 9]
    assert desired(dataclasses.replace(now, recent_desired=recent)).workers >= 9


# -- in particular -------------------------------------------------------------------------------


def test_nothing_known_and_nothing_to_do_needs_nobody() -> None:
    found = desired(situation())
    assert (found.workers, found.reason) == (
        0,
        "No workers: nothing waits, nothing is being graded, nothing is expected.",
    )


def test_a_deadline_is_staffed_before_anything_arrives() -> None:
    """For the rate at the end of the look-ahead, not for the present one."""
    known = rush(in_s=600)
    found = desired(situation(rushes=[known]))
    rate = known.law.rate((600 - USUAL_AIMS.look_ahead_s) / 60)
    assert found.workers == erlang.workers_for(rate / 60 * 30, 30)
    assert "are expected before the deadline in 10 min" in found.reason


def expected_arrivals(known: Rush, *, times: float) -> Sequence[int]:
    minutes = range(-60, 0)
    return [round(times * known.between(60 * m, 60 * (m + 1))) for m in minutes]


@pytest.mark.parametrize("times", [0.5, 2.0])
def test_a_wrong_n_is_corrected_by_what_arrived(times: float) -> None:
    told, true = rush(in_s=900), rush(in_s=900, submissions=6_000 * times)
    arrivals = expected_arrivals(told, times=times)
    corrected = desired(situation(rushes=[told], arrivals=arrivals))
    right = desired(situation(rushes=[true], arrivals=arrivals))
    assert corrected.inputs["correction"] == pytest.approx(times, rel=0.05)
    assert corrected.workers == pytest.approx(right.workers, abs=1)


def test_other_work_gets_no_rush() -> None:
    """Much arrives that a small deadline does not explain: it counts as it is, not times the
    rush's growth."""
    small = Rush(deadline_s=300.0, law=Law(submissions=10, d0_min=5))
    busy = desired(situation(rushes=[small], arrivals=[20] * 60))
    assert busy.inputs["correction"] == MOST_CORRECTION
    assert busy.workers == desired(situation(arrivals=[20] * 60)).workers


def test_after_a_deadline_what_it_brought_is_no_news() -> None:
    known = rush(in_s=-60)
    arrivals = expected_arrivals(known, times=1.0)
    assert arrivals[-RECENT_MIN] > 40
    found = desired(situation(rushes=[known], arrivals=arrivals, running=3))
    assert found.workers == 3


def test_without_a_deadline_the_same_arrivals_are_news() -> None:
    arrivals = expected_arrivals(rush(in_s=-60), times=1.0)
    found = desired(situation(arrivals=arrivals))
    assert found.workers == erlang.workers_for(sum(arrivals[-5:]) / 300 * 30, 30)
    assert "arrived in the last 5 min" in found.reason


def test_regrades_wait_in_front_of_nobody() -> None:
    hurried = desired(situation(waiting=120))
    unhurried = desired(situation(unhurried=120))
    assert (hurried.workers, unhurried.workers) == (120, 1)
    assert "120 regrades or bulk" in unhurried.reason


def test_up_at_once_and_down_only_after_the_number_has_stood() -> None:
    assert desired(situation(running=9, recent_desired=[2] * HOLD_MIN)).workers == 9
    assert desired(situation(running=2, recent_desired=[9] * (HOLD_MIN - 1))).workers == 9
    assert desired(situation(running=2, recent_desired=[8, *[9] * (HOLD_MIN - 1)])).workers == 9
    assert desired(situation(running=2, recent_desired=[9] * HOLD_MIN)).workers == 2


def test_what_is_held_does_not_hold_itself_for_ever() -> None:
    recent: list[int] = [9]
    for _ in range(HOLD_MIN):
        recent.append(desired(situation(running=2, recent_desired=recent[-HOLD_MIN:])).workers)
    assert recent == [9] * HOLD_MIN + [2]
