"""What this process counts, for Prometheus: events as they happen, and how long things took.

Each of these is true of the process that counted it, so that sums over processes and hosts are
right. What the database knows (backlogs, workers, breakers) is in `state_metrics`.

Labels are names that operators gave (queues, origins) or words from here, never ids.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

# A series beside each, which several processes could not have anyway.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no type for it
REGISTRY = CollectorRegistry()
QUICK_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Bounds for requests; a grader may wait 20 s in one."""
SLOW_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 7200, 86_400)
"""Bounds for what a learner waits for; an LMS may be away for a day."""


class Submitted(StrEnum):
    """How a submit request ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The LMS was told what is wrong with it, and will not send it again by itself."""
    UNAVAILABLE = "unavailable"
    """The database or the disk was away; the LMS was told to try again."""


class Phase(StrEnum):
    """The parts of a submission's way, in their order."""

    SUBMIT = "submit"
    """From the request to its answer."""
    QUEUE = "queue"
    PREPARE = "prepare"
    """As the worker says: fetching grader and files, waiting for a sandbox."""
    RUN = "run"
    """As the worker says."""
    REPORT = "report"
    """What is left of the lease: handing out, making the reply, sending it."""
    DELIVER = "deliver"
    """From the result to the LMS's 200."""


SUBMISSIONS = Counter(
    "xqueue_submissions_total",
    "Submit requests, by how they ended.",
    ["queue", "result"],
    registry=REGISTRY,
)
RESULTS = Counter(
    "xqueue_results_total",
    "Results taken from graders, by what was made of them.",
    ["queue", "disposition"],
    registry=REGISTRY,
)
STALE_RESULTS = Counter(
    "xqueue_stale_results_total",
    "Results that came too late to count: another one or the learner was faster.",
    ["queue"],
    registry=REGISTRY,
)
LEASES_EXPIRED = Counter(
    "xqueue_lease_expired_total",
    "Leases that ran out without a result.",
    ["queue"],
    registry=REGISTRY,
)
WAIT = Histogram(
    "xqueue_wait_seconds",
    "From arrival to the lease under which it was graded.",
    ["queue"],
    buckets=SLOW_S,
    registry=REGISTRY,
)
GRADING = Histogram(
    "xqueue_grading_seconds",
    "From the lease to its accepted result.",
    ["queue"],
    buckets=SLOW_S,
    registry=REGISTRY,
)
TURNAROUND = Histogram(
    "xqueue_turnaround_seconds",
    "From arrival to the LMS's 200 for the result.",
    ["queue"],
    buckets=SLOW_S,
    registry=REGISTRY,
)
PHASES = Histogram(
    "xqueue_phase_seconds",
    "The parts of a submission's way.",
    ["queue", "phase"],
    buckets=SLOW_S,
    registry=REGISTRY,
)
CALLBACK_ATTEMPTS = Counter(
    "xqueue_callback_attempts_total",
    "Tries to send a callback, by how they ended.",
    ["origin", "outcome"],
    registry=REGISTRY,
)
REQUESTS = Histogram(
    "http_request_duration_seconds",
    "Requests served, by template of the path.",
    ["method", "route", "status"],
    buckets=QUICK_S,
    registry=REGISTRY,
)
EVENT_STREAMS_OPENED = Counter(
    "xqueue_event_streams_opened_total",
    "Live streams of pages that were opened.",
    registry=REGISTRY,
)
EVENT_STREAMS_ENDED = Counter(
    "xqueue_event_streams_ended_total",
    "Live streams of pages that ended, by why: left, cut off, expired, stopped.",
    ["why"],
    registry=REGISTRY,
)
EVENT_STREAMS_REFUSED = Counter(
    "xqueue_event_streams_refused_total",
    "Live streams of pages that were refused, by the status that they were answered.",
    ["status"],
    registry=REGISTRY,
)
ERRORS = Counter(
    "xqueue_unexpected_errors_total",
    "Faults of our own, which the logs have with a stack trace.",
    ["where"],
    registry=REGISTRY,
)


def begin_at_zero(where: str) -> None:
    """Show that nothing has gone wrong yet: for Prometheus a 1 out of nowhere is no increase."""
    ERRORS.labels(where)


def begin_submissions_at_zero(queue: str) -> None:
    """The same of the ways in which a submit request can end."""
    for result in Submitted:
        SUBMISSIONS.labels(queue, result)


def count_submission(queue: str, result: Submitted) -> None:
    """`queue` is "" until it is known that the account may name it: others are any text."""
    begin_submissions_at_zero(queue)
    SUBMISSIONS.labels(queue, result).inc()


def observe_phase(queue: str, phase: Phase, seconds: float) -> None:
    PHASES.labels(queue, phase).observe(max(0.0, seconds))


# -- several processes as one --------------------------------------------------------------------

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The library's own way of being told."""


def share(directory: Path, place: Callable[[], int]) -> None:
    """From now on keep the numbers in files of this directory, one set for each place.

    To be called before anything is counted. `place` tells processes that live at the same time
    apart; one that comes later to the same place counts on from where the earlier stopped, so that
    a process that ends, in whatever way, takes nothing away.
    """
    os.environ[_DIRECTORY] = str(directory)
    values.ValueClass = values.MultiProcessValue(place)  # type: ignore[no-untyped-call]  # likewise


def exposition() -> bytes:
    """All numbers in Prometheus's text format: of every process that shares them with this one."""
    if _DIRECTORY not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # likewise
    return generate_latest(registry)
