"""A client so cheap that it does not measure itself: raw sockets, prebuilt bytes, one thread.

What a virtual client does is a generator that yields `Request`s and is sent `Reply`s; `drive`
runs several of them over one epoll.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Generator, Sequence
from dataclasses import dataclass

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    data: bytes
    fresh: bool = False
    """Close the connection and open a new one first, as a new client session does."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes) -> bytes:
        """The first header of this name, or nothing."""
        start = self.head.lower().find(b"\r\n" + name.lower() + b":")
        if start < 0:
            return b""
        start += len(name) + 3
        return self.head[start : self.head.find(b"\r\n", start)].strip()


Actor = Generator[Request, Reply, None]


class ServerHungUp(Exception):
    """The connection was closed or stayed silent before a whole reply had come."""


def drive(address: tuple[str, int], actors: Sequence[Actor]) -> None:
    """Run the actors side by side until all have ended.

    Raises: ServerHungUp, OSError.
    """
    with selectors.EpollSelector() as selector:
        lines = [_Line(address, actor, selector) for actor in actors]
        try:
            busy = sum(line.begin() for line in lines)
            while busy:
                ready = selector.select(TIMEOUT_S)
                if not ready:
                    raise ServerHungUp(f"no reply for {TIMEOUT_S:.0f} s")
                busy -= sum(not key.data.advance() for key, _ in ready)
        finally:
            for line in lines:
                line.close()


class _Line:
    """One actor and its connection."""

    def __init__(
        self, address: tuple[str, int], actor: Actor, selector: selectors.EpollSelector
    ) -> None:
        self._address = address
        self._actor = actor
        self._selector = selector
        self._socket: socket.socket | None = None
        self._received = b""

    def begin(self) -> bool:
        """Send the first request; False if there is none."""
        try:
            self._send(next(self._actor))
        except StopIteration:
            return False
        return True

    def advance(self) -> bool:
        """Take what has arrived and go on if the reply is complete; False at the actor's end."""
        assert self._socket is not None
        chunk = self._socket.recv(65536)
        if not chunk:
            raise ServerHungUp(f"connection closed after {self._received[:200]!r}")
        self._received += chunk
        reply = _parse(self._received)
        if reply is None:
            return True
        self._received = b""
        try:
            self._send(self._actor.send(reply))
        except StopIteration:
            self.close()
            return False
        return True

    def _send(self, request: Request) -> None:
        if request.fresh:
            self.close()
        connection = self._socket or self._connect()
        connection.sendall(request.data)

    def _connect(self) -> socket.socket:
        self._socket = socket.create_connection(self._address, TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(self._socket, selectors.EVENT_READ, self)
        return self._socket

    def close(self) -> None:
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None


def _parse(received: bytes) -> Reply | None:
    """The reply, if it is all there. Every reply of the server has a Content-Length."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[: end + 2]
    draft = Reply(int(head[9:12]), head, received[end + 4 :])
    return draft if len(draft.body) >= int(draft.header(b"content-length")) else None
