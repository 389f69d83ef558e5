"""What a reverse proxy does: one address, of which one path goes to the streams' process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

STREAMS = b"GET /proctoring/events"
MOST_HEAD = 65_536


@contextmanager
def one_address(port: int, *, serve: int, events: int) -> Iterator[None]:
    """Listens on the port of 127.0.0.1 for as long as the block runs. One request a connection."""
    with closing(socket.create_server(("127.0.0.1", port))) as listening:
        accepting = threading.Thread(target=_accept, args=(listening, serve, events))
        accepting.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(listening: socket.socket, serve: int, events: int) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_pass_on, args=(client, serve, events), daemon=True).start()


def _pass_on(client: socket.socket, serve: int, events: int) -> None:
    with closing(client), suppress(OSError):
        head, body = _head(client)
        if not head:
            return
        target = events if head.startswith(STREAMS) else serve
        lines = [
            line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")
        ]
        with closing(socket.create_connection(("127.0.0.1", target))) as server:
            server.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
            back = threading.Thread(target=_copy, args=(client, server), daemon=True)
            back.start()
            _copy(server, client)
            for each in (client, server):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            back.join()


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    received = b""
    while b"\r\n\r\n" not in received and len(received) < MOST_HEAD:
        more = client.recv(MOST_HEAD)
        if not more:
            return b"", b""
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while some := source.recv(MOST_HEAD):
            target.sendall(some)
        target.shutdown(socket.SHUT_WR)
