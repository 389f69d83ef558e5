"""Picks host uids that nothing else uses, so that a box's limits and signals concern it alone."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from sandbox.errors import SandboxUnavailable

HIGH_RANGE = range(1 << 29, (1 << 30) + (1 << 29))
"""Above every range that distributions, subuid tools and container engines hand out."""
LAST_OF_A_SMALL_MAP = 4096
TRIES = 50


def uid_range(uid_map: str) -> range:
    """Where to pick from, given `/proc/self/uid_map`: inside a container few uids may exist."""
    mapped = [tuple(int(number) for number in line.split()) for line in uid_map.splitlines()]
    for inside, _, count in mapped:
        if inside <= HIGH_RANGE.start and HIGH_RANGE.stop <= inside + count:
            return HIGH_RANGE
    inside, _, count = max(mapped, key=lambda entry: entry[2])
    end = inside + count
    return range(max(inside + 1000, end - LAST_OF_A_SMALL_MAP), end)


def choose_at_random(candidates: range) -> int:
    """Unpredictable, so that workers which know nothing of each other do not meet."""
    return random.SystemRandom().choice(candidates)


def pick_unused_uids(count: int, choose: Callable[[range], int] = choose_at_random) -> list[int]:
    """Distinct uids that no living process has. Raises SandboxUnavailable when none is found."""
    candidates = uid_range(Path("/proc/self/uid_map").read_text())
    if len(candidates) < count:
        raise SandboxUnavailable("this host maps too few user ids to give each box its own")
    taken = set(_uids_of_processes())
    picked: list[int] = []
    for _ in range(TRIES):
        uid = choose(candidates)
        if uid not in taken:
            taken.add(uid)
            picked.append(uid)
        if len(picked) == count:
            return picked
    raise SandboxUnavailable("no unused user id was found for a box")


def _uids_of_processes() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                yield entry.stat().st_uid
