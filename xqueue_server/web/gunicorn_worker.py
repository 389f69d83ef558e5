"""gunicorn's threaded worker, which on SIGTERM also sends waiting graders home.

A long poll may last 20 s; stopping should not.
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from gunicorn.workers.gthread import ThreadWorker

from xqueue_server.web.services import SERVICES


class Worker(ThreadWorker):
    metrics_place: int
    """Set before the fork (see `gunicorn_metrics`)."""

    def handle_exit(self, sig: Any, frame: Any) -> None:
        app = getattr(self, "wsgi", None)  # not there yet, if it is told to stop while it starts
        if isinstance(app, Flask):
            app.extensions[SERVICES].waiting.stop()
        super().handle_exit(sig, frame)
