"""Whatever is typed into a form or an address: a page that says what is wrong, never a crash."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.admin.test_who_may_what import BY_NAME, ROWS, Things, things
from tests.admin.visitor import ORIGIN, Visitor
from tests.conftest import database_url
from xqueue_server.web.admin.route import Route

__all__ = ["database_url", "things"]


# The one that can not store everything: a NUL in a text, numbers of any size.
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

NASTY = (
    "", "a\0b", "-1", "0", str(2**63), "9" * 5000, "1e5", "nan", "..", "x" * 3000, "a,b", ",", "*",
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "<script>alert(1)</script>",
    "\r\nSet-Cookie: a=b", "javascript:alert(1)", "=1+1",
)  # fmt: skip
EVIL = "%3Cscript%3Ealert(1)%3C/script%3E"
PARTS = ("0", str(2**63), "9" * 300, "%00", "a%00b", "..", "%ff", EVIL)
FILTERS = ("queue", "problem", "learner", "since", "id", "batch", "callback")
PARAMETERS = {
    "/": ("span",),
    "/submissions": (*FILTERS, "before"),
    "/bulk/<act>": FILTERS,
    "/callbacks": ("state", "origin", "queue", "before"),
    "/faults": ("kind", "queue", "before"),
    "/regrades": ("before",),
    "/events": ("subject", "actor", "id", "before"),
}


def requests_to(route: Route, things: Things) -> Iterator[tuple[str, dict[str, Any]]]:
    usual = dict(ROWS[f"{route.method} {route.path}"].fields or {})
    usual["csrf"] = things.csrf("chief")
    path = _path(route, things)
    if route.method == "POST":
        for name in usual.keys() - {"csrf"}:
            for text in NASTY:
                yield path, {"data": usual | {name: text}}
    else:
        for name in PARAMETERS.get(route.path, ()):
            for text in NASTY:
                yield path, {"query_string": {name: text}}
    for part in re.findall(r"<(?:int:)?(\w+)>", route.path):
        for text in PARTS:
            yield _path(route, things, **{part: text}), {"data": usual}


def _path(route: Route, things: Things, **changed: str) -> str:
    parts = {**things.parts, **changed}
    return "/admin" + re.sub(r"<(?:int:)?(\w+)>", lambda part: parts[part[1]], route.path)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_that_is_sent_breaks_a_page(things: Things, method: str) -> None:
    visitor = Visitor(things.server.app)
    visitor.carry(things.secrets["chief"])
    wrong = []
    for name, route in BY_NAME.items():
        if route.method != method:
            continue
        for path, request in requests_to(route, things):
            response = visitor.raw(method, path, headers={"Origin": ORIGIN}, **request)
            said = response.get_data(as_text=True)
            if response.status_code >= 500 or "<script>alert" in said or "a" in _cookies(response):
                wrong.append(f"{name} {path[:80]} {str(request)[:160]}: {response.status_code}")
    assert not wrong, "\n".join(wrong)


def _cookies(response: Any) -> set[str]:
    return {each.partition("=")[0] for each in response.headers.getlist("Set-Cookie")}
