"""The worker's server side over a fake store, and an LMS page beside it, both on real sockets."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from wsgiref.types import WSGIApplication

from flask import Flask, Response
from werkzeug.serving import make_server

from proctoring_hooks.statuses import Status
from proctoring_hooks.web.worker_assets import PREFIX, WorkerHosting, worker_assets
from proctoring_hooks.worker.bundles import Bundles, our_bundle
from proctoring_hooks.worker.liveness import Report

LMS_ORIGIN = "https://apps.lms.example.org"
KEY = b"k" * 32


class FakeLiveness:
    """Attempts of the LMS "edx": external id -> status."""

    def __init__(self, attempts: Mapping[str, Status]) -> None:
        self.attempts = dict(attempts)
        self.told: list[tuple[str, Report]] = []

    def status(self, lms: str, attempt: str) -> Status | None:
        return self.attempts.get(attempt) if lms == "edx" else None

    def heard(self, lms: str, attempt: str, report: Report) -> Status | None:
        status = self.status(lms, attempt)
        if status is not None:
            self.told.append((attempt, report))
        return status


class Hours:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def application(
    liveness: FakeLiveness,
    clock: Hours,
    *,
    host: str = "https://xqueue.example.org",
    origins: Mapping[str, str] | None = None,
    bundles: Bundles | None = None,
) -> Flask:
    known = {LMS_ORIGIN: "edx"} if origins is None else origins
    base_url = host + PREFIX
    app = Flask("worker-site")
    app.register_blueprint(
        worker_assets(
            WorkerHosting(
                base_url=base_url,
                bundles=bundles or Bundles([our_bundle(base_url)]),
                lms_of_origin=known.get,
                liveness=liveness,
                ticket_key=KEY,
                now=clock,
            )
        )
    )
    return app


@contextmanager
def serving(app: WSGIApplication, port: int = 0) -> Iterator[str]:
    """Its address, until the end of the block."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


EXAM_PAGE = """
function say(bundle, message) {
  const blob = new Blob([`importScripts('${bundle}');`], { type: 'application/javascript' });
  const worker = new Worker(URL.createObjectURL(blob));
  return new Promise((resolve) => {
    worker.addEventListener('message', (event) => { worker.terminate(); resolve(event.data); });
    worker.addEventListener('error', (event) => { resolve({ type: 'no worker' }); });
    worker.postMessage(message);
  });
}
"""
"""As exam pages do it: a new worker for each message, from a blob that imports the bundle."""


POLICY = (
    "default-src 'none'",
    "script-src 'self' {host}",
    "worker-src blob:",
    "connect-src {host}",
)
"""The strictest that an LMS may have: what docs/how-to/proctoring-worker.md asks for."""


def exam_page(other_host: str, policy: Iterable[str] = POLICY) -> Flask:
    """Isolated from other origins, and allowed by its policy only what it needs."""
    app = Flask("exam-page")
    allowed = "; ".join(policy).format(host=other_host)

    @app.get("/")
    def page() -> Response:
        response = Response("<!doctype html><title>Exam</title><script src=/page.js></script>")
        response.headers["Content-Security-Policy"] = allowed
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Embedder-Policy"] = "require-corp"
        return response

    @app.get("/page.js")
    def script() -> Response:
        return Response(EXAM_PAGE, mimetype="text/javascript")

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status=204)

    return app
