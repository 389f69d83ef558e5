"""The routes for proctored exams, in the order of the reference page."""

from __future__ import annotations

from dataclasses import replace

from xqueue_server.web.api.exams import attempts, exams, time
from xqueue_server.web.api.exams.seeing import within_rules

EXAM_ROUTES = tuple(
    replace(route, view=within_rules(route.view))
    for route in (*exams.ROUTES, *attempts.ROUTES, *time.ROUTES)
)
