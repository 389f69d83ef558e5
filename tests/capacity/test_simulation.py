"""The policy before a simulated deadline, and the simulation itself. Seeded: no clock, no luck."""

from __future__ import annotations

import math

import pytest

from tests.capacity.comparison import KEDA, KNOWN, PRAIRIELEARN, UNKNOWN, Row, compare
from tests.capacity.policies import fixed
from tests.capacity.simulation import (
    DEADLINE_S,
    SIX_THOUSAND,
    Policy,
    Scenario,
    View,
    arrival_times,
    simulate,
)
from xqueue_server.capacity.arrivals import Rush
from xqueue_server.capacity.plan import Plan, make_plan
from xqueue_server.capacity.policy import Service

TOLD_WRONG = ("ours, told half of N", "ours, told twice N")
NAMES = (KNOWN, UNKNOWN, PRAIRIELEARN, KEDA, "fixed 10", "fixed 20", *TOLD_WRONG)


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """Of 30-second jobs."""
    return {row.policy: row for row in compare(30, NAMES)}


def test_six_thousand_learners_and_30_second_jobs(rows: dict[str, Row]) -> None:
    ours = rows[KNOWN]
    assert ours.p95_s <= 15
    assert ours.worker_hours <= 45


def test_a_wrong_n_costs_little(rows: dict[str, Row]) -> None:
    for name in TOLD_WRONG:
        assert rows[name].p95_s <= 20
        assert rows[name].worker_hours <= 46


def test_others_wait_longer_or_pay_more(rows: dict[str, Row]) -> None:
    ours = rows[KNOWN]
    assert rows[PRAIRIELEARN].worker_hours > 1.5 * ours.worker_hours
    assert rows[KEDA].p95_s > 5 * ours.p95_s
    assert rows["fixed 20"].worker_hours > 2.5 * ours.worker_hours
    assert rows["fixed 10"].p95_s > 600


def test_without_a_deadline_it_follows_what_arrives(rows: dict[str, Row]) -> None:
    assert rows[UNKNOWN].p95_s <= 30
    assert rows[UNKNOWN].worker_hours <= 48
    assert rows[UNKNOWN].p95_s > rows[KNOWN].p95_s


@pytest.mark.parametrize("service_s", [10.0, 30.0])
def test_a_plan_keeps_what_it_promises_for_each_of_its_steps(service_s: float) -> None:
    plan = make_plan(
        [Rush(deadline_s=DEADLINE_S, law=SIX_THOUSAND)],
        Service(mean_s=service_s),
        from_s=-8 * 3600,
        until_s=DEADLINE_S,
    )
    waits: list[list[float]] = [[] for _ in plan.steps]
    for seed in range(1, 11):
        scenario = Scenario(service_s=service_s, seed=seed)
        for arrived_s, wait_s in simulate(scenario, _followed(plan, scenario)).waits:
            for step, found in zip(plan.steps, waits, strict=True):
                if step.from_s <= arrived_s < step.to_s:
                    found.append(wait_s)
    for step, found in zip(plan.steps, waits, strict=True):
        if step.from_s >= -scenario.counted_s:
            ordered = sorted(found)
            assert ordered[math.ceil(0.95 * len(ordered)) - 1] <= step.wait_p95_s
            assert len(found) / 10 == pytest.approx(step.expected, rel=0.1)


def _followed(plan: Plan, scenario: Scenario) -> Policy:
    """As whoever starts workers by the plan's table does, in time for each step."""

    def workers(view: View) -> int:
        ahead_s = view.now_s + scenario.start_up_s + scenario.decision_s
        return next((s.workers for s in plan.steps if ahead_s < s.to_s), plan.steps[-1].workers)

    return workers


# -- the simulation itself -----------------------------------------------------------------------


def test_a_run_is_repeated_exactly() -> None:
    scenario = Scenario(service_s=10, seed=4)
    first, second = simulate(scenario, fixed(10)), simulate(scenario, fixed(10))
    assert first.waits == second.waits
    assert simulate(Scenario(service_s=10, seed=5), fixed(10)).waits != first.waits


def test_arrivals_are_those_of_the_law() -> None:
    counts = [
        sum(moment >= -3600 for moment in arrival_times(Scenario(service_s=10, seed=seed)))
        for seed in range(20)
    ]
    assert sum(counts) / len(counts) == pytest.approx(SIX_THOUSAND.to_come(60), rel=0.03)


def test_everything_that_arrives_is_graded_and_workers_are_paid_by_the_hour() -> None:
    scenario = Scenario(service_s=10, seed=1)
    outcome = simulate(scenario, fixed(20))
    assert len(outcome.waits) == sum(m >= -scenario.counted_s for m in arrival_times(scenario))
    assert outcome.worker_hours == pytest.approx(20 * 6.5)
    assert outcome.peak == 20


def test_a_worker_that_is_not_wanted_finishes_what_it_has() -> None:
    """From 40 to 1 at the deadline: those at work are paid until they are done."""

    def rule(view: View) -> int:
        return 40 if view.now_s < 0 else 1

    outcome = simulate(Scenario(service_s=30, seed=1), rule)
    after = [count for since, count in outcome.workers if since >= 0]
    assert after == sorted(after, reverse=True)
    assert 10 < after[0] < 40
    assert after[-1] == 1


def test_a_new_worker_grades_only_when_it_has_started() -> None:
    def rule(view: View) -> int:
        return 0 if view.now_s < -600 else 1000

    scenario = Scenario(service_s=1, seed=1, counted_s=600)
    waits = simulate(scenario, rule).waits
    assert max(wait for _, wait in waits) == pytest.approx(90, abs=15)
