"""The faces of proctored exams, each under a prefix that a proxy can fence."""

from __future__ import annotations

import time
from functools import partial

from flask import Flask

from proctoring_hooks.web.worker_assets import worker_assets
from xqueue_server.web.proctoring.console import add_console, open_console
from xqueue_server.web.proctoring.exams import DatabaseTime, add_exam_service
from xqueue_server.web.proctoring.learner_page import add_learner_page
from xqueue_server.web.proctoring.provider import provider
from xqueue_server.web.proctoring.server_time import add_time
from xqueue_server.web.proctoring.worker import worker_hosting
from xqueue_server.web.services import Services


def add_proctoring(app: Flask, services: Services) -> None:
    """`/proctoring/…` for LMSes whose provider we are and for pages, `/exams/…` for the exam
    service."""
    workers = worker_hosting(services)
    app.register_blueprint(provider(services, partial(open_console, services)))
    time_s = DatabaseTime(services.proctoring, time.time, time.monotonic)
    add_exam_service(app, services, workers, time_s)
    add_time(app, time_s)
    add_console(app, services)
    add_learner_page(app, services)
    app.register_blueprint(worker_assets(workers))
