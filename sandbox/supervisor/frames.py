"""Length-prefixed JSON objects: the language between host, supervisor and grader.

Four bytes big-endian length, then UTF-8 JSON. Bytes travel as base64 text. Nothing that could
execute on decoding (no pickle, no marshal) is accepted.
"""

from __future__ import annotations

import binascii
import os

from sandbox.supervisor import light_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Frame = dict[str, Any]

HEADER_BYTES = 4
MAX_FRAME_BYTES = 8 * 1024 * 1024
MAX_START_BYTES = 64 * 1024 * 1024
"""The host's first frame carries a whole grader directory."""


class FrameError(Exception):
    """The other side sent something that is not a frame, or one that is too large."""


def encode(frame: Mapping[str, Any]) -> bytes:
    """Raises FrameError for what is nested too deeply, which decoding alone may have borne."""
    try:
        body = light_json.dumps(dict(frame)).encode()
    except RecursionError:
        raise FrameError("a frame is nested too deeply") from None
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def decode_body(body: bytes) -> Frame:
    """Raises FrameError for anything but a JSON object, however it is broken."""
    try:
        frame = light_json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame is not JSON: {error}"[:300]) from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise FrameError('a frame is not an object with a "type"')
    return frame


def pack_bytes(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def unpack_bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise FrameError("expected base64 text")
    try:
        return binascii.a2b_base64(text.encode(), strict_mode=True)
    except ValueError as error:
        raise FrameError(f"not base64: {error}") from None


class FrameDecoder:
    """Cuts a byte stream into frames, holding at most one frame in memory."""

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next complete frame, or None until more bytes are fed."""
        if len(self._buffer) < HEADER_BYTES:
            return None
        length = int.from_bytes(self._buffer[:HEADER_BYTES], "big")
        if length > self._max_bytes:
            raise FrameError(f"a frame of {length} bytes; the most is {self._max_bytes}")
        end = HEADER_BYTES + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[HEADER_BYTES:end])
        del self._buffer[:end]
        return decode_body(body)


def read_frame(fd: int, max_bytes: int = MAX_FRAME_BYTES) -> Frame | None:
    """Block for one frame; None when the other side has closed."""
    header = _read_exactly(fd, HEADER_BYTES)
    if header is None:
        return None
    length = int.from_bytes(header, "big")
    if length > max_bytes:
        raise FrameError(f"a frame of {length} bytes; the most is {max_bytes}")
    body = _read_exactly(fd, length)
    return None if body is None else decode_body(body)


def write_frame(fd: int, frame: Mapping[str, Any]) -> None:
    """Block until the whole frame is written."""
    data = memoryview(encode(frame))
    while data:
        data = data[os.write(fd, data) :]


def _read_exactly(fd: int, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = os.read(fd, min(count - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)
