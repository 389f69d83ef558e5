"""Uploads that belong to nobody: of a request that failed, or a process that died, half-way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from xqueue_server.ending import IsEnding, never
from xqueue_server.files import Files
from xqueue_server.storage import Storage, marks, stored_files

AGE_S = 24 * 3600
"""No request lasts that long: whatever it has stored is named by a submission by then."""
SUBMISSIONS_AT_ONCE = 500
BLOBS_AT_ONCE = 100
LISTED = "files listed"
"""The mark that keeps up to which submission all files are listed for good."""


def list_files(storage: Storage, *, is_ending: IsEnding = never) -> bool:
    """List the files of all submissions that are not listed yet; False if it was interrupted.

    The latest are listed too, but the mark stays before them: after a change of the database's
    clock (another host has become the primary) they may be dated in any order.
    """
    seen = 0
    while not is_ending():
        with storage.write() as tx:
            mark = marks.lock(tx, LISTED)
            after = max(mark, seen)
            listed = stored_files.list_next(tx, after=after, most=SUBMISSIONS_AT_ONCE)
            if after == mark:
                marks.move(tx, LISTED, listed.settled)
        if listed.is_last:
            return True
        seen = listed.last
    return False


def remove_leftovers(storage: Storage, files: Files, *, is_ending: IsEnding = never) -> int:
    """Remove the blobs that are older than a day and belong to no submission; returns how many.

    Raises: StorageUnavailable.
    """
    if not list_files(storage, is_ending=is_ending):
        return 0  # a file that is not listed yet must not be taken for left over
    removed = 0
    for blobs in _batches(files.older_than(AGE_S)):
        if is_ending():
            break
        with storage.read() as tx:
            left_over = stored_files.unlisted(tx, blobs)
        for blob in left_over:
            files.remove(blob)
        removed += len(left_over)
    return removed


def _batches(blobs: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(blobs, BLOBS_AT_ONCE)):
        yield batch
