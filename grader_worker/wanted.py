"""How many workers a pool is to have: the settings, an operator's word, or the server's need.

Pure: it starts and ends nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from grader_worker.pool import Bounds, Pool

LOWER_FOR_S = 300.0
"""Learners come in waves: what is not needed for a minute is needed again in the next."""


class Autoscaler:
    """Follows a need up at once; down by one at a time, once it was lower for five minutes.

    By one, because other hosts see the same need and go down too: all of them at once would leave
    too few.
    """

    def __init__(
        self, bounds: Bounds, start: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.target = bounds.clamp(start)
        self._bounds = bounds
        self._clock = clock
        self._lower_since: float | None = None

    def need(self, count: int) -> None:
        """What this host should have now, as far as anyone knows."""
        count = self._bounds.clamp(count)
        if count >= self.target:
            self.target = count
            self._lower_since = None
        elif self._lower_since is None:
            self._lower_since = self._clock()
        elif self._clock() - self._lower_since >= LOWER_FOR_S:
            self.target -= 1


class Wanted:
    """The count of one pool. An operator's last word goes before everything else."""

    def __init__(self, pool: Pool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._word: int | None = None
        self._told: tuple[int | None, str] = (None, "")
        self._configure(pool)

    @property
    def count(self) -> int:
        if self._word is not None:
            return self._word
        return self._autoscaler.target if self._autoscaler else self._configured

    @property
    def follows_need(self) -> bool:
        return self._word is None and self._autoscaler is not None

    def configure(self, pool: Pool) -> None:
        """From settings that were read again. A number that was changed there is the last word."""
        if (pool.concurrency, pool.autoscale) != (self._configured, self._bounds):
            self._word = None
            self._configure(pool)

    def say(self, count: int | None) -> None:
        """`grader-worker scale`; None takes back what anyone said."""
        self._word = count

    def wish(self, count: int | None, *, said_at: str = "") -> None:
        """What the server wishes, told with every answer: only what is new says something, also
        the same number again."""
        if (count, said_at) != self._told:
            self._word = count
        self._told = count, said_at

    def need(self, count: int) -> None:
        if self._autoscaler is not None:
            self._autoscaler.need(count)

    def _configure(self, pool: Pool) -> None:
        self._configured, self._bounds = pool.concurrency, pool.autoscale
        self._autoscaler = (
            Autoscaler(pool.autoscale, pool.concurrency, clock=self._clock)
            if pool.autoscale
            else None
        )
