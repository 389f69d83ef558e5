"""The same costly question asked by several threads at once is answered once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SingleFlight(Generic[Answer]):
    """Shares the answer (or the error) of a running computation; remembers nothing afterwards."""

    def __init__(self) -> None:
        self._running: dict[bytes, Future[Answer]] = {}
        self._lock = threading.Lock()

    def do(self, key: bytes, compute: Callable[[], Answer]) -> Answer:
        with self._lock:
            running = self._running.get(key)
            if running is None:
                mine = self._running[key] = Future()
        if running is not None:
            return running.result()
        try:
            mine.set_result(compute())
        except BaseException as error:  # noqa: BLE001 - those who wait must hear of any end
            mine.set_exception(error)
        finally:
            with self._lock:
                del self._running[key]
        return mine.result()
