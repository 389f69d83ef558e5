"""Whether this process lives, and whether it can work."""

from __future__ import annotations

from flask import Flask, Response, jsonify

from xqueue_server.errors import StorageUnavailable
from xqueue_server.storage import migration
from xqueue_server.web.services import Services


def add_health(app: Flask, services: Services) -> None:
    def healthz() -> Response:
        return jsonify(status="ok")

    def readyz() -> Response:
        problem = _problem(services)
        response = jsonify(status="unavailable", why=problem) if problem else jsonify(status="ok")
        response.status_code = 503 if problem else 200
        return response

    app.add_url_rule("/healthz", "healthz", healthz)
    app.add_url_rule("/readyz", "readyz", readyz)


def _problem(services: Services) -> str | None:
    try:
        if not migration.is_current(services.storage):
            return "the database is not migrated; run `xqueue-server db upgrade`"
    except StorageUnavailable:
        return "the database can not be reached"
    return None
