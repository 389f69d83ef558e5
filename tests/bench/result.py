"""What a phase has shown, as it goes into the tables and the JSON file."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseResult:
    backend: str
    phase: str
    concurrency: int
    pending: int | None
    """Waiting submissions at the start of a backlog phase; None outside the backlog table."""
    requests: int
    duration_s: float
    per_s: float
    p50_ms: float
    p95_ms: float
    server_cpu_ms: float
    """Of all server and database processes, a request."""
    database_cpu_ms: float
    """The part of PostgreSQL's processes in it; SQLite works inside the server's."""
    client_cpu_ms: float
    errors: int
    duplicates: int
    first_error: str | None


def percentile_ms(latencies_s: Sequence[float], percent: int) -> float:
    if len(latencies_s) < 2:
        return sum(latencies_s) * 1000
    cuts = statistics.quantiles(latencies_s, n=100, method="inclusive")
    return cuts[percent - 1] * 1000
