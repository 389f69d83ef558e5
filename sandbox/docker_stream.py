"""The attached stream of a container without a terminal: stdout and stderr in one, in 8-byte-headed
chunks."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

from sandbox.errors import SandboxUnavailable

HEADER = struct.Struct(">BxxxL")
STDERR = 2
STDERR_BYTES = 4096


class StreamDemultiplexer:
    """Separates what arrives; keeps all stdout it is asked to hold and the first of stderr."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0
        self._is_stderr = False
        self.stderr = bytearray()

    def feed(self, data: bytes) -> bytes:
        """The stdout bytes in this piece of the stream."""
        self._buffer += data
        out = bytearray()
        while self._buffer:
            if self._left == 0 and not self._next_header():
                break
            part = bytes(self._buffer[: self._left])
            del self._buffer[: len(part)]
            self._left -= len(part)
            if self._is_stderr:
                self.stderr += part[: STDERR_BYTES - len(self.stderr)]
            else:
                out += part
        return bytes(out)

    def _next_header(self) -> bool:
        if len(self._buffer) < HEADER.size:
            return False
        kind, self._left = HEADER.unpack_from(self._buffer)
        del self._buffer[: HEADER.size]
        self._is_stderr = kind == STDERR
        return True


class AttachedChannel:
    """Bytes to a container's stdin and from its stdout (a `conversation.Channel`)."""

    def __init__(self, attached: Any) -> None:
        # The SDK hands out a file object on a plain socket; the connection closes as soon as
        # either it or the response it came from is collected, so both are kept.
        self._attached = attached
        self._socket: socket.socket = getattr(attached, "_sock", attached)
        self._stream = StreamDemultiplexer()

    @property
    def stderr(self) -> str:
        return self._stream.stderr.decode(errors="replace").strip()

    def send(self, data: bytes, timeout_s: float) -> None:
        self._socket.settimeout(timeout_s)
        try:
            self._socket.sendall(data)
        except ConnectionError:
            raise
        except OSError as error:
            raise SandboxUnavailable(f"the container does not take its job: {error}") from error

    def receive(self, timeout_s: float) -> bytes:
        until = time.monotonic() + timeout_s
        while True:
            remaining_s = until - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError
            self._socket.settimeout(remaining_s)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise
            except OSError:
                return b""
            out = self._stream.feed(data)
            if out or not data:
                return out

    def close(self) -> None:
        self._attached.close()
        self._socket.close()
