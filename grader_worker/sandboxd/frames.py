"""Frames on the sandboxd socket: four bytes of length, big-endian, then a JSON object."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from grader_worker.errors import FrameError

_LENGTH = struct.Struct("!I")
MIB = 1024 * 1024
MAX_REQUEST_BYTES = 48 * MIB
"""Holds `sandbox.run.MAX_JOB_BYTES` and more."""
MAX_ANSWER_BYTES = 16 * MIB
"""Holds `Limits.result_bytes` after escaping."""


def send_frame(connection: socket.socket, message: dict[str, Any]) -> None:
    """Raises OSError when the other end is gone."""
    # ASCII, so that lone surrogates in a learner's output survive the way.
    data = json.dumps(message, ensure_ascii=True).encode("ascii")
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive_frame(connection: socket.socket, *, max_bytes: int) -> dict[str, Any] | None:
    """The next frame, or None when the other end closed between frames.

    Raises:
        FrameError: too long, cut short or not a JSON object.
        OSError: the connection broke, or its timeout passed (TimeoutError).
    """
    head = _receive_exactly(connection, _LENGTH.size)
    if not head:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > max_bytes:
        raise FrameError(f"a frame of {length} bytes, at most {max_bytes}")
    try:
        message = json.loads(_receive_exactly(connection, length))
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame that is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise FrameError("a frame that is not a JSON object")
    return message


def _receive_exactly(connection: socket.socket, length: int) -> bytes:
    """`length` bytes, or none at all when the other end closed before the first."""
    data = bytearray()
    while len(data) < length:
        chunk = connection.recv(min(length - len(data), MIB))
        if not chunk:
            if not data:
                return b""
            raise FrameError(f"the connection ended after {len(data)} of {length} bytes")
        data += chunk
    return bytes(data)
