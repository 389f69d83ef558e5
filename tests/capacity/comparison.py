"""The policies side by side in the same rushes: what `make bench` prints, tests hold, docs show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.capacity.policies import fixed, keda, ours, prairielearn, wrong
from tests.capacity.simulation import SIX_THOUSAND, Outcome, Policy, Scenario, simulate

SEEDS = tuple(range(1, 11))
OTHER_SEEDS = tuple(range(1001, 1201))
"""On which nothing was chosen: they show how single runs differ."""
SERVICES_S = (10.0, 30.0)
KNOWN = "ours, deadline known"
UNKNOWN = "ours, no deadline known"
PRAIRIELEARN = "PrairieLearn's rule"
KEDA = "KEDA-like, 5 per replica"

POLICIES: Mapping[str, Callable[[], Policy]] = {
    "fixed 10": lambda: fixed(10),
    "fixed 20": lambda: fixed(20),
    "fixed 40": lambda: fixed(40),
    PRAIRIELEARN: prairielearn,
    KEDA: keda,
    KNOWN: lambda: ours(SIX_THOUSAND),
    "ours, told half of N": lambda: ours(wrong(SIX_THOUSAND, submissions_by=0.5)),
    "ours, told twice N": lambda: ours(wrong(SIX_THOUSAND, submissions_by=2)),
    "ours, d0 taken for 5": lambda: ours(wrong(SIX_THOUSAND, d0_min=5)),
    "ours, d0 taken for 60": lambda: ours(wrong(SIX_THOUSAND, d0_min=60)),
    UNKNOWN: lambda: ours(None),
}
"""A policy may remember, so each run gets its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    policy: str
    service_s: float
    p95_s: float
    """Means over the seeds, as all of these are."""
    highest_p95_s: float
    """Of any seed."""
    longest_s: float
    worker_hours: float
    peak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one seed made of a policy."""

    p95_s: float
    worker_hours: float


def runs(policy: str, service_s: float, seeds: Sequence[int]) -> list[Run]:
    outcomes = (
        simulate(Scenario(service_s=service_s, seed=seed), POLICIES[policy]()) for seed in seeds
    )
    return [Run(p95_s=each.wait_s(95), worker_hours=each.worker_hours) for each in outcomes]


def compare(
    service_s: float, names: Sequence[str] = tuple(POLICIES), seeds: Sequence[int] = SEEDS
) -> list[Row]:
    return [_row(name, service_s, seeds) for name in names]


def _row(name: str, service_s: float, seeds: Sequence[int]) -> Row:
    outcomes = [
        simulate(Scenario(service_s=service_s, seed=seed), POLICIES[name]()) for seed in seeds
    ]
    return Row(
        policy=name,
        service_s=service_s,
        p95_s=_mean(outcomes, lambda each: each.wait_s(95)),
        highest_p95_s=max(each.wait_s(95) for each in outcomes),
        longest_s=_mean(outcomes, lambda each: each.wait_s(100)),
        worker_hours=_mean(outcomes, lambda each: each.worker_hours),
        peak=_mean(outcomes, lambda each: each.peak),
    )


def _mean(outcomes: Sequence[Outcome], of: Callable[[Outcome], float]) -> float:
    return sum(map(of, outcomes)) / len(outcomes)
