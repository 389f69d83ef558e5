"""Whether a queue's grader is ready on this host, shared with processes forked later."""

from __future__ import annotations

import mmap


class ReadyFlag:
    """Down until the keeper has prepared the queue's default grader."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    @property
    def is_ready(self) -> bool:
        return self._shared[0] == 1

    def set(self, ready: bool) -> None:
        self._shared[0] = int(ready)
