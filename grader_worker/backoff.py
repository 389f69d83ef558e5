"""Growing pauses with full jitter, so that many workers do not return to a server in step."""

from __future__ import annotations

import random
from collections.abc import Callable

Random = Callable[[], float]
"""A number in [0, 1)."""


class Backoff:
    """Pauses of up to `first_s`, twice that, … up to `cap_s`; `reset()` after a success."""

    def __init__(self, *, first_s: float, cap_s: float, rand: Random = random.random) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._rand = rand
        self._ceiling_s = first_s

    def next_s(self) -> float:
        """Between half the current ceiling and all of it: jitter without retrying at once."""
        pause_s = self._ceiling_s * (0.5 + 0.5 * self._rand())
        self._ceiling_s = min(self._cap_s, self._ceiling_s * 2)
        return pause_s

    def reset(self) -> None:
        self._ceiling_s = self._first_s


def jittered_s(pause_s: float, rand: Random = random.random) -> float:
    """Half to one and a half times `pause_s`."""
    return pause_s * (0.5 + rand())
