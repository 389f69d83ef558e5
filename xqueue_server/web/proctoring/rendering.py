"""Templates and static files of these pages; the style and the live parts are the admin pages'."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from flask import Response, g
from jinja2 import Environment
from werkzeug.exceptions import HTTPException

from proctoring_hooks import web as hooks
from xqueue_server.web.admin import rendering as admin
from xqueue_server.web.admin.paths import at as admin_at
from xqueue_server.web.admin.security import protect
from xqueue_server.web.proctoring.paths import STATIC, at

_HERE = Path(__file__).parent
_ADMIN = Path(admin.__file__).parent
_FOLDERS = (_HERE / "static", _ADMIN / "static", Path(hooks.__file__).parent / "static")
_FILES = {
    "admin.css": "text/css; charset=utf-8",
    "admin.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "proctoring.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "clock.js": "text/javascript; charset=utf-8",
    "learner.js": "text/javascript; charset=utf-8",
}
_FOR_EVER = "public, max-age=31536000, immutable"
TITLES = {
    200: "Signed out",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "That does not fit",
    410: "This link has expired",
    422: "That can not be used",
    500: "Something broke here",
    503: "Not available",
}


@cache
def templates() -> Environment:
    environment = admin.make_environment(_HERE / "templates", _ADMIN / "templates")
    environment.globals.update(at=at, static=static_url, admin=admin_at(""))
    return environment


def render(template: str, /, **context: object) -> str:
    return templates().get_template(template).render(context)


def page(body: str, status: int = 200) -> Response:
    return Response(body, status, content_type="text/html; charset=utf-8")


def error_page(status: int, why: str, *, back: str | None = None, written: str = "") -> Response:
    """`back`: where to go on, if there is somewhere. `written`: what the reader had typed."""
    body = render(
        "proctoring_error.html",
        title=TITLES.get(status, "That did not work"),
        why=why,
        status=status,
        request_id=g.request_id,
        back=back,
        written=written,
    )
    return protect(page(body, status))


def http_error_page(error: HTTPException) -> Response:
    """For what the framework refuses by itself."""
    code = error.code or 400
    return error_page(code, "There is no such page." if code == 404 else f"{error.name}.")


def internal_error_page() -> Response:
    why = f"It is our fault. The server's log has it under request {g.request_id}."
    return error_page(500, why)


# -- static files --------------------------------------------------------------------------------


@cache
def static_url(name: str) -> str:
    return f"{STATIC}/{_digest(name)}/{name}"


@cache
def _digest(name: str) -> str:
    return hashlib.sha256(_path(name).read_bytes()).hexdigest()[:16]


def _path(name: str) -> Path:
    return next(folder / name for folder in _FOLDERS if (folder / name).is_file())


def static_file(digest: str, name: str) -> Response:
    """An older page's digest gets what there is now."""
    if name not in _FILES:
        return error_page(404, "There is no such file.")
    response = Response(_path(name).read_bytes(), content_type=_FILES[name])
    response.headers["Cache-Control"] = _FOR_EVER if digest == _digest(name) else "no-store"
    return protect(response)
