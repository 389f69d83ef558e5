"""What is removed when its time is over: trials, bundles that nobody published, old readiness,
answers kept for requests that come again, silent hosts."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from xqueue_server.ending import IsEnding, never
from xqueue_server.files import Files
from xqueue_server.models.callback import CallbackState
from xqueue_server.storage import (
    Storage,
    bundles,
    callbacks,
    idempotency,
    marks,
    readiness,
    trials,
)
from xqueue_server.workload import workforce

log = logging.getLogger(__name__)

BATCH = 50
DEAD_LETTERS = "dead letters"
TELL_EVERY_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    trials: int = 0
    bundles: int = 0


def remove_expired_trials(storage: Storage, files: Files, *, is_ending: IsEnding = never) -> int:
    """With their files. A crash in between leaves files that nobody can address."""
    removed = 0
    while True:
        with storage.read() as tx:
            if not trials.has_expired(tx):
                return removed
        with storage.write() as tx:
            expired = trials.remove_expired(tx, BATCH)
        for blob in expired.blobs:
            files.remove(blob)
        removed += expired.count
        if not expired.count or is_ending():  # none: another sweeper has them
            return removed


def tidy(storage: Storage, files: Files, *, is_ending: IsEnding = never) -> Tidied:
    """Everything; meant to be done every few minutes. Raises: StorageUnavailable."""
    removed = remove_expired_trials(storage, files, is_ending=is_ending)
    with storage.write() as tx:
        unused = bundles.remove_unused(tx)
        readiness.forget_old(tx)
        idempotency.forget_old(tx)
    workforce.forget_old(storage)
    return Tidied(trials=removed, bundles=unused)


def tell_of_dead_letters(storage: Storage) -> None:
    """Log once an hour, for each LMS, how many callbacks it has not taken; they are kept.

    Raises: StorageUnavailable.
    """
    with storage.write() as tx:
        if not marks.claim(tx, DEAD_LETTERS, every_s=TELL_EVERY_S):
            return
    with storage.read() as tx:
        dead = [each for each in callbacks.backlog(tx) if each.state is CallbackState.DEAD]
    for each in dead:
        log.error(
            "callbacks are dead; replay them when the LMS is well",
            extra={
                "action": "dead_letters",
                "origin": each.origin,
                "count": each.count,
                "oldest_at": each.oldest_at.isoformat(),
            },
        )
