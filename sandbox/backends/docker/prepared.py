"""Which graders have been made ready already. Whoever serves a grader asks for it again and again:
the first time containers are kept ready for it, afterwards only if submissions come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sandbox.backends.docker.containers import ContainerSpec
from sandbox.run import Preparation

OUT_OF_USE_S = 600.0
"""A grader that nobody asked for this long is new when it is asked for again: another version was
in use meanwhile, or no worker was there. Workers ask every minute or more often."""


class PreparedGraders:
    """Thread-safe. An image that was built anew under its name makes its grader new as well."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at: dict[tuple[Preparation, tuple[ContainerSpec, ...]], float] = {}

    @contextmanager
    def asked_for(self, preparation: Preparation, kinds: Sequence[ContainerSpec]) -> Iterator[bool]:
        """Whether it is new. It is no longer when the block ends well, and is again when not."""
        grader = (preparation, tuple(kinds))
        with self._lock:
            self._forget_unused()
            is_new = grader not in self._asked_at
        try:
            yield is_new
        except BaseException:
            with self._lock:
                self._asked_at.pop(grader, None)
            raise
        with self._lock:
            self._asked_at[grader] = self._clock()

    def _forget_unused(self) -> None:
        oldest = self._clock() - OUT_OF_USE_S
        self._asked_at = {one: at for one, at in self._asked_at.items() if at >= oldest}
