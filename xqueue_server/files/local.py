"""Uploaded files in a local directory.

The name of a file here is random and ours; what the learner called it is only ever text.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import IO, BinaryIO

from xqueue_server.errors import InvalidRequest, NotFound

BLOB = re.compile(r"[0-9a-f]{32}")
CHUNK = 256 * 1024


class LocalFiles:
    """A blob store in a directory of this host. Safe for several processes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, source: IO[bytes], *, limit_bytes: int) -> tuple[str, int]:
        """Copy a stream to stable storage; returns (blob, size in bytes).

        Raises:
            InvalidRequest: larger than `limit_bytes`; nothing is kept.
            OSError: the disk is full or not writable; nothing is kept.
        """
        blob = secrets.token_hex(16)
        path = self._path(blob)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(exist_ok=True)
        try:
            with path.open("xb") as target:
                size = _copy(source, target, limit_bytes)
                target.flush()
                os.fsync(target.fileno())
            _sync_directory(path.parent)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return blob, size

    def open(self, blob: str) -> BinaryIO:
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

    def _path(self, blob: str) -> Path:
        return self._directory / blob[:2] / blob


def _copy(source: IO[bytes], target: BinaryIO, limit_bytes: int) -> int:
    size = 0
    while chunk := source.read(CHUNK):
        size += len(chunk)
        if size > limit_bytes:
            raise InvalidRequest(f"A file is larger than {limit_bytes} bytes")
        target.write(chunk)
    return size


def _sync_directory(directory: Path) -> None:
    """Make the new name itself survive a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
