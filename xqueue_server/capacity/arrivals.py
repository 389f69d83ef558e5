"""When submissions arrive: the rush before a deadline, and what comes on any other day.

People act with a pressure of 1 / (time left): Alfi, Parisi, Pietronero, Nature Physics 3, 746
(2007). The regulariser d0, in minutes, keeps the last minute finite; the smaller it is, the sharper
the rush.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

USUAL_D0_MIN = 15.0
"""Assumed where a queue's own past says too little..."""
EXAM_D0_MIN = 5.0
"""...and this at the end of an exam, which all write at the same time."""
EXAM_WINDOW_MIN = 6 * 60.0
"""A window of at most so long is one."""
WEEK_MIN = 7 * 24 * 60.0
LEAST_D0_MIN, MOST_D0_MIN = 1.0, 240.0
LEAST_ARRIVALS = 100
"""Fewer before all past deadlines together say nothing about d0."""
LEAST_SURENESS = 2.0
"""A fit that may be wrong by more than this factor (one standard error) is not used."""
_SEARCH_STEPS = 60
_GOLDEN = (math.sqrt(5) - 1) / 2
_DAY_S = 86_400
_WEEK_S = 7 * _DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """The submissions of one deadline; `left_min` is the time left until it, in minutes.

    rate(left) = N / (ln((T + d0) / d0) * (left + d0)) within the window T, nothing outside.
    """

    submissions: float
    """N, expected in all."""
    window_min: float = WEEK_MIN
    """T, from the opening to the deadline."""
    d0_min: float = USUAL_D0_MIN

    def rate(self, left_min: float) -> float:
        """Submissions per minute."""
        if not 0 <= left_min <= self.window_min:
            return 0.0
        return self.submissions / (self._log_span() * (left_min + self.d0_min))

    def to_come(self, left_min: float) -> float:
        """Of all submissions, those that are still to come."""
        left = min(max(left_min, 0.0), self.window_min)
        return self.submissions * math.log((left + self.d0_min) / self.d0_min) / self._log_span()

    def arrived(self, left_min: float) -> float:
        """Of all submissions, those that have come."""
        return self.submissions - self.to_come(left_min)

    def between(self, from_left_min: float, to_left_min: float) -> float:
        """Expected from one moment to a later one (whose time left is less)."""
        return max(0.0, self.to_come(from_left_min) - self.to_come(to_left_min))

    def peak_between(self, from_left_min: float, to_left_min: float) -> float:
        """The highest rate in that window: at its end, or at the deadline if that comes first."""
        if from_left_min < 0 or to_left_min > self.window_min:
            return 0.0
        return self.rate(max(to_left_min, 0.0))

    @property
    def peak(self) -> float:
        """Submissions per minute at the deadline itself."""
        return self.rate(0.0)

    def _log_span(self) -> float:
        return math.log((self.window_min + self.d0_min) / self.d0_min)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rush:
    """A law put on the time axis: seconds since any fixed instant."""

    deadline_s: float
    law: Law

    def between(self, from_s: float, to_s: float) -> float:
        return self.law.between(self._left_min(from_s), self._left_min(to_s))

    def peak_between(self, from_s: float, to_s: float) -> float:
        """Submissions per minute."""
        return self.law.peak_between(self._left_min(from_s), self._left_min(to_s))

    def _left_min(self, moment_s: float) -> float:
        return (self.deadline_s - moment_s) / 60


def expected_between(
    rushes: Iterable[Rush], usual_per_min: float, from_s: float, to_s: float
) -> float:
    """Submissions of several deadlines and of any other day, in a window."""
    return sum(rush.between(from_s, to_s) for rush in rushes) + usual_per_min * (to_s - from_s) / 60


def peak_between(rushes: Iterable[Rush], usual_per_min: float, from_s: float, to_s: float) -> float:
    """Submissions per minute, at most; rushes that peak at different times are still added."""
    return sum(rush.peak_between(from_s, to_s) for rush in rushes) + usual_per_min


def is_exam(window_min: float) -> bool:
    return window_min <= EXAM_WINDOW_MIN


def assumed_d0_min(window_min: float) -> float:
    return EXAM_D0_MIN if is_exam(window_min) else USUAL_D0_MIN


# -- d0 from the past ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRush:
    """What came before one deadline that is over."""

    by_minute: Mapping[int, int]
    """Whole minutes left (0: the last minute) -> arrivals."""
    seen_min: int
    """How far back `by_minute` reaches; beyond it nothing is known."""
    window_min: float = WEEK_MIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    d0_min: float
    is_fitted: bool
    """False: `d0_min` is assumed, for the reason given."""
    arrivals: int
    """On which it rests."""
    sureness: float | None
    """The true d0 is likely between d0 / this and d0 * this (one standard error); None: unknown."""
    submissions: tuple[float, ...]
    """N of each past rush, with what came before it was seen."""
    reason: str


