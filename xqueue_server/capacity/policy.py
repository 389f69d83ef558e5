"""How many workers a queue should have now, and why.

The most of what is foreseen (deadlines, the usual hour) and what is seen (arrivals of the last
minutes, what waits, what runs). Up at once; down only from a number that has stood for a while.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from xqueue_server.capacity import erlang
from xqueue_server.capacity.arrivals import Rush, expected_between, peak_between

HOLD_MIN = 5
"""Minutes for which a number must have been desired before it may go down."""
RECENT_MIN = 5
"""Minutes whose arrivals make the present rate."""
CORRECTION_MIN = 60
"""Minutes whose arrivals, against what the law expected, correct its N."""
MOST_CORRECTION = 4.0
"""N is not wrong by a greater factor: then it is other work, which has no rush."""
_CHANCE = 2.0
"""Standard deviations that a count may be above what was expected and still be no news."""
_DOUBT = 10.0
"""Arrivals as expected that are added to both sides of that ratio: a handful proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How long a grading keeps a worker busy."""

    mean_s: float
    cv2: float = 1.0
    """Squared coefficient of variation: 0 always the same, 1 as if exponential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aims:
    target_s: float = 30.0
    """Few shall wait longer, and what waits shall be gone within it..."""
    p_over: float = 0.05
    """...few: this share at most."""
    start_up_s: float = 90.0
    """From asking for a worker until it grades."""
    decision_s: float = 60.0
    """Until asked again."""
    unhurried_drain_s: float = 3600.0
    """In which what nobody waits for shall be gone: regrades, bulk."""

    @property
    def look_ahead_s(self) -> float:
        """Until workers that the next decision asks for are there."""
        return self.start_up_s + self.decision_s


USUAL_AIMS = Aims()


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known of a queue at one moment (seconds since any fixed instant)."""

    queue: str
    now_s: float
    waiting: int
    running: int
    service: Service
    unhurried: int = 0
    """Waiting too, but for nobody in front of a page."""
    arrivals: Sequence[int] = ()
    """In each of the last whole minutes, the latest last; empty: not known."""
    arrivals_until_s: float = 0.0
    rushes: Sequence[Rush] = ()
    usual_per_min: float = 0.0
    recent_desired: Sequence[int] = ()
    """What was desired in each of the last `HOLD_MIN` minutes, the latest last; empty: not known,
    so nothing is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    queue: str
    workers: int
    reason: str
    """One sentence for people."""
    inputs: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Need:
    name: str
    workers: int
    because: str


def desired(situation: Situation, aims: Aims = USUAL_AIMS) -> Desired:
    """The workers that the queue should have, all hosts together, those that start included."""
    correction = _correction(situation)
    foreseen = correction * peak_between(
        situation.rushes,
        situation.usual_per_min,
        situation.now_s,
        situation.now_s + aims.look_ahead_s,
    )
    recent = _recent_per_min(situation)
    surprise = _surprise(recent, correction, situation)
    load = max(foreseen, surprise) * situation.service.mean_s / 60
    needs = (
        _Need("running", situation.running, f"{situation.running} are being graded now"),
        _Need("recent", _for_rate(surprise, situation, aims), _recently(recent, situation)),
        _Need("foreseen", _for_rate(foreseen, situation, aims), _expected(foreseen, situation)),
        _Need("backlog", _for_backlog(load, situation, aims), _backlog(situation)),
    )
    need = max(needs, key=lambda each: each.workers)
    held = _held(situation.recent_desired)
    return Desired(
        queue=situation.queue,
        workers=max(need.workers, held),
        reason=_kept(held, need) if held > need.workers else _sentence(need),
        inputs={
            "waiting": situation.waiting,
            "unhurried": situation.unhurried,
            "running": situation.running,
            "service_s": situation.service.mean_s,
            "service_cv2": situation.service.cv2,
            "recent_per_min": recent,
            "expected_per_min": foreseen,
            "correction": correction,
            "deadlines": len(situation.rushes),
            **{f"for_{each.name}": each.workers for each in needs},
            "need": need.workers,
            "held": held,
        },
    )


