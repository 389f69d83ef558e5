"""SIGTERM and SIGINT: the first asks to finish what is running, the second does not ask."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from types import FrameType

AT_ONCE_STATUS = 130


class Stop:
    """A `threading.Event` that a signal handler may set.

    An Event's lock is not reentrant: a handler that sets it while the same thread is on its
    way into `wait` hangs for ever. Here a byte in a pipe wakes every waiter and stays there.
    """

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        os.write(self._writer, b"!")

    def wait(self, seconds: float) -> bool:
        """Sleep unless or until set; whether it is set."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def renew(self) -> None:
        """After a fork: leave the parent's pipe to the parent and start unset."""
        self._close()
        self._open()

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


def stop_on_signals(stop: Stop, *, at_once: Callable[[], None] | None = None) -> None:
    """Set `stop` at the first signal; at the second run `at_once` and end the process."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            return
        if at_once:
            at_once()
        os._exit(AT_ONCE_STATUS)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
