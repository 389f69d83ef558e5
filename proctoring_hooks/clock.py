"""How long a learner may write, and what the time is: pure arithmetic, all of it the server's.

A client's clock decides nothing. It may ask for the time (`Exchange`) to show the right countdown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class AllowanceKind(StrEnum):
    """As edx-proctoring names them."""

    ADDITIONAL_MINUTES = "additional_time_granted"
    MULTIPLIER = "time_multiplier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """More time for one learner in one exam."""

    kind: AllowanceKind
    value: float
    """Minutes, or a factor of at least 1."""

    def more_s(self, limit_mins: int) -> int:
        # As it was written: 1.1 is a little more than that in binary. The learner gets the second
        # that rounding would take.
        value = Decimal(str(self.value))
        match self.kind:
            case AllowanceKind.ADDITIONAL_MINUTES:
                return math.ceil(value * 60)
            case AllowanceKind.MULTIPLIER:
                return math.ceil(limit_mins * 60 * (value - 1))


def allowed_s(
    *,
    limit_mins: int,
    allowance: Allowance | None,
    remaining_s: int | None,
    now: datetime,
    due_at: datetime | None,
) -> int:
    """Seconds that an attempt which starts now may last.

    A resumed attempt has what was left, exactly, and no allowance anew: that was in it. The due
    date ends all. 0 when it has passed.
    """
    if remaining_s is not None:
        seconds = remaining_s
    else:
        seconds = limit_mins * 60 + (allowance.more_s(limit_mins) if allowance else 0)
    if due_at is not None:
        seconds = min(seconds, math.floor((due_at - now).total_seconds()))
    return max(0, seconds)


def expiry(started_at: datetime, seconds: int) -> datetime:
    return started_at + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question for the time, in the manner of NTP (RFC 5905, section 8): instants in seconds
    since 1970, t1 and t4 by the client's clock, t2 and t3 by ours.
    """

    t1: float
    t2: float
    t3: float
    t4: float

    @property
    def offset_s(self) -> float:
        """What the client must add to its clock. Wrong by half of `delay_s` at most."""
        return ((self.t2 - self.t1) + (self.t3 - self.t4)) / 2

    @property
    def delay_s(self) -> float:
        return (self.t4 - self.t1) - (self.t3 - self.t2)


def best_offset_s(exchanges: list[Exchange]) -> float:
    """Of the exchange that was under way for the shortest time: it can be wrong by the least."""
    return min(exchanges, key=lambda each: each.delay_s).offset_s
