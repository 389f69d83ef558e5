"""Addresses of the pages of proctored exams."""

from __future__ import annotations

from urllib.parse import quote, urlencode

CONSOLE = "/proctoring/console"
CONSOLE_HOME = f"{CONSOLE}/"
LEARNER = "/proctoring/attempt"
TIME = "/proctoring/time"
STATIC = "/proctoring/static"
ENTRY = "/admin/proctoring"
"""Where people with an account come from: their sign-in is there."""
_PAGES = (CONSOLE, LEARNER, STATIC)


def is_of_pages(path: str) -> bool:
    """Whether a person's browser has asked, and takes a page for an answer."""
    return any(path == each or path.startswith(f"{each}/") for each in _PAGES)


def at(*parts: object, **query: object) -> str:
    """`at("exams", 3, page=2)` -> /proctoring/console/exams/3?page=2; without empty parameters."""
    path = "/".join([CONSOLE, *(quote(str(part), safe="@:+") for part in parts)])
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path
