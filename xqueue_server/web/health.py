"""Whether this process lives, whether it can work, and what exactly is wrong if it can not.

/healthz says only that the process answers, so that nobody restarts it for a database's sake.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from flask import Flask, Response, jsonify

from xqueue_server.errors import StorageUnavailable
from xqueue_server.storage import beats, migration
from xqueue_server.upkeep.beating import DELIVER, SWEEP
from xqueue_server.web.services import Services

GOOD = "OK"
AWAY = "the database can not be reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that the server needs."""

    name: str
    problem: Callable[[Services], str | None]
    is_vital: bool = True
    """Without it no submission can be taken; without the others all goes on, a little slower."""


def _database(services: Services) -> str | None:
    try:
        migration.current(services.storage)
    except StorageUnavailable:
        return AWAY
    return None


def _migrations(services: Services) -> str | None:
    try:
        return migration.problem(services.storage)
    except StorageUnavailable:
        return AWAY


def _files(services: Services) -> str | None:
    directory = services.settings.data_dir
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return None
    except OSError as error:
        return f"the data directory can not be written to: {error.strerror}"


def _redis(services: Services) -> str | None:
    if services.dispatcher.answers():
        return None
    return "Redis does not answer: workers are not told of new work, and find it by polling"


def _process(name: str, services: Services) -> str | None:
    try:
        with services.storage.read() as tx:
            silent_s = beats.ages_s(tx).get(name, math.inf)
    except StorageUnavailable:
        return AWAY
    if silent_s <= beats.SILENT_S:
        return None
    since = "a day or more" if math.isinf(silent_s) else f"{silent_s:.0f} s"
    return f"no sign of life for {since}; start: xqueue-server {name}"


PARTS = (
    Part(name="database", problem=_database),
    Part(name="migrations", problem=_migrations),
    Part(name="files", problem=_files),
    Part(name="redis", problem=_redis, is_vital=False),
    Part(name=DELIVER, problem=partial(_process, DELIVER), is_vital=False),
    Part(name=SWEEP, problem=partial(_process, SWEEP), is_vital=False),
)


def add_health(app: Flask, services: Services) -> None:
    def healthz() -> Response:
        return jsonify(status="ok")

    def readyz() -> Response:
        problem = _migrations(services)
        response = jsonify(status="unavailable", why=problem) if problem else jsonify(status="ok")
        response.status_code = 503 if problem else 200
        return response

    def heartbeat() -> Response:
        """In the form of the LMS's own: part -> whether it is well, and what is wrong."""
        problems = {part: part.problem(services) for part in PARTS}
        response = jsonify(
            {p.name: {"status": not why, "message": why or GOOD} for p, why in problems.items()}
        )
        is_alive = not any(why and part.is_vital for part, why in problems.items())
        response.status_code = 200 if is_alive else 503
        return response

    app.add_url_rule("/healthz", "healthz", healthz)
    app.add_url_rule("/readyz", "readyz", readyz)
    app.add_url_rule("/heartbeat", "heartbeat", heartbeat)
