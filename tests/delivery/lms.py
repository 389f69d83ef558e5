"""An LMS on 127.0.0.1 that answers by script and remembers what it was sent."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True, kw_only=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes
    connection: int
    """Number of the connection that it came over."""

    @property
    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.raw.decode(), keep_blank_values=True, strict_parsing=True)

    @property
    def message(self) -> str:
        return self.form["xqueue_body"][0]


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    wait_for: threading.Event | None = None
    """Answer only when this is set."""
    raw: Callable[[socket.socket], None] | None = None
    """Write to the connection instead of answering, then close it."""


Answers = Callable[[Received], Reply]


class ScriptedLms:
    """`script` is used up first, then `answer` decides; 200 unless told otherwise."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: list[Reply | int] = []
        self.answer: Answers = lambda _: Reply()
        self.received: list[Received] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._server = _server(self)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https" if tls else "http"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def origin(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def messages(self) -> list[str]:
        return [each.message for each in self.received]

    def always(self, status: int, **headers: str) -> None:
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = lambda _: Reply(status=status, headers=shown)

    def take(self, received: Received) -> Reply:
        with self._lock:
            self.received.append(received)
            reply = self.script.pop(0) if self.script else self.answer(received)
        return Reply(status=reply) if isinstance(reply, int) else reply

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _server(lms: ScriptedLms) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            lms.connections += 1
            self.number = lms.connections

        def _any(self) -> None:
            announced = int(self.headers.get("Content-Length", 0))
            raw = self.rfile.read(announced)
            if len(raw) < announced:  # the sender was killed in the middle: no LMS would act on it
                self.close_connection = True
                return
            reply = lms.take(
                Received(
                    method=self.command,
                    path=self.requestline.split()[1],  # self.path has lost slashes
                    headers={k.lower(): v for k, v in self.headers.items()},
                    raw=raw,
                    connection=self.number,
                )
            )
            if reply.wait_for:
                reply.wait_for.wait(60)
            try:
                self._send(reply)
            except OSError:  # the sender has lost patience
                self.close_connection = True

        do_POST = _any  # noqa: N815 - http.server's name
        do_GET = _any  # noqa: N815
        do_PATCH = _any  # noqa: N815
        do_DELETE = _any  # noqa: N815

        def _send(self, reply: Reply) -> None:
            if reply.raw:
                self.close_connection = True
                reply.raw(self.connection)
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status not in (204, 304):
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if reply.status not in (204, 304):
                self.wfile.write(reply.body)

        def log_message(self, *_args: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A sender that went away is no news."""

    return Server(("127.0.0.1", 0), Handler)


@contextmanager
def running_lms(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedLms]:
    lms = ScriptedLms(tls)
    try:
        yield lms
    finally:
        lms.close()
