"""What is removed when its time is over: trials, bundles that nobody published, old readiness."""

from __future__ import annotations

from dataclasses import dataclass

from xqueue_server.files.local import LocalFiles
from xqueue_server.storage import Storage, bundles, readiness, trials

BATCH = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    trials: int = 0
    bundles: int = 0


def remove_expired_trials(storage: Storage, files: LocalFiles) -> int:
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
        if not expired.count:  # another sweeper has them
            return removed
        removed += expired.count


def tidy(storage: Storage, files: LocalFiles) -> Tidied:
    """Everything; meant to be done every few minutes. Raises: StorageUnavailable."""
    removed = remove_expired_trials(storage, files)
    with storage.write() as tx:
        unused = bundles.remove_unused(tx)
        readiness.forget_old(tx)
    return Tidied(trials=removed, bundles=unused)
