"""Ends attempts at exams whose time is over, with no help of the learner's browser.

An attempt ends at its `expires_at` whenever it is looked at; this is so that it is looked at.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from proctoring_hooks import attempts
from xqueue_server.ending import IsEnding, never
from xqueue_server.errors import StorageUnavailable
from xqueue_server.monitoring import metrics
from xqueue_server.storage.proctoring import ProctoringStore

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
"""An attempt that begins meanwhile and lasts for less is found that much later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    ended: int
    wait_s: float
    """Until there may be more to do."""


def end_what_has_run_out(store: ProctoringStore, *, is_ending: IsEnding = never) -> Round:
    """One attempt for each transaction: so any number of sweepers share the work, and one that can
    not be ended keeps no other waiting. It is tried again in the next round.

    Raises: StorageUnavailable.
    """
    ended = 0
    failed: set[int] = set()
    while _has_run_out(store, failed) and not is_ending():
        try:
            if not _end_one(store, failed):
                break  # other sweepers have them
        except _NotEnded as error:
            metrics.ERRORS.labels("sweep").inc()
            log.exception(
                "an attempt could not be ended",
                extra={"action": "attempt_not_ended", "attempt_id": error.attempt_id},
            )
            failed.add(error.attempt_id)
        else:
            ended += 1
    return Round(ended=ended, wait_s=_wait_s(store))


class _NotEnded(Exception):
    def __init__(self, attempt_id: int) -> None:
        super().__init__(f"attempt {attempt_id}")
        self.attempt_id = attempt_id


def _has_run_out(store: ProctoringStore, failed: set[int]) -> bool:
    with store.read() as session:
        return bool(session.attempts.run_out(limit=1, but=failed))


def _end_one(store: ProctoringStore, failed: set[int]) -> bool:
    """False: no sweeper but those that are at it has any left."""
    attempt_id = None
    try:
        with store.write() as session:
            for attempt_id in session.attempts.run_out(limit=1, but=failed):
                attempts.submit_if_run_out(session, attempt_id)
    except StorageUnavailable:
        raise
    except Exception as error:
        if attempt_id is None:
            raise
        raise _NotEnded(attempt_id) from error
    return attempt_id is not None


def _wait_s(store: ProctoringStore) -> float:
    with store.read() as session:
        next_end_in_s = session.attempts.next_end_in_s()
    return LOOK_EVERY_S if next_end_in_s is None else min(LOOK_EVERY_S, next_end_in_s)
