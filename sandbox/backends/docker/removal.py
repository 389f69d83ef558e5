"""Kills and removes containers that have done their job, while their results are on the way."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from sandbox.backends.docker.starting import StartedContainer
from sandbox.errors import SandboxUnavailable

log = logging.getLogger(__name__)

QUEUE_LENGTH = 32
"""Beyond it, a run waits: an engine that falls behind is not to be given more."""
REMOVERS = 2
EXIT_S = 0.2
"""For a supervisor to end by itself, which costs the engine less than killing it."""


class Remover:
    """`remove` is asked with ids, from threads of its own that end with `close`.

    What could not be removed is tried again by `retry`.
    """

    def __init__(
        self,
        remove: Callable[[str], None],
        removed: Callable[[str], None],
        *,
        removers: int = REMOVERS,
        length: int = QUEUE_LENGTH,
    ) -> None:
        self._remove = remove
        self._removed = removed
        self._queue: queue.Queue[StartedContainer | None] = queue.Queue(length)
        self._left: list[str] = []
        self._lock = threading.Lock()
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._most_threads = removers

    def take_over(self, container: StartedContainer) -> None:
        """Returns at once, unless very many wait already."""
        container.channel.end_input()
        if self._has_threads():
            self._queue.put(container)
        else:
            self._see_off(container)

    def settle(self) -> None:
        """Wait until everything taken over so far has been tried."""
        self._queue.join()

    def retry(self) -> int:
        """Try again what could not be removed, up to the first failure; returns how many went."""
        with self._lock:
            left, self._left = self._left, []
        for done, container_id in enumerate(left):
            if not self._try(container_id):
                with self._lock:
                    self._left += left[done + 1 :]
                return done
        return len(left)

    def close(self) -> None:
        """Remove what waits, in bounded time: an engine that failed once is not asked again, and
        the reaper of the next process finds the rest."""
        with self._lock:
            self._closing = True
            threads, self._threads = self._threads, []
        for _ in threads:
            self._queue.put(None)
        for thread in threads:
            thread.join()
        self.retry()

    def _has_threads(self) -> bool:
        """Starts them with the first container; False once there are none any more."""
        with self._lock:
            while len(self._threads) < self._most_threads and not self._closing:
                # A daemon: whoever forgets to close must not hang at the interpreter's end.
                thread = threading.Thread(target=self._work, name="container-remover", daemon=True)
                self._threads.append(thread)
                thread.start()
            return not self._closing

    def _work(self) -> None:
        while (container := self._queue.get()) is not None:
            self._see_off(container)
            self._queue.task_done()
        self._queue.task_done()

    def _see_off(self, container: StartedContainer) -> None:
        if self._closing and self._left:
            container.channel.close()
            self._keep(container.container_id, "not tried: the engine failed before")
            return
        container.channel.await_end(EXIT_S)
        container.channel.close()
        self._try(container.container_id)

    def _try(self, container_id: str) -> bool:
        try:
            self._remove(container_id)
        except SandboxUnavailable as error:
            self._keep(container_id, str(error))
            return False
        self._removed(container_id)
        return True

    def _keep(self, container_id: str, why: str) -> None:
        with self._lock:
            self._left.append(container_id)
        log.warning(
            "container %s could not be removed and is tried again: %s",
            container_id[:12],
            why,
            extra={"action": "container_left", "container": container_id[:12], "why": why},
        )
