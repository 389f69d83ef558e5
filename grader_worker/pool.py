"""Workers that serve one queue, or several of one server together, and how many they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from grader_worker.assignment import ServedQueue
from grader_worker.errors import SettingsError
from grader_worker.server_account import ServerAccount

MOST_WORKERS = 500
"""On one host, all pools together."""
MOST_QUEUES = 100
"""Of one pool: as many as the server takes in one request."""
_BOUNDS = re.compile(r"([0-9]{1,4}):([0-9]{1,4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between which numbers a pool follows what the server says is needed."""

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most <= MOST_WORKERS or self.most == 0:
            raise SettingsError(
                f"autoscale {self.least}:{self.most}: expected MIN:MAX with"
                f" 0 <= MIN <= MAX <= {MOST_WORKERS} and MAX above 0"
            )

    def clamp(self, count: int) -> int:
        return min(self.most, max(self.least, count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Workers that lease from all of its queues in the server's order."""

    name: str
    """Of its only queue, or what the settings call it."""
    queues: tuple[ServedQueue, ...]
    concurrency: int = 1
    autoscale: Bounds | None = None

    def __post_init__(self) -> None:
        if len(self.queues) > MOST_QUEUES:
            raise SettingsError(f"pool {self.name!r}: at most {MOST_QUEUES} queues")
        if len({queue.account for queue in self.queues}) != 1:
            raise SettingsError(f"pool {self.name!r}: its queues must be of one server")
        if len({queue.assignment is None for queue in self.queues}) != 1:
            raise SettingsError(
                f"pool {self.name!r}: either all of its queues name a grader or none does"
            )

    @property
    def account(self) -> ServerAccount:
        return self.queues[0].account

    @property
    def queue_names(self) -> tuple[str, ...]:
        return tuple(queue.name for queue in self.queues)


def parse_bounds(text: str) -> Bounds:
    """Read MIN:MAX. Raises SettingsError."""
    found = _BOUNDS.fullmatch(text)
    if found is None:
        raise SettingsError(f"autoscale {text!r}: expected MIN:MAX, as 1:8")
    return Bounds(least=int(found[1]), most=int(found[2]))


def queues_of(pools: tuple[Pool, ...]) -> tuple[ServedQueue, ...]:
    return tuple(queue for pool in pools for queue in pool.queues)
