"""How many workers each queue should have, without asking the database for every host's beat."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from xqueue_server.storage import Storage
from xqueue_server.workload import scaling
from xqueue_server.workload.scaling import Desired

KEPT_S = 5.0
"""Half a beat of the hosts."""


class Desires:
    """At most `KEPT_S` old, per process. Safe to share between threads."""

    def __init__(self, storage: Storage, monotonic_s: Callable[[], float]) -> None:
        self._storage = storage
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._kept: Sequence[Desired] = ()
        self._until: float | None = None

    def present(self) -> Sequence[Desired]:
        """Of every queue, by name. Raises: StorageUnavailable."""
        with self._lock:
            if self._until is None or self._monotonic_s() >= self._until:
                self._kept = scaling.desired_workers(self._storage)
                self._until = self._monotonic_s() + KEPT_S
            return self._kept
