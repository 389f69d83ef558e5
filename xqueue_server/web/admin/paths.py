"""Addresses of the admin pages, and which of them a browser may be sent to."""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode

BASE = "/admin"
HOME = f"{BASE}/"
_OWN = re.compile(r"/admin/[\w./:@+%*~!$'(),;=&?\[\]-]*", re.ASCII)


def own_path(text: str | None) -> str:
    """The address if it is one of these pages, else the home page: a link that somebody sends must
    not lead away from here through our sign-in."""
    path = (text or "").partition("?")[0]
    is_plain = not any(part in path for part in ("//", "/.", "/sign-"))
    return text if text and is_plain and _OWN.fullmatch(text) else HOME


def at(*parts: object, **query: object) -> str:
    """`at("queues", "a b", page=2)` -> /admin/queues/a%20b?page=2; without empty parameters."""
    path = "/".join([BASE, *(quote(str(part), safe="@:+*~!$'(),;=") for part in parts)])
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path
