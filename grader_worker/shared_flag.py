"""A yes or no that processes forked later share."""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable

_HELD_UNTIL = struct.Struct("=d")
_HELD_UNTIL_OFFSET = 8


class SharedFlag:
    """Down until somebody sets it. `clock` must be the same in all of the processes."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = mmap.mmap(-1, _HELD_UNTIL_OFFSET + _HELD_UNTIL.size)
        self._clock = clock

    @property
    def is_set(self) -> bool:
        (held_until,) = _HELD_UNTIL.unpack_from(self._shared, _HELD_UNTIL_OFFSET)
        return self._shared[0] == 1 and bool(self._clock() >= held_until)

    def set(self, up: bool) -> None:
        self._shared[0] = int(up)

    def hold_down(self, seconds: float) -> None:
        """For so long, whatever is set meanwhile."""
        until = self._clock() + seconds
        _HELD_UNTIL.pack_into(self._shared, _HELD_UNTIL_OFFSET, until)
