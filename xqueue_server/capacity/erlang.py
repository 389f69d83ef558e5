"""How long submissions wait for one of c workers: Erlang's formulae, safe for any c.

`load` is the offered load, arrivals per second times seconds of service: the number of workers that
would be busy all the time. `variability` is (ca2 + cs2) / 2, with the squared coefficients of
variation of the gaps between arrivals and of service times: 1 for Poisson arrivals and exponential
service (Allen-Cunneen's approximation for all others).
"""

from __future__ import annotations

import math
from itertools import count
from statistics import NormalDist

LARGE = 10_000.0
"""Offered load up to which the exact formulae are worth their steps, one for each worker."""


def erlang_b(workers: int, load: float) -> float:
    """The share of arrivals that find all workers busy, if none waits."""
    blocked = 1.0
    for k in range(1, workers + 1):
        blocked = _next_blocked(blocked, k, load)
    return blocked


def erlang_c(workers: int, load: float) -> float:
    """The share of arrivals that must wait; 1 if there is more work than the workers can do.

    Beyond `LARGE` by the limit of Halfin and Whitt (1981).
    """
    if LARGE < load < workers:
        spare, normal = (workers - load) / math.sqrt(load), NormalDist()
        return normal.pdf(spare) / (normal.pdf(spare) + spare * normal.cdf(spare))
    return _waiting(workers, load, erlang_b(workers, load))


def p_wait_over(
    t_s: float, workers: int, load: float, service_s: float, variability: float = 1.0
) -> float:
    """P(wait > t)."""
    return _p_over(t_s, workers, load, service_s, variability, erlang_c(workers, load))


def mean_wait_s(workers: int, load: float, service_s: float, variability: float = 1.0) -> float:
    """Over all arrivals, those that need not wait included; infinite if work piles up."""
    if load >= workers:
        return math.inf
    return erlang_c(workers, load) * variability * service_s / (workers - load)


def wait_percentile_s(
    percent: float, workers: int, load: float, service_s: float, variability: float = 1.0
) -> float:
    """What so many percent of arrivals wait at most; infinite if work piles up."""
    if load >= workers:
        return math.inf
    waiting, longer = erlang_c(workers, load), 1 - percent / 100
    if waiting <= longer:
        return 0.0
    return variability * service_s / (workers - load) * math.log(waiting / longer)


def workers_for(
    load: float,
    service_s: float,
    *,
    target_s: float = 30.0,
    p_over: float = 0.05,
    variability: float = 1.0,
) -> int:
    """The fewest for P(wait > target) <= p_over; none for no load.

    Beyond `LARGE`, those for P(wait > 0) by the square-root rule, which are a few more.
    """
    if load <= 0 or service_s <= 0:
        return 0
    if load > LARGE:
        return math.ceil(load + NormalDist().inv_cdf(1 - p_over) * math.sqrt(load))
    blocked = 1.0
    for workers in count(1):
        blocked = _next_blocked(blocked, workers, load)
        waiting = _waiting(workers, load, blocked)
        if _p_over(target_s, workers, load, service_s, variability, waiting) <= p_over:
            return workers
    raise AssertionError("unreachable")


def drain_s(waiting: float, workers: int, load: float, service_s: float) -> float:
    """Until a backlog is gone while others still arrive; infinite if it never is."""
    if waiting <= 0:
        return 0.0
    return waiting * service_s / (workers - load) if workers > load else math.inf


def workers_to_drain(waiting: float, load: float, service_s: float, within_s: float) -> int:
    """The fewest that clear a backlog in time while others still arrive."""
    return math.ceil(load + waiting * service_s / within_s)


def _next_blocked(blocked: float, workers: int, load: float) -> float:
    """B(k) from B(k-1): no factorial, so nothing overflows."""
    return load * blocked / (workers + load * blocked)


def _waiting(workers: int, load: float, blocked: float) -> float:
    if load >= workers:
        return 1.0
    return blocked / (1 - load / workers * (1 - blocked))


def _p_over(
    t_s: float, workers: int, load: float, service_s: float, variability: float, waiting: float
) -> float:
    if load >= workers:
        return 1.0
    if variability <= 0:
        return waiting if t_s <= 0 else 0.0
    return waiting * math.exp(-(workers - load) * t_s / (service_s * variability))
