"""Templates and static files. Files are addressed by their content, so that browsers keep them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from flask import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from xqueue_server.web.admin import shown
from xqueue_server.web.admin.paths import BASE, at

_HERE = Path(__file__).parent
_STATIC = _HERE / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"


@cache
def templates() -> Environment:
    environment = make_environment(_HERE / "templates")
    environment.globals.update(at=at, static=static_url)
    return environment


def make_environment(*folders: Path) -> Environment:
    """Templates of these folders, the first first. What an `at` and a `static` is they must be
    told."""
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(zone=shown.ZONE)
    environment.filters.update(
        age=shown.age,
        duration=shown.duration,
        moment=shown.moment,
        moments=shown.moments,
        number=shown.number,
        plural=shown.plural,
        short=shown.short,
        size=shown.size,
        words=shown.words,
    )
    return environment


def render(template: str, /, **context: object) -> str:
    return templates().get_template(template).render(context)


@cache
def static_url(name: str) -> str:
    return f"{BASE}/static/{_digest(name)}/{name}"


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:16]


def static_file(digest: str, name: str) -> Response | None:
    """None if there is none of this name; an older page's digest gets what there is now."""
    path = _STATIC / name
    kind = _TYPES.get(path.suffix)
    if path.parent != _STATIC or kind is None or not path.is_file():
        return None
    response = Response(path.read_bytes(), content_type=kind)
    response.headers["Cache-Control"] = _FOR_EVER if digest == _digest(name) else "no-store"
    return response
