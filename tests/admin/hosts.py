"""A grading host as it announces itself."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.server.builders import QUEUE
from xqueue_server.storage.workers import HostAnnouncement, WorkerReport


def announcement(host: str, *, is_canary_ok: bool = True, queue: str = QUEUE) -> HostAnnouncement:
    return HostAnnouncement(
        host=host,
        pid=1,
        version="0.1.0",
        backend="docker 27",
        is_canary_ok=is_canary_ok,
        canary="all limits hold" if is_canary_ok else "the memory limit does not bite",
        cpus=2,
        autoscale_min=None,
        autoscale_max=None,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        workers=(
            WorkerReport(
                name=f"{queue}-1", pid=12, queue=queue, state="idle", submission_id=None, since_s=3
            ),
        ),
    )
