"""What the time is, for learners' pages: beside them, so that a proxy that passes these pages on
passes it on, too. As the exam service tells it (see `exam_service_time`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

from flask import Flask, Response

from proctoring_hooks.web.exam_service_errors import Problem
from proctoring_hooks.web.exam_service_time import MOST_A_SECOND, Rate, tell_time
from xqueue_server.errors import StorageUnavailable
from xqueue_server.web.admin.security import protect
from xqueue_server.web.proctoring.paths import TIME


def add_time(app: Flask, time_s: Callable[[], float]) -> None:
    rate = Rate(MOST_A_SECOND, time.monotonic)

    def serve() -> Response:
        try:
            response = tell_time(time_s, rate)
        except Problem as problem:
            response = problem.response()
        except StorageUnavailable:
            away = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Temporarily unavailable.")
            response = away.response()
        return protect(response)

    app.add_url_rule(
        TIME, "learners time", serve, methods=["POST"], provide_automatic_options=False
    )
