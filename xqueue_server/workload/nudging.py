"""Nudges that were lost: topped up for what still waits, so that no worker idles beside work.

A Redis that was away or flushed, or a server that died between storing and nudging, cost nudges;
a lane whose workers are away gets no more than `MOST_NUDGES`, whatever waits.
"""

from __future__ import annotations

import logging

from xqueue_server.dispatch import Dispatcher, DispatchUnavailable
from xqueue_server.storage import Storage, counting

log = logging.getLogger(__name__)

MOST_NUDGES = 100


class Nudges:
    """Remembers whether Redis was there, so that its coming and going are logged once each."""

    def __init__(self, storage: Storage, dispatcher: Dispatcher) -> None:
        self._storage = storage
        self._dispatcher = dispatcher
        self._is_away = False

    def top_up(self) -> int:
        """Nudge for each queue that is not paused until as many nudges are under way as
        submissions wait; returns how many it took. Raises: StorageUnavailable.
        """
        with self._storage.read() as tx:
            ready = counting.ready_by_queue(tx, most=MOST_NUDGES)
        try:
            sent = sum(self._dispatcher.top_up(queue, count) for queue, count in ready.items())
        except DispatchUnavailable as error:
            self._note(is_away=True, why=str(error))
            return 0
        if ready:  # else nobody was asked
            self._note(is_away=False)
        return sent

    def _note(self, *, is_away: bool, why: str = "") -> None:
        if is_away and not self._is_away:
            extra = {"action": "nudges_paused", "why": why}
            log.warning("Redis is away; workers look by themselves", extra=extra)
        elif self._is_away and not is_away:
            log.info("Redis is back", extra={"action": "nudges_resumed"})
        self._is_away = is_away
