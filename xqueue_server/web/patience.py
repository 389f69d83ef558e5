"""Waiting for a database that is away for a moment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from xqueue_server.errors import StorageUnavailable

T = TypeVar("T")
PATIENCE_S = 5.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5

log = logging.getLogger(__name__)


class Patience:
    """One request's patience with the database, shared by all that the request does."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self.start_again()

    def start_again(self) -> None:
        """After a wait that had nothing to do with the database."""
        self._until = self._monotonic() + PATIENCE_S

    def with_database(self, work: Callable[[bool], T]) -> T:
        """Call `work(is_retry)` until it does not raise StorageUnavailable.

        `work` must be safe to repeat: the try before may have been committed.

        Raises: StorageUnavailable once the request's time is used up.
        """
        pause_s = FIRST_PAUSE_S
        is_retry = False
        while True:
            try:
                return work(is_retry)
            except StorageUnavailable as error:
                log.warning(
                    "database away", extra={"action": "wait_for_database", "why": str(error)}
                )
                if self._monotonic() + pause_s > self._until:
                    raise
            self._sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            is_retry = True
