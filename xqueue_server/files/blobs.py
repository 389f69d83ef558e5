"""What every store of files has in common: how blobs are named, and copying within a limit."""

from __future__ import annotations

import re
import secrets
from typing import IO

from xqueue_server.errors import InvalidRequest

BLOB = re.compile(r"[0-9a-f]{32}")
CHUNK = 256 * 1024


def new_blob() -> str:
    """A name that says nothing and that nobody can guess."""
    return secrets.token_hex(16)


def place_of(blob: str) -> str:
    """Where a blob lies in a store, so that a directory may be copied to a bucket and back."""
    return f"{blob[:2]}/{blob}"


def copy(source: IO[bytes], target: IO[bytes], limit_bytes: int) -> int:
    """Returns the size in bytes. Raises: InvalidRequest if it is larger than `limit_bytes`."""
    size = 0
    while chunk := source.read(CHUNK):
        size += len(chunk)
        if size > limit_bytes:
            raise InvalidRequest(f"A file is larger than {limit_bytes} bytes")
        target.write(chunk)
    return size
