"""A queue and its workers before a deadline, event by event, under any policy.

Everything is drawn from one seed, so a run is repeated exactly; no clock, no process is involved.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from xqueue_server.capacity.arrivals import Law

DEADLINE_S = 0.0
SIX_THOUSAND = Law(submissions=6_000)
"""Learners with a week's time."""
WARM_UP_S = 3600.0
"""Before what is counted: the line and the policies' memories fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What happens, whatever the policy."""

    service_s: float
    seed: int
    law: Law = SIX_THOUSAND
    counted_s: float = 6 * 3600.0
    after_s: float = 1800.0
    start_up_s: float = 90.0
    decision_s: float = 60.0

    @property
    def begins_s(self) -> float:
        return DEADLINE_S - self.counted_s - WARM_UP_S


@dataclass(slots=True)
class View:
    """What a policy may know at a decision: nothing of what is to come."""

    now_s: float
    waiting: int
    running: int
    workers: int
    """Asked for: those that start included, those that only finish their last one not."""
    arrivals: Sequence[int]
    """Of each whole minute since the beginning."""
    served_s: Sequence[float]
    """How long each finished grading took."""


class Policy(Protocol):
    def __call__(self, view: View) -> int:
        """How many workers there should be."""


@dataclass(slots=True)
class Outcome:
    waits: list[tuple[float, float]] = field(default_factory=list)
    """(when it arrived, how long it waited) of everything counted, in seconds."""
    workers: list[tuple[float, int]] = field(default_factory=list)
    """(since when, how many were paid for)."""
    worker_hours: float = 0.0

    @property
    def peak(self) -> int:
        return max(count for _, count in self.workers)

    def wait_s(self, percent: float) -> float:
        ordered = sorted(wait for _, wait in self.waits)
        return ordered[min(len(ordered) - 1, math.ceil(percent / 100 * len(ordered)) - 1)]


def arrival_times(scenario: Scenario) -> list[float]:
    """Moments of the whole window drawn from the law; those since the beginning are kept."""
    law, source = scenario.law, random.Random(f"arrivals {scenario.seed}")
    ratio = (law.window_min + law.d0_min) / law.d0_min
    lefts = (law.d0_min * (ratio ** source.random() - 1) for _ in range(round(law.submissions)))
    times = sorted(DEADLINE_S - 60 * left for left in lefts)
    return times[bisect_left(times, scenario.begins_s) :]


def lognormal(mean_s: float, source: random.Random) -> float:
    """With a coefficient of variation of 1."""
    sigma2 = math.log(2)
    return source.lognormvariate(math.log(mean_s) - sigma2 / 2, math.sqrt(sigma2))


def simulate(scenario: Scenario, policy: Policy) -> Outcome:
    return _Run(scenario, policy).run()


_Event = tuple[float, int, Callable[[], None]]


class _Run:
    def __init__(self, scenario: Scenario, policy: Policy) -> None:
        self._scenario, self._policy = scenario, policy
        self._service = random.Random(f"service {scenario.seed}")
        self._now = scenario.begins_s
        self._events: list[_Event] = []
        self._count = 0
        self._waiting: deque[float] = deque()
        self._starting: list[int] = []
        self._idle = self._busy = self._leaving = 0
        self._arrivals = [0]
        self._served: list[float] = []
        self._paid_since = self._now
        self._outcome = Outcome()

    def run(self) -> Outcome:
        for moment in arrival_times(self._scenario):
            self._at(moment, self._arrive)
        self._idle = self._ask()
        self._note()
        self._at(self._now + self._scenario.decision_s, self._decide)
        end = DEADLINE_S + self._scenario.after_s
        while self._events and (self._events[0][0] <= end or self._waiting):
            self._now, _, act = heapq.heappop(self._events)
            act()
        self._pay(end)
        return self._outcome

    # -- what happens ----------------------------------------------------------------------------

    def _arrive(self) -> None:
        self._minute()
        self._arrivals[-1] += 1
        self._waiting.append(self._now)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._idle:
            arrived = self._waiting.popleft()
            if arrived >= DEADLINE_S - self._scenario.counted_s:
                self._outcome.waits.append((arrived, self._now - arrived))
            self._idle -= 1
            self._busy += 1
            taken = lognormal(self._scenario.service_s, self._service)
            self._at(self._now + taken, partial(self._finish, taken))

    def _finish(self, taken: float) -> None:
        self._served.append(taken)
        self._busy -= 1
        if self._leaving:
            self._leaving -= 1
            self._note()
        else:
            self._idle += 1
            self._hand_out()

    def _started(self, worker: int) -> None:
        if worker in self._starting:  # else it was let go before
            self._starting.remove(worker)
            self._idle += 1
            self._hand_out()

    def _decide(self) -> None:
        self._minute()
        change = self._ask() - self._wanted()
        if change > 0:
            self._start(change)
        elif change < 0:
            self._let_go(-change)
        if self._now < DEADLINE_S + self._scenario.after_s or self._waiting:
            self._at(self._now + self._scenario.decision_s, self._decide)

    # -- workers ---------------------------------------------------------------------------------

    def _wanted(self) -> int:
        return len(self._starting) + self._idle + self._busy - self._leaving

    def _start(self, count: int) -> None:
        ready_at = self._now + self._scenario.start_up_s
        for worker in range(self._count, self._count + count):
            self._starting.append(worker)
            self._at(ready_at, partial(self._started, worker))
        self._note()

    def _let_go(self, count: int) -> None:
        """Those that have not started first, then idle ones; busy ones finish what they have."""
        unstarted = min(count, len(self._starting))
        idle = min(count - unstarted, self._idle)
        del self._starting[len(self._starting) - unstarted :]
        self._idle -= idle
        self._leaving += count - unstarted - idle
        self._note()

    def _note(self) -> None:
        """To be called after each change of what is paid for."""
        self._pay(self._now)
        self._outcome.workers.append((self._now, self._paid()))

    def _paid(self) -> int:
        return len(self._starting) + self._idle + self._busy

    def _pay(self, until: float) -> None:
        since = max(self._paid_since, DEADLINE_S - self._scenario.counted_s)
        if self._outcome.workers and until > since:
            self._outcome.worker_hours += self._outcome.workers[-1][1] * (until - since) / 3600
        self._paid_since = until

    # -- time ------------------------------------------------------------------------------------

    def _at(self, moment: float, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, act))

    def _minute(self) -> None:
        while (self._now - self._scenario.begins_s) // 60 >= len(self._arrivals):
            self._arrivals.append(0)

    def _ask(self) -> int:
        return max(
            0,
            self._policy(
                View(
                    now_s=self._now,
                    waiting=len(self._waiting),
                    running=self._busy,
                    workers=self._wanted(),
                    arrivals=self._arrivals[:-1],
                    served_s=self._served,
                )
            ),
        )
