"""Pages that say what did not work."""

from __future__ import annotations

from flask import Response, g
from werkzeug.exceptions import HTTPException

from xqueue_server.web.admin.call import AdminCall
from xqueue_server.web.admin.rendering import render
from xqueue_server.web.admin.security import protect

TITLES = {
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "That does not fit",
    422: "That can not be used",
    500: "Something broke here",
    503: "Not available",
}


def error_page(status: int, why: str, *, call: AdminCall | None = None) -> Response:
    body = render(
        "error.html",
        title=TITLES.get(status, "That did not work"),
        why=why,
        status=status,
        call=call,
        notice=None,
        request_id=g.request_id,
    )
    return protect(Response(body, status, content_type="text/html; charset=utf-8"))


def http_error_page(error: HTTPException) -> Response:
    """For what the framework refuses by itself."""
    code = error.code or 400
    return error_page(code, "There is no such page." if code == 404 else f"{error.name}.")


def internal_error_page() -> Response:
    why = f"It is our fault. The server's log has it under request {g.request_id}."
    return error_page(500, why)
