"""What one deliverer is sending at the moment, counted per origin."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """How many callbacks one process sends at the same time."""

    total: int = 32
    per_origin: int = 8
    """An LMS that hangs takes no more than this from the others."""


class InFlight:
    """What this process is sending; counted from the claim on, so that none waits for a thread."""

    def __init__(self, limits: Concurrency) -> None:
        self._limits = limits
        self._of_origin: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._has_room = threading.Event()

    def room_for(self, origin: str) -> int:
        with self._changed:
            free = self._limits.total - self._of_origin.total()
            return min(free, self._limits.per_origin - self._of_origin[origin])

    def least_busy_first(self, origins: Sequence[str]) -> list[str]:
        with self._changed:
            return sorted(origins, key=lambda origin: self._of_origin[origin])

    def enter(self, origin: str) -> None:
        with self._changed:
            self._of_origin[origin] += 1

    def leave(self, origin: str) -> None:
        with self._changed:
            self._of_origin[origin] -= 1
            self._of_origin += Counter()  # forget the origins at zero
            self._changed.notify_all()
        self._has_room.set()

    def wait_for_room(self, timeout_s: float) -> None:
        """Until a send has ended since the last call, or the time is over."""
        self._has_room.wait(timeout_s)
        self._has_room.clear()

    def wait_until_none(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._of_origin)
