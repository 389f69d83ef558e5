"""The attached stream of a container without a terminal: stdout and stderr in one, in 8-byte-headed
chunks."""

from __future__ import annotations

import select
import socket
import struct
import time

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

    def __init__(self, connection: socket.socket, rest: bytes = b"") -> None:
        self._socket = connection
        self._stream = StreamDemultiplexer()
        self._early = self._stream.feed(rest)

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
        if self._early:
            early, self._early = self._early, b""
            return early
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

    def end_input(self) -> None:
        """The container's stdin ends; its output can still be read."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def await_end(self, timeout_s: float) -> None:
        """Wait for the container's end, throwing away what it still says."""
        until = time.monotonic() + timeout_s
        while (remaining_s := until - time.monotonic()) > 0:
            self._socket.settimeout(remaining_s)
            try:
                if not self._socket.recv(65536):
                    return
            except OSError:
                return

    def is_silent(self) -> bool:
        """Whether nothing has arrived, not even the stream's end: how a waiting container is."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not self._early and not poll.poll(0)

    def close(self) -> None:
        self._socket.close()
