"""Learners' browsers that have fallen silent during an exam (see `proctoring_hooks.worker`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from proctoring_hooks.worker.liveness import SilenceRule, report_silences
from xqueue_server.instant import to_datetime
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring.workers import WorkerReports

LOOK_EVERY_S = 10.0
DEAF_AFTER = timedelta(seconds=6 * LOOK_EVERY_S)
"""Whoever could not look for so long can not say that it would have heard."""


def silence_watch(storage: Storage, store: ProctoringStore, rule: SilenceRule) -> Callable[[], int]:
    """What a sweeper calls each time around; it looks every 10 s, and returns how many attempts
    are silent.

    Time in which the database was away, or no sweeper ran, is nobody's silence but ours.
    """
    reports = WorkerReports(store)
    looked_at: datetime | None = None
    listening_since: datetime | None = None

    def look() -> int:
        nonlocal looked_at, listening_since
        now = to_datetime(storage.now_us())
        if looked_at is not None and timedelta(0) <= now - looked_at < timedelta(
            seconds=LOOK_EVERY_S
        ):
            return 0
        is_deaf = looked_at is None or not timedelta(0) <= now - looked_at < DEAF_AFTER
        if listening_since is None or is_deaf:
            listening_since = now
        found = report_silences(reports, rule, now=now, listening_since=listening_since)
        looked_at = now
        return found

    return look
