"""Moments and durations: whole microseconds since 1970 in storage, aware datetimes outside."""

from __future__ import annotations

import time
from datetime import UTC, datetime

SECOND_US = 1_000_000


def micros(seconds: float) -> int:
    """Seconds as whole microseconds."""
    return round(seconds * SECOND_US)


def to_datetime(instant_us: int) -> datetime:
    return datetime.fromtimestamp(instant_us / SECOND_US, UTC)


def from_datetime(moment: datetime) -> int:
    return round(moment.timestamp() * SECOND_US)


class SystemClock:
    """The host's clock, for SQLite, whose database lives on this host anyway."""

    def now_us(self) -> int | None:
        return time.time_ns() // 1000


class DatabaseClock:
    """Leaves "now" to the database (PostgreSQL): worker clocks are never compared."""

    def now_us(self) -> int | None:
        return None


class ManualClock:
    """A clock that a test moves by hand."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now_us = from_datetime(start or datetime(2026, 1, 1, tzinfo=UTC))

    def now_us(self) -> int | None:
        return self._now_us

    def advance(self, seconds: float) -> None:
        self._now_us += micros(seconds)


Clock = SystemClock | DatabaseClock | ManualClock
