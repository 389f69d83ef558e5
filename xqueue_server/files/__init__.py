"""Uploaded files: where their bytes are kept, and the signed addresses graders get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Protocol


class Files(Protocol):
    """A store of blobs; what is in it is found only by the names that it gives itself.

    A store elsewhere that can not be used now raises FilesUnavailable, which is an OSError.
    """

    def save(self, source: IO[bytes], *, limit_bytes: int) -> tuple[str, int]:
        """Copy a stream to stable storage; returns (blob, size in bytes).

        Raises:
            InvalidRequest: larger than `limit_bytes`; nothing is kept.
            OSError: the store is full, or can not be reached; nothing is kept.
        """

    def open(self, blob: str) -> IO[bytes]:
        """Seekable, to be closed. Raises: NotFound, OSError."""

    def remove(self, blob: str) -> None:
        """Forget a file; it is no error if it is gone already. Raises: OSError."""

    def older_than(self, age_s: float) -> Iterator[str]:
        """The blobs that were saved longer ago, by the store's own clock, in no order.

        Raises: OSError.
        """

    def address(self, blob: str) -> str | None:
        """An absolute URL at the store itself that works without a login for as long as the
        settings say; None where (or while) only this server hands out its files."""
