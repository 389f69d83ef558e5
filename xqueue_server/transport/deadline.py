"""An end to one send that no peer can put off.

A socket's timeout is for each read: a peer that sends one byte every few seconds is never late.
So when the time is over, the connection is shut down under whoever is waiting on it.
"""

from __future__ import annotations

import socket
import threading
import time
from contextvars import ContextVar
from types import TracebackType


class Deadline:
    """The time left for one send, and the connection that is cut when it is over."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self.is_over = False
        self.connection_was_reused = False

    def remaining_s(self) -> float:
        return self._ends_at - time.monotonic()

    def watch(self, connection: socket.socket, *, is_reused: bool) -> None:
        """Cut this connection at the end. A duplicate is kept: wrapping it in TLS replaces the
        socket object, and closing it must not close what someone else has opened since."""
        duplicate = socket.fromfd(connection.fileno(), connection.family, connection.type)
        with self._lock:
            self._forget()
            self._connection = duplicate
            self.connection_was_reused = is_reused
            if self.is_over:
                self._shut_down()

    def _cut(self) -> None:
        with self._lock:
            self.is_over = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # the peer was faster
            return

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Deadline:
        self._timer.start()
        self._outer = CURRENT.set(self)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        CURRENT.reset(self._outer)
        self._timer.cancel()
        with self._lock:
            self._forget()


CURRENT: ContextVar[Deadline] = ContextVar("deadline of the send that this thread is doing")
