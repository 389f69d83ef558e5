"""The queue length that every submit must answer, without counting a long backlog each time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from xqueue_server.storage import Storage, counting

EXACT_UP_TO = 1_000
KEPT_S = 1.0
SURELY_LONG = 20_000
"""No second's work brings a queue from here down to `EXACT_UP_TO`."""


@dataclass(slots=True)
class _Count:
    value: int
    until: float


class QueueLengths:
    """Exact up to `EXACT_UP_TO`; beyond that a full count at most `KEPT_S` old, per process."""

    def __init__(self, storage: Storage, monotonic: Callable[[], float]) -> None:
        self._storage = storage
        self._monotonic = monotonic
        self._counts: dict[str, _Count] = {}
        self._counting = threading.Lock()

    def of(self, queue: str) -> int:
        """Submissions of the queue that a grader could lease now. Raises: StorageUnavailable."""
        kept = self._fresh(queue)
        if kept is not None and kept > SURELY_LONG:
            return kept
        with self._storage.read() as tx:
            length = counting.count_ready_up_to(tx, queue, EXACT_UP_TO + 1)
        return length if length <= EXACT_UP_TO else self._long(queue)

    def _fresh(self, queue: str) -> int | None:
        kept = self._counts.get(queue)
        return kept.value if kept and self._monotonic() < kept.until else None

    def _long(self, queue: str) -> int:
        fresh = self._fresh(queue)
        if fresh is not None:
            return fresh
        kept = self._counts.get(queue)
        # One thread counts; the others take the old figure rather than wait, if there is one.
        if not self._counting.acquire(blocking=kept is None):
            return kept.value if kept else EXACT_UP_TO
        try:
            return self._recount(queue)
        finally:
            self._counting.release()

    def _recount(self, queue: str) -> int:
        fresh = self._fresh(queue)
        if fresh is not None:  # another thread was counting
            return fresh
        with self._storage.read() as tx:
            value = counting.count_ready(tx, queue)
        self._counts[queue] = _Count(value, self._monotonic() + KEPT_S)
        return value
