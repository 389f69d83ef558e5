"""Long polling: letting graders wait for work without each of them asking the database.

One thread per process probes an index every `PROBE_S` while anybody waits, whatever the number of
waiters, and wakes those whose queue has work. Half of the process's threads may wait, so that the
other half always answers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass

from xqueue_server.errors import StorageUnavailable
from xqueue_server.models.submission import Line
from xqueue_server.storage import Storage, Transaction, leases

PROBE_S = 0.025
LONGEST_WAIT_S = 20.0
AFTER_FAILURE_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What somebody waits for."""

    queue: str
    line: Line


class Waiting:
    """The waiters of one process. The thread starts with the first of them (after the fork)."""

    def __init__(
        self,
        storage: Storage,
        *,
        most: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._monotonic = monotonic
        self._places = threading.BoundedSemaphore(most)
        self._changed = threading.Condition()
        self._waiters: Counter[Lane] = Counter()
        self._seen: Counter[Lane] = Counter()  # how often a lane was seen with work
        self._thread: threading.Thread | None = None
        self._is_stopping = False

    def stop(self) -> None:
        """Send everybody home. Takes no lock, so that a signal handler may call it."""
        self._is_stopping = True  # the watcher, awake while anybody waits, passes it on

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Take one of the places for as long as the block runs; yields False if all are taken."""
        taken = self._places.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._places.release()

    def until_work(self, queue: str, deadline: float, *, line: Line = Line.LEARNERS) -> bool:
        """Block until the queue is seen with work; False at the deadline, or when told to stop."""
        return self.until_any({Lane(queue=queue, line=line)}, deadline)

    def until_any(self, lanes: Set[Lane], deadline: float) -> bool:
        """The same for whichever of several lanes is first."""
        with self._changed:
            self._ensure_thread()
            before = {lane: self._seen[lane] for lane in lanes}

            def is_seen() -> bool:
                return any(self._seen[lane] != count for lane, count in before.items())

            self._waiters.update(lanes)
            self._changed.notify_all()
            try:
                self._changed.wait_for(
                    lambda: self._is_stopping or is_seen(), deadline - self._monotonic()
                )
                return is_seen()
            finally:
                self._waiters.subtract(lanes)

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waited_for()))
                lanes = self._waited_for()
            time.sleep(self._probe_safely(lanes))

    def _waited_for(self) -> set[Lane]:
        return {lane for lane, count in self._waiters.items() if count > 0}

    def _probe_safely(self, lanes: set[Lane]) -> float:
        """The thread's outermost loop: were it to end, nobody would be woken any more."""
        try:
            return self._probe(lanes)
        except StorageUnavailable as error:
            log.warning("probe failed", extra={"action": "probe", "why": str(error)})
        except Exception as error:  # noqa: BLE001
            log.error("probe failed", extra={"action": "probe", "why": type(error).__name__})
        return AFTER_FAILURE_S

    def _probe(self, lanes: set[Lane]) -> float:
        """Wake whoever can be served; returns how long to pause before the next probe."""
        with self._storage.read() as tx:
            ready = _ready(tx, lanes)
        if ready or self._is_stopping:
            with self._changed:
                self._seen.update(ready)
                self._changed.notify_all()
        return PROBE_S


def _ready(tx: Transaction, lanes: set[Lane]) -> set[Lane]:
    """Those with something to lease: one question for each kind of line that is waited for."""
    ready: set[Lane] = set()
    for line in Line:
        names = {lane.queue for lane in lanes if lane.line is line}
        if names:
            found = leases.queues_with_ready(tx, names, line=line)
            ready |= {Lane(queue=name, line=line) for name in found}
    return ready
