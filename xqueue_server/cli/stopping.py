"""Processes that run until they are told to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


def nothing() -> None:
    """There is nothing to read again."""


@contextlib.contextmanager
def told_to_stop(reload: Callable[[], None] = nothing) -> Iterator[threading.Event]:
    """An event that SIGTERM or SIGINT sets; SIGHUP calls `reload`."""
    stop = threading.Event()
    handlers = {
        signal.SIGTERM: lambda *_: stop.set(),
        signal.SIGINT: lambda *_: stop.set(),
        signal.SIGHUP: lambda *_: reload(),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
