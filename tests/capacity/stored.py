"""A history of load as `sweep` would have written it, and what waits now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from xqueue_server.capacity.arrivals import Law
from xqueue_server.instant import from_datetime
from xqueue_server.storage import Storage, Transaction, load, marks
from xqueue_server.storage.load import LoadMinute
from xqueue_server.workload.history import MINUTE

QUEUE = "python"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the tests' clock begins."""
ONE_MINUTE = timedelta(minutes=1)

_FILL = text(
    """
    INSERT INTO submissions (queue, state, priority, attempt, platform_failures, arrived_at,
        request_id, submitted_by, callback_url, lms_key, lease_until)
    VALUES (:queue, :state, :priority, 1, 0, 0, 'r', 'lms', :url, :url, :until)"""
)


def fill(storage: Storage, count: int, *, state: str = "queued", priority: int = 0) -> None:
    row = {
        "queue": QUEUE,
        "state": state,
        "priority": priority,
        "url": b"u",
        "until": from_datetime(NOW) + 10**9 if state == "leased" else None,
    }
    with storage.write() as tx:
        tx.run_many(_FILL, [row] * count)


def a_minute(
    begin: datetime,
    *,
    arrived: int = 0,
    graded: int = 0,
    service_s: float = 0.0,
    desired: int | None = None,
) -> LoadMinute:
    return LoadMinute(
        queue=QUEUE,
        minute=begin,
        arrived=arrived,
        graded=graded,
        service_us=round(graded * service_s * 1e6),
        service_sq_s2=graded * service_s**2,
        wait_us=0,
        longest_wait_us=0,
        desired=desired,
    )


@contextmanager
def history(storage: Storage, *, until: datetime = NOW) -> Iterator[Transaction]:
    """A transaction to store minutes in; all of them are done up to `until`."""
    with storage.write() as tx:
        yield tx
        marks.lock(tx, MINUTE)
        marks.move(tx, MINUTE, from_datetime(until))


def store_rush(tx: Transaction, deadline: datetime, law: Law, hours: int = 12) -> None:
    """The law's own counts, rounded so that none is lost."""
    behind = 0.0
    for left in range(hours * 60, 0, -1):
        behind += law.between(left, left - 1)
        arrived = int(behind)
        behind -= arrived
        if arrived:
            load.store(tx, a_minute(deadline - left * ONE_MINUTE, arrived=arrived))


def store_minutes(tx: Transaction, counts: Mapping[datetime, int]) -> None:
    for begin, arrived in counts.items():
        load.store(tx, a_minute(begin, arrived=arrived))
