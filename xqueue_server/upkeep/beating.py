"""Signs of life of the processes beside `serve`, for `doctor`, /heartbeat, and alerts."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable

from xqueue_server.errors import StorageUnavailable
from xqueue_server.storage import Storage, beats

log = logging.getLogger(__name__)

DELIVER = "deliver"
SWEEP = "sweep"
EVENTS = "events"


def heart(
    storage: Storage, process: str, *, monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], None]:
    """What the process's own loop calls each time around, so that one that hangs falls silent.

    Writes once in 10 s. Never raises for a database that is away: the work will notice.
    """
    who = f"{socket.gethostname()}:{os.getpid()}"
    due_at = monotonic()

    def beat() -> None:
        nonlocal due_at
        if monotonic() < due_at:
            return
        due_at = monotonic() + beats.BEAT_S
        try:
            with storage.write() as tx:
                beats.beat(tx, process, who)
                beats.forget_old(tx)
        except StorageUnavailable as error:
            log.warning("no database", extra={"action": "beat_missed", "why": str(error)})

    return beat
