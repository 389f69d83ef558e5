"""gunicorn's threaded worker, which on SIGTERM also sends waiting graders home, and answers
all whose connection the kernel has taken.

A long poll may last 20 s; stopping should not. What was sent on a connection that nobody accepted
is lost, and an LMS does not send a learner's submission again.
"""

from __future__ import annotations

import select
from typing import Any

from flask import Flask
from gunicorn.workers.gthread import ThreadWorker

from xqueue_server.web.services import SERVICES


class Worker(ThreadWorker):
    metrics_place: int
    """Set before the fork (see `gunicorn_metrics`)."""
    _is_told_to_stop = False
    """Unlike a worker that is replaced after many requests: others go on listening then."""

    def handle_exit(self, sig: Any, frame: Any) -> None:
        self._is_told_to_stop = True
        app = getattr(self, "wsgi", None)  # not there yet, if it is told to stop while it starts
        if isinstance(app, Flask):
            app.extensions[SERVICES].waiting.stop()
        super().handle_exit(sig, frame)

    def set_accept_enabled(self, enabled: bool | None) -> None:
        # In the end gunicorn only looks away from its listeners, and until its last request is
        # answered the kernel would go on taking connections. Closed, they refuse, and a proxy asks
        # the next server.
        if enabled or not self._is_told_to_stop:
            super().set_accept_enabled(enabled)
            return
        for listener in self.sockets:
            while select.select([listener], [], [], 0)[0]:
                self.accept(listener)
        super().set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
