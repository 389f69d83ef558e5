"""Uploaded files in a local directory.

The name of a file here is random and ours; what the learner called it is only ever text.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from xqueue_server.errors import NotFound
from xqueue_server.files.blobs import BLOB, copy, new_blob, place_of


class LocalFiles:
    """A blob store in a directory of this host. Safe for several processes."""

    def __init__(self, directory: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now_s = now_s

    def save(self, source: IO[bytes], *, limit_bytes: int) -> tuple[str, int]:
        """Copy a stream to stable storage; returns (blob, size in bytes).

        Raises:
            InvalidRequest: larger than `limit_bytes`; nothing is kept.
            OSError: the disk is full or not writable; nothing is kept.
        """
        blob = new_blob()
        path = self._path(blob)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(exist_ok=True)
        try:
            with path.open("xb") as target:
                size = copy(source, target, limit_bytes)
                target.flush()
                os.fsync(target.fileno())
            _sync_directory(path.parent)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return blob, size

    def open(self, blob: str) -> IO[bytes]:
        """Raises: NotFound."""
        if not BLOB.fullmatch(blob):
            raise NotFound("no such file")
        try:
            return self._path(blob).open("rb")
        except FileNotFoundError:
            raise NotFound("no such file") from None

    def remove(self, blob: str) -> None:
        """Forget a file; it is no error if it is gone already."""
        self._path(blob).unlink(missing_ok=True)

    def older_than(self, age_s: float) -> Iterator[str]:
        """The blobs that were saved longer ago, in no order. What else lies there is left alone."""
        latest = self._now_s() - age_s
        for path in self._directory.glob("??/*"):
            with suppress(FileNotFoundError):  # removed meanwhile
                if BLOB.fullmatch(path.name) and path.stat().st_mtime < latest:
                    yield path.name

    def address(self, blob: str) -> None:
        """Only the server hands them out."""

    def _path(self, blob: str) -> Path:
        return self._directory / place_of(blob)


def _sync_directory(directory: Path) -> None:
    """Make the new name itself survive a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