def _correction(situation: Situation) -> float:
    """Seen / expected: the law's form is trusted, its N is not."""
    seen = situation.arrivals[-CORRECTION_MIN:]
    expected = _expected_in(len(seen), situation)
    if not seen or expected <= 0:
        return 1.0
    ratio = (sum(seen) + _DOUBT) / (expected + _DOUBT)
    return min(max(ratio, 1 / MOST_CORRECTION), MOST_CORRECTION)


def _expected_in(minutes: int, situation: Situation) -> float:
    """In the last so many minutes of which the arrivals are known."""
    until_s = situation.arrivals_until_s
    return expected_between(
        situation.rushes, situation.usual_per_min, until_s - 60 * minutes, until_s
    )


def _recent_per_min(situation: Situation) -> float:
    seen = situation.arrivals[-RECENT_MIN:]
    return sum(seen) / len(seen) if seen else 0.0


def _surprise(recent: float, correction: float, situation: Situation) -> float:
    """The present rate if it is more than was expected of these minutes and than chance makes of
    that; else 0: then what is foreseen counts alone, also when it is less (after a deadline)."""
    minutes = min(RECENT_MIN, len(situation.arrivals))
    expected = correction * _expected_in(minutes, situation)
    is_more = recent * minutes > expected + _CHANCE * math.sqrt(expected)
    return recent if is_more else 0.0


def _for_rate(per_min: float, situation: Situation, aims: Aims) -> int:
    service = situation.service
    return erlang.workers_for(
        per_min / 60 * service.mean_s,
        service.mean_s,
        target_s=aims.target_s,
        p_over=aims.p_over,
        variability=(1 + service.cv2) / 2,
    )


def _for_backlog(load: float, situation: Situation, aims: Aims) -> int:
    hurried = situation.waiting * situation.service.mean_s / aims.target_s
    unhurried = situation.unhurried * situation.service.mean_s / aims.unhurried_drain_s
    if not situation.waiting and not situation.unhurried:
        return 0
    return max(1, math.ceil(load + hurried + unhurried))


def _held(recent: Sequence[int]) -> int:
    """The number below which it may not go yet."""
    if not recent:
        return 0
    has_stood = len(recent) >= HOLD_MIN and len(set(recent[-HOLD_MIN:])) == 1
    return 0 if has_stood else recent[-1]


# -- in words ------------------------------------------------------------------------------------


def _sentence(need: _Need) -> str:
    if need.workers == 0:
        return "No workers: nothing waits, nothing is being graded, nothing is expected."
    return f"{_workers(need.workers)}: {need.because}."


def _kept(held: int, need: _Need) -> str:
    return (
        f"{_workers(held)}: kept until {HOLD_MIN} minutes have passed without a change; "
        f"now {need.workers} would do."
    )


def _workers(count: int) -> str:
    return f"{count} worker{'' if count == 1 else 's'}"


def _recently(per_min: float, situation: Situation) -> str:
    minutes = min(RECENT_MIN, len(situation.arrivals))
    return f"{per_min:.3g} a minute arrived in the last {minutes} min, {_each(situation)}"


def _expected(per_min: float, situation: Situation) -> str:
    coming = [r.deadline_s - situation.now_s for r in situation.rushes]
    nearest = min((left for left in coming if left > 0), default=None)
    before = f"before the deadline in {_duration(nearest)}" if nearest else "as usual at this hour"
    return f"{per_min:.3g} a minute are expected {before}, {_each(situation)}"


def _backlog(situation: Situation) -> str:
    also = f" and {situation.unhurried} regrades or bulk" if situation.unhurried else ""
    return f"{situation.waiting} wait{also}, {_each(situation)}, while others arrive"


def _each(situation: Situation) -> str:
    return f"each takes {situation.service.mean_s:.3g} s"


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
