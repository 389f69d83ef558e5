"""A yes or no that processes forked later share."""

from __future__ import annotations

import mmap


class SharedFlag:
    """Down until somebody sets it."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    @property
    def is_set(self) -> bool:
        return self._shared[0] == 1

    def set(self, up: bool) -> None:
        self._shared[0] = int(up)
