"""Erlang's formulae against published values, plain sums, and a simulation."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xqueue_server.capacity import erlang


@pytest.mark.parametrize(
    ("service_s", "workers"), [(5, (2, 6, 18)), (15, (4, 17, 52)), (30, (7, 33, 103))]
)
def test_workers_for_5_percent_over_30_seconds(service_s: float, workers: tuple[int, ...]) -> None:
    """At 10, 60 and 200 submissions a minute."""
    loads = [per_min / 60 * service_s for per_min in (10, 60, 200)]
    assert tuple(erlang.workers_for(load, service_s) for load in loads) == workers


def test_blocking_is_that_of_erlangs_tables() -> None:
    """Offered loads at which 1 % are blocked."""
    for workers, load in ((1, 0.0101), (5, 1.3608), (10, 4.4612), (50, 37.901), (100, 84.064)):
        assert erlang.erlang_b(workers, load) == pytest.approx(0.01, rel=0.002)


@pytest.mark.parametrize(("workers", "load"), [(1, 0.3), (4, 2.5), (12, 11.0), (40, 30.0)])
def test_waiting_is_that_of_the_defining_sum(workers: int, load: float) -> None:
    last = load**workers / math.factorial(workers) * workers / (workers - load)
    below = sum(load**k / math.factorial(k) for k in range(workers))
    assert erlang.erlang_c(workers, load) == pytest.approx(last / (below + last))


def test_one_worker_is_the_plain_queue() -> None:
    """M/M/1 at 60 % and service of 10 s: mean wait rho S / (1 - rho)."""
    assert erlang.mean_wait_s(1, 0.6, 10) == pytest.approx(15)
    assert erlang.p_wait_over(0, 1, 0.6, 10) == pytest.approx(0.6)
    assert erlang.mean_wait_s(1, 0.6, 10, variability=0.5) == pytest.approx(7.5)


def test_more_work_than_workers_piles_up() -> None:
    assert erlang.erlang_c(3, 3.0) == 1
    assert erlang.p_wait_over(1e9, 3, 4.0, 10) == 1
    assert erlang.mean_wait_s(3, 3.0, 10) == math.inf
    assert erlang.wait_percentile_s(95, 3, 3.0, 10) == math.inf
    assert erlang.drain_s(10, 3, 3.0, 10) == math.inf


def test_thousands_of_workers_neither_overflow_nor_vanish() -> None:
    workers = erlang.workers_for(5_000.0, 30)
    assert 5_000 < workers < 5_150
    assert 0 < erlang.erlang_c(workers, 5_000.0) < 1
    assert erlang.erlang_c(5_000, 0.01) == 0
    assert erlang.erlang_b(2_000, 1e-300) == 0


def test_a_percentile_is_where_the_tail_says() -> None:
    at_95 = erlang.wait_percentile_s(95, 9, 7.0, 20, 0.8)
    assert erlang.p_wait_over(at_95, 9, 7.0, 20, 0.8) == pytest.approx(0.05)
    assert erlang.wait_percentile_s(95, 30, 7.0, 20) == 0


def test_a_backlog_drains_with_what_is_left_of_the_workers() -> None:
    assert erlang.drain_s(120, 10, 4.0, 30) == 600
    assert erlang.workers_to_drain(120, 4.0, 30, within_s=600) == 10
    assert erlang.drain_s(0, 0, 5.0, 30) == 0


@settings(deadline=None)
@given(
    load=st.floats(0.01, 200), service_s=st.floats(0.1, 600), target_s=st.floats(0.1, 600),
    p_over=st.floats(0.001, 0.5),
)  # fmt: skip
def test_the_workers_found_are_the_fewest(
    load: float, service_s: float, target_s: float, p_over: float
) -> None:
    workers = erlang.workers_for(load, service_s, target_s=target_s, p_over=p_over)
    assert erlang.p_wait_over(target_s, workers, load, service_s) <= p_over
    assert erlang.p_wait_over(target_s, workers - 1, load, service_s) > p_over


def test_the_rule_for_large_loads_continues_the_exact_numbers() -> None:
    """With some more to spare, and without counting to a hundred million."""
    exact = erlang.workers_for(erlang.LARGE, 30)
    rule = erlang.workers_for(erlang.LARGE + 1e-6, 30)
    assert exact <= rule <= exact * 1.02
    assert erlang.workers_for(1.5e8, 30) == pytest.approx(1.5e8, rel=1e-3)


def test_the_share_that_waits_goes_over_into_the_limit() -> None:
    for spare in (0.5, 1.5, 2.5):
        workers = round(erlang.LARGE + spare * erlang.LARGE**0.5)
        exact = erlang.erlang_c(workers, erlang.LARGE)
        assert erlang.erlang_c(workers, erlang.LARGE + 1e-6) == pytest.approx(exact, rel=0.05)


def test_no_load_needs_no_worker() -> None:
    assert erlang.workers_for(0.0, 30) == 0
    assert erlang.workers_for(1.0, 0.0) == 0


# -- against a simulation ------------------------------------------------------------------------


def simulated_waits(
    workers: int, gap_s: Callable[[], float], service_s: Callable[[], float], count: int
) -> list[float]:
    """First come, first served; the beginning, when all are idle, is left out."""
    free_at = [0.0] * workers
    now, waits = 0.0, []
    for _ in range(count):
        now += gap_s()
        begin = max(now, heapq.heappop(free_at))
        waits.append(begin - now)
        heapq.heappush(free_at, begin + service_s())
    return waits[count // 10 :]


@pytest.mark.parametrize(("workers", "load"), [(3, 2.4), (12, 10.0)])
def test_waits_are_those_of_a_simulation(workers: int, load: float) -> None:
    source = random.Random(5)
    waits = simulated_waits(
        workers,
        lambda: source.expovariate(load / 10),
        lambda: source.expovariate(1 / 10),
        200_000,
    )
    over = sum(wait > 10 for wait in waits) / len(waits)
    assert over == pytest.approx(erlang.p_wait_over(10, workers, load, 10), rel=0.1)
    mean = sum(waits) / len(waits)
    assert mean == pytest.approx(erlang.mean_wait_s(workers, load, 10), rel=0.1)


def test_steadier_service_waits_less_as_allen_and_cunneen_say() -> None:
    source = random.Random(6)
    waits = simulated_waits(4, lambda: source.expovariate(0.32), lambda: 10.0, 200_000)
    expected = erlang.mean_wait_s(4, 3.2, 10, variability=0.5)
    assert sum(waits) / len(waits) == pytest.approx(expected, rel=0.1)
