"""How long a submission will probably wait for a worker."""

from __future__ import annotations

from xqueue_server.instant import to_datetime
from xqueue_server.storage import Storage, workers
from xqueue_server.workload import experience


def expected_wait_s(storage: Storage, queue: str, position: int) -> float | None:
    """From its place in the line, how many workers there are, and how long gradings take. None:
    no worker has announced itself for the queue, so nobody can tell."""
    now = to_datetime(storage.now_us())
    with storage.read() as tx:
        present = workers.count_by_queue(tx).get(queue, 0)
        if not present:
            return None
        mean_s = experience.service_times(tx, queue, now).service.mean_s
    return round(position * mean_s / present, 1)
