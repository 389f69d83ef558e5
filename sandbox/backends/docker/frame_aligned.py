"""A channel that gives frames one at a time, so that what follows the last frame of one run is
still there for the next reader."""

from __future__ import annotations

from sandbox.backends.docker.attached import AttachedChannel
from sandbox.supervisor.frames import HEADER_BYTES


class FrameAlignedChannel:
    """Never gives bytes of two frames at once. Whether a frame is too long, its reader decides."""

    def __init__(self, channel: AttachedChannel) -> None:
        self._channel = channel
        self._buffer = bytearray()
        self._left = 0
        """Of the frame whose beginning was given."""

    def send(self, data: bytes, timeout_s: float) -> None:
        self._channel.send(data, timeout_s)

    def receive(self, timeout_s: float) -> bytes:
        """As `conversation.Channel`; a frame may come in pieces. Raises TimeoutError."""
        # Without its length nothing of a frame is given; `timeout_s` is per piece that arrives.
        while len(self._buffer) < (1 if self._left else HEADER_BYTES):
            more = self._channel.receive(timeout_s)
            if not more:
                return b""
            self._buffer += more
        if self._left == 0:
            length = int.from_bytes(self._buffer[:HEADER_BYTES], "big")
            self._left = HEADER_BYTES + length
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: len(piece)]
        self._left -= len(piece)
        return piece

    def is_silent(self) -> bool:
        """Whether nothing has arrived that was not given, not even the stream's end."""
        return not self._buffer and self._channel.is_silent()
