"""The HTTP side of the stand-in LMS: callbacks, and a page to look at."""

from __future__ import annotations

import socket
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    location: str | None = None


class Lms(Protocol):
    """What the requests are about."""

    def take_callback(self, path: str, form: dict[str, str]) -> Answer: ...

    def page(self) -> str: ...

    def submit_from_page(self, form: dict[str, str]) -> str | None:
        """A sentence about what happened; None if this LMS has no form."""


class LmsServer(ThreadingHTTPServer):
    """Knows its open connections, so that going down cuts them as a dead LMS would."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, lms: Lms, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.lms = lms
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self.shutdown()
        self._thread.join()
        for connection in tuple(self._open):
            _cut(connection)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tracebacks are for our own mistakes: a peer that hangs up is normal here."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # its thread was faster


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LmsServer

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/":
            self._reply(HTTPStatus.OK, self.server.lms.page())
        else:
            self._reply(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        form = self._read_form()
        path = urlsplit(self.path).path
        if path.startswith("/courses/"):
            answer = self.server.lms.take_callback(path, form)
            self._reply(answer.status, location=answer.location)
            return
        said = self.server.lms.submit_from_page(form) if path == "/submit" else None
        if said is None:
            self._reply(HTTPStatus.NOT_FOUND)
        else:
            self._reply(HTTPStatus.OK, said + "\n", "text/plain")

    def log_message(self, format: str, *args: Any) -> None:
        """Callbacks are recorded, not logged."""

    def _read_form(self) -> dict[str, str]:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        fields = parse_qs(raw.decode("utf-8", "replace"), keep_blank_values=True)
        return {name: values[-1] for name, values in fields.items()}

    def _reply(
        self, status: int, text: str = "", kind: str = "text/html", location: str | None = None
    ) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if location is not None:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)
