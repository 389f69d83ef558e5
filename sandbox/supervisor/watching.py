"""One poll loop for descriptors, ended children and deadlines.

Single-threaded on purpose: the supervisor forks, and forking with threads is a trap.
"""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
WRITABLE = select.POLLOUT | select.POLLERR


class Watch:
    """Calls a callback when its descriptor is ready and remembers the children that ended."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._tracked: set[int] = set()
        self.ended: dict[int, int] = {}
        """Wait status by pid."""
        self._wake_fd, wake_write_fd = os.pipe()
        os.set_blocking(self._wake_fd, False)
        os.set_blocking(wake_write_fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write_fd, warn_on_full_buffer=False)
        self.on(self._wake_fd, READABLE, self._drain_wakeups)

    def on(self, fd: int, events: int, callback: Callable[[], object]) -> None:
        self._callbacks[fd] = callback
        self._poll.register(fd, events)

    def off(self, fd: int) -> None:
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def track(self, pid: int) -> None:
        """Keep this child's status in `ended`; other children are reaped and forgotten."""
        self._tracked.add(pid)

    def step(self, until: float) -> None:
        """Wait for the next events, at most until that monotonic time, and handle them."""
        self.reap()
        remaining_ms = max(0, int((until - time.monotonic()) * 1000) + 1)
        for fd, _ in self._poll.poll(remaining_ms):
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback()
        self.reap()

    def wait_for(self, condition: Callable[[], bool], until: float) -> bool:
        """Handle events until the condition holds; False when the time came first."""
        self.reap()
        while not condition():
            if time.monotonic() >= until:
                return False
            self.step(until)
        return True

    def reap(self) -> None:
        """Collect every ended child; as PID 1 that includes orphans nobody else waits for."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._tracked:
                self._tracked.discard(pid)
                self.ended[pid] = status

    def _drain_wakeups(self) -> None:
        try:
            while os.read(self._wake_fd, 512):
                pass
        except BlockingIOError:
            pass
