"""Workers by hour until a deadline, what learners then wait, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from xqueue_server.capacity import erlang
from xqueue_server.capacity.arrivals import Rush, expected_between, peak_between
from xqueue_server.capacity.policy import USUAL_AIMS, Aims, Service

LAST_STEP_S = 900.0
"""The last hour, in which the rate changes most, is planned in quarters."""
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A stretch of time with one number of workers (seconds since any fixed instant)."""

    from_s: float
    to_s: float
    expected: float
    """Submissions in it."""
    peak_per_min: float
    workers: int
    wait_p95_s: float
    """At its peak."""

    @property
    def worker_hours(self) -> float:
        return self.workers * (self.to_s - self.from_s) / _HOUR_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    steps: Sequence[Step]

    @property
    def expected(self) -> float:
        return sum(step.expected for step in self.steps)

    @property
    def most_workers(self) -> int:
        return max((step.workers for step in self.steps), default=0)

    @property
    def worker_hours(self) -> float:
        return sum(step.worker_hours for step in self.steps)

    @property
    def worker_hours_at_most_workers(self) -> float:
        """What the highest number would cost all the time."""
        return sum(step.to_s - step.from_s for step in self.steps) / _HOUR_S * self.most_workers


def make_plan(
    rushes: Sequence[Rush],
    service: Service,
    *,
    from_s: float,
    until_s: float,
    usual_per_min: Callable[[float], float] = lambda _: 0.0,
    aims: Aims = USUAL_AIMS,
) -> Plan:
    """Each step is staffed for its peak: by hour, counted back from `until_s`.

    `usual_per_min` tells what arrives besides, at a moment.
    """
    return Plan(
        steps=tuple(
            _step(rushes, usual_per_min(begin), service, begin, end, aims)
            for begin, end in _spans(from_s, until_s)
        )
    )


def _spans(from_s: float, until_s: float) -> Iterator[tuple[float, float]]:
    ends = [until_s - LAST_STEP_S * quarter for quarter in range(4)]
    while ends[-1] > from_s:
        ends.append(ends[-1] - (LAST_STEP_S if len(ends) < 5 else _HOUR_S))
    kept = [end for end in reversed(ends) if end > from_s]
    yield from zip([from_s, *kept], kept, strict=False)


def _step(
    rushes: Sequence[Rush], usual: float, service: Service, begin: float, end: float, aims: Aims
) -> Step:
    peak = peak_between(rushes, usual, begin, end)
    load = peak / 60 * service.mean_s
    variability = (1 + service.cv2) / 2
    workers = erlang.workers_for(
        load,
        service.mean_s,
        target_s=aims.target_s,
        p_over=aims.p_over,
        variability=variability,
    )
    return Step(
        from_s=begin,
        to_s=end,
        expected=expected_between(rushes, usual, begin, end),
        peak_per_min=peak,
        workers=workers,
        wait_p95_s=erlang.wait_percentile_s(95, workers, load, service.mean_s, variability)
        if workers
        else 0.0,
    )
