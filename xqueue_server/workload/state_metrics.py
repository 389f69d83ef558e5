"""What the database knows, for Prometheus. Every web server shows the same numbers: take the `max`.

Events are counted where they happen, in `metrics`.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from xqueue_server.errors import StorageUnavailable
from xqueue_server.storage import Storage, state_counts
from xqueue_server.storage.state_counts import DEPTH_STATES, WORKER_STATES, StateCounts

KEPT_S = 5.0
"""However many scrape, the database is asked no more often by one process."""
CANARIES = ("ok", "failed", "unknown")
PROCESSES = ("deliver", "sweep")

log = logging.getLogger(__name__)


class StateMetrics(Collector):
    """A collector over the database; safe for many threads."""

    def __init__(
        self, storage: Storage, *, version: str, data_dir: Path, monotonic: Callable[[], float]
    ) -> None:
        self._storage = storage
        self._version = version
        self._data_dir = data_dir
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._counts: StateCounts | None = None
        self._asked_at: float | None = None

    def exposition(self) -> bytes:
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not ask the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield _gauge("xqueue_build_info", "1, with the version.", "version", {self._version: 1})
        yield from self._disk()
        counts = self._fresh_counts()
        yield _gauge(
            "xqueue_database_up", "Whether the database answers.", None, counts is not None
        )
        if counts is not None:
            yield from _of_queues(counts)
            yield from _of_callbacks(counts)
            yield from _of_processes(counts)

    def _disk(self) -> Iterator[Metric]:
        there = next(p for p in (self._data_dir, *self._data_dir.parents) if p.exists())
        free = shutil.disk_usage(there).free
        yield _gauge("xqueue_data_free_bytes", "Free in the data directory.", None, free)

    def _fresh_counts(self) -> StateCounts | None:
        """None: the database is away, and old numbers would look like peace."""
        with self._lock:
            now = self._monotonic()
            if self._asked_at is None or now - self._asked_at >= KEPT_S:
                self._counts, self._asked_at = self._ask(), now
            return self._counts

    def _ask(self) -> StateCounts | None:
        try:
            with self._storage.read() as tx:
                return state_counts.count(tx)
        except StorageUnavailable as error:
            log.warning("no database", extra={"action": "metrics_paused", "why": str(error)})
            return None


def _gauge(
    name: str,
    meaning: str,
    labels: str | tuple[str, ...] | None,
    value: float | Mapping[str, float] | Mapping[tuple[str, str], float],
) -> GaugeMetricFamily:
    """`value` is a number, or a mapping from the labels' values to numbers."""
    names = (labels,) if isinstance(labels, str) else labels or ()
    family = GaugeMetricFamily(name, meaning, labels=names)
    if not isinstance(value, Mapping):
        family.add_metric((), value)
        return family
    for key, number in value.items():
        family.add_metric((key,) if isinstance(key, str) else key, number)
    return family


def _of_queues(counts: StateCounts) -> Iterator[Metric]:
    queues = sorted(counts.paused)
    yield _gauge(
        "xqueue_queue_depth",
        "Learners' submissions that are not done.",
        ("queue", "state"),
        {(q, s): counts.depth.get((q, s), 0) for q in queues for s in DEPTH_STATES},
    )
    yield _gauge(
        "xqueue_oldest_queued_age_seconds",
        "How long the one that waits longest has waited for a worker; 0: none waits.",
        "queue",
        {q: counts.oldest_s.get(q, 0.0) for q in queues},
    )
    yield _gauge("xqueue_queue_paused", "Whether it hands out nothing.", "queue", counts.paused)


def _of_callbacks(counts: StateCounts) -> Iterator[Metric]:
    origins = sorted({*counts.pending, *counts.dead, *counts.breaker_open})
    rows: tuple[tuple[str, str, Mapping[str, float]], ...] = (
        ("xqueue_callback_pending", "Callbacks to be sent.", counts.pending),
        ("xqueue_callback_dead", "Callbacks that are not sent any more.", counts.dead),
        ("xqueue_breaker_open", "Whether callbacks wait for the LMS.", counts.breaker_open),
    )
    for name, meaning, numbers in rows:
        yield _gauge(name, meaning, "origin", {o: numbers.get(o, 0) for o in origins})


def _of_processes(counts: StateCounts) -> Iterator[Metric]:
    lanes = sorted({*counts.paused, *(lane for lane, _ in counts.workers)})
    yield _gauge(
        "xqueue_workers",
        "Workers that hosts announce.",
        ("lane", "state"),
        {(q, s): counts.workers.get((q, s), 0) for q in lanes for s in WORKER_STATES},
    )
    yield _gauge("xqueue_desired_workers", "Workers that are needed.", "lane", counts.desired)
    yield _gauge(
        "xqueue_worker_hosts",
        "Hosts of workers, by what their sandbox's canary said.",
        "canary",
        {canary: counts.hosts.get(canary, 0) for canary in CANARIES},
    )
    yield _gauge(
        "xqueue_process_silent_seconds",
        "Since the last sign of life of any process of the kind; +Inf: none in a day.",
        "process",
        dict.fromkeys(PROCESSES, float("inf")) | dict(counts.silent_s),
    )