def fit(rushes: Sequence[PastRush], *, otherwise_min: float = USUAL_D0_MIN) -> Fit:
    """The most likely d0 of past rushes taken together, and each one's N.

    Within what was seen, a minute's share of the arrivals depends on d0 alone, so N needs no
    guess. `otherwise_min` is d0 where they say too little.
    """
    arrivals = sum(_seen(rush) for rush in rushes)
    together = _together(rushes)
    if arrivals < LEAST_ARRIVALS:
        return _unfitted(rushes, arrivals, otherwise_min, "are too few")
    best = _most_likely(together)
    sureness = _sureness(together, best)
    if sureness is None or sureness > LEAST_SURENESS:
        return _unfitted(rushes, arrivals, otherwise_min, "would fit many values")
    return Fit(
        d0_min=best,
        is_fitted=True,
        arrivals=arrivals,
        sureness=sureness,
        submissions=_totals(rushes, best),
        reason=f"fitted to {_count(arrivals)}",
    )


def _count(arrivals: int) -> str:
    return f"{arrivals} arrivals before past deadlines"


def _unfitted(rushes: Sequence[PastRush], arrivals: int, d0_min: float, why: str) -> Fit:
    return Fit(
        d0_min=d0_min,
        is_fitted=False,
        arrivals=arrivals,
        sureness=None,
        submissions=_totals(rushes, d0_min),
        reason=f"assumed: {_count(arrivals)} {why}",
    )


def _seen(rush: PastRush) -> int:
    return sum(n for minute, n in rush.by_minute.items() if 0 <= minute < rush.seen_min)


@dataclass(frozen=True, slots=True)
class _Together:
    """All that the likelihood needs of several rushes."""

    by_minute: Mapping[int, int]
    by_seen_min: Mapping[int, int]


def _together(rushes: Sequence[PastRush]) -> _Together:
    by_minute: Counter[int] = Counter()
    by_seen_min: Counter[int] = Counter()
    for rush in rushes:
        seen = {m: n for m, n in rush.by_minute.items() if 0 <= m < rush.seen_min}
        by_minute.update(seen)
        by_seen_min[rush.seen_min] += sum(seen.values())
    return _Together(by_minute, by_seen_min)


def _log_likelihood(rushes: _Together, d0: float) -> float:
    minutes = sum(
        count * math.log(math.log1p(1 / (minute + d0)))
        for minute, count in rushes.by_minute.items()
    )
    return minutes - sum(
        count * math.log(math.log((seen_min + d0) / d0))
        for seen_min, count in rushes.by_seen_min.items()
        if count
    )


def _most_likely(rushes: _Together) -> float:
    """Golden-section search over ln d0."""
    low, high = math.log(LEAST_D0_MIN), math.log(MOST_D0_MIN)
    for _ in range(_SEARCH_STEPS):
        span = _GOLDEN * (high - low)
        if _log_likelihood(rushes, math.exp(high - span)) > _log_likelihood(
            rushes, math.exp(low + span)
        ):
            high = low + span
        else:
            low = high - span
        if high - low < 1e-3:
            break
    return math.exp((low + high) / 2)


def _sureness(rushes: _Together, d0: float) -> float | None:
    """From the curvature at the maximum; None at an end of the search, where there is none."""
    step = 0.05
    if not LEAST_D0_MIN * math.exp(step) < d0 < MOST_D0_MIN * math.exp(-step):
        return None
    left, middle, right = (
        _log_likelihood(rushes, d0 * math.exp(shift)) for shift in (-step, 0.0, step)
    )
    curvature = (2 * middle - left - right) / step**2
    return math.exp(1 / math.sqrt(curvature)) if curvature > 0 else None


def _totals(rushes: Sequence[PastRush], d0: float) -> tuple[float, ...]:
    shapes = (Law(submissions=1.0, window_min=r.window_min, d0_min=d0) for r in rushes)
    return tuple(
        _seen(rush) / shape.to_come(rush.seen_min) if rush.seen_min > 0 else 0.0
        for rush, shape in zip(rushes, shapes, strict=True)
    )


# -- any other day -------------------------------------------------------------------------------


def same_hours_before(moment_s: float, weeks: int, deadlines_s: Sequence[float]) -> list[float]:
    """Beginnings of the same hour of earlier weeks, without those in a rush's last day."""
    hour = moment_s - moment_s % 3600
    starts = (hour - week * _WEEK_S for week in range(1, weeks + 1))
    return [s for s in starts if not any(s <= d <= s + _DAY_S for d in deadlines_s)]


def usual_per_min(arrivals_of_hours: Sequence[int]) -> float:
    """The median of such hours, per minute; 0 without any."""
    return statistics.median(arrivals_of_hours) / 60 if arrivals_of_hours else 0.0
