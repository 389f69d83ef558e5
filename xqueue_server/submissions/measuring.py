"""Telling the metrics how long a submission's parts took, from what was stored of them.

A courtesy: whatever is wrong here is logged, and never touches a result or a callback.
"""

from __future__ import annotations

import logging

from xqueue_server.errors import StorageUnavailable
from xqueue_server.instant import SECOND_US
from xqueue_server.monitoring import metrics
from xqueue_server.monitoring.metrics import Phase
from xqueue_server.storage import Storage, phases
from xqueue_server.storage.phases import Phases

log = logging.getLogger(__name__)


def graded(storage: Storage, key_hash: bytes) -> Phases | None:
    """Observe what led to the result that came with this key; returns it."""
    try:
        with storage.read() as tx:
            found = phases.of_key(tx, key_hash)
    except StorageUnavailable as error:
        _not_measured(error)
        return None
    if found is None:  # a trial
        return None
    metrics.WAIT.labels(found.queue).observe(_seconds(found.wait_us))
    metrics.GRADING.labels(found.queue).observe(_seconds(found.service_us))
    metrics.observe_phase(found.queue, Phase.QUEUE, _seconds(found.wait_us))
    if found.prepare_us is not None:
        metrics.observe_phase(found.queue, Phase.PREPARE, _seconds(found.prepare_us))
    if found.run_us is not None:
        metrics.observe_phase(found.queue, Phase.RUN, _seconds(found.run_us))
    told_us = (found.prepare_us or 0) + (found.run_us or 0)
    metrics.observe_phase(found.queue, Phase.REPORT, _seconds(found.service_us - told_us))
    return found


def delivered(storage: Storage, callback_id: int) -> None:
    """Observe how long it took until the LMS had the result that this callback tells."""
    try:
        with storage.read() as tx:
            found = phases.of_callback(tx, callback_id)
    except StorageUnavailable as error:
        _not_measured(error)
        return
    if found is None or found.deliver_us is None:
        return
    metrics.observe_phase(found.queue, Phase.DELIVER, _seconds(found.deliver_us))
    metrics.TURNAROUND.labels(found.queue).observe(
        _seconds(found.wait_us + found.service_us + found.deliver_us)
    )


def _not_measured(error: StorageUnavailable) -> None:
    log.warning("not measured", extra={"action": "not_measured", "why": str(error)})


def _seconds(duration_us: int) -> float:
    return max(0.0, duration_us / SECOND_US)
