"""Whatever is sent, by whoever may send it: an answer that names what is wrong, never a crash."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.callers import ApiClient, Site
from tests.api.test_who_may_what import BY_NAME, ROWS, _sent, sitting
from tests.server.builders import QUEUE, callback_url
from xqueue_server.models.account import ALL_QUEUES, QUEUE_ROLES
from xqueue_server.web.api.route import Route

NASTY: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 10**400, 1e308, "", "a\0b", "\n", "x" * 5000, "\u202e", "..",
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "1e999", [], {}, [None], {"a": "b"},
    [[[]]], {"queue": "a\0b"}, [{"role": "viewer", "queue": "a\0b"}], {"queue": "x", "id": "1e9"},
)  # fmt: skip
NASTY_TEXTS = (
    "", "a\0b", "-1", "0", str(2**63), "9" * 300, "1e5", "..", "%00", "\u202e", "x" * 600,
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "a,b", ",", "'", "*",
)  # fmt: skip
BROKEN = (
    b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a": NaN}', b'"\\ud800"', b'{"\\ud800": 1}',
    b'{"a":' * 5000, b"[" * 100_000, b"9" * 5000, b'{"a":"\\ud800' + b"x" * 100 + b'"}',
    b'{"a":' + b"[" * 900 + b'"\\ud800"' + b"]" * 900 + b"}",
)  # fmt: skip


# The one that can not store everything: a NUL in a text, numbers of any size.
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def chief(site: Site) -> ApiClient:
    desk = site.desk
    site.author.publish()
    sitting(site, desk.submit(callback_url(user=7)))
    desk.put(desk.lease())
    caller: ApiClient = site.password(site.account("chief", *QUEUE_ROLES, queue=ALL_QUEUES))
    return caller


def path_of(route: Route, **changed: str) -> str:
    usual = {"queue": QUEUE, "host": "h", "sha256": "a" * 64}
    usual["name"] = QUEUE if route.path.startswith("/queues") else "square"
    parts = usual | changed
    return re.sub(r"<(?:int:)?(\w+)>", lambda part: parts.get(part[1], "1"), route.path)


def is_problem(response: Any) -> bool:
    if response.content_type != "application/problem+json":
        return False
    document = json.loads(response.get_data())
    return document["status"] == response.status_code and bool(document["detail"])


def is_answer(response: Any) -> bool:
    if response.status_code < 400:
        return True
    return response.status_code not in (500, 503) and is_problem(response)


def requests_to(route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, request), each with one thing in it that can not be used."""
    sent = _sent(ROWS[f"{route.method} {route.path}"].body)
    body = sent.get("json")
    if isinstance(body, dict):
        for name in {**(route.body or {}).get("properties", {}), "unknown\0key": {}}:
            for value in NASTY:
                yield path_of(route), {"json": body | {name: value}}
        for content in BROKEN:
            yield path_of(route), {"data": content, "content_type": "application/json"}
    for query in route.query:
        for text in NASTY_TEXTS:
            given = {"queue": QUEUE} if route.path == "/load" else {}
            yield path_of(route), {"query_string": given | {query.name: text}} | sent
    for part in re.findall(r"<(?:int:)?(\w+)>", route.path):
        for text in ("0", str(2**63), "9" * 300, "%00", "a%00b", "..", "%2e%2e", "%ff", "%2F", "*"):
            yield path_of(route, **{part: text}), sent


READING = sorted(name for name in BY_NAME if name.startswith("GET"))
ACTING = sorted(set(BY_NAME) - set(READING))


@pytest.mark.parametrize("names", [READING, ACTING], ids=["reading", "acting"])
def test_nothing_that_is_sent_breaks_it(site: Site, chief: ApiClient, names: list[str]) -> None:
    wrong = []
    for name in names:
        for path, request in requests_to(BY_NAME[name]):
            response = chief.call(BY_NAME[name].method, path, **request)
            if not is_answer(response):
                said = response.get_data(as_text=True)[:200]
                wrong.append(f"{name} {path[:60]} {str(request)[:160]}: {said}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api", 404),
        ("GET", "/api/", 404),
        ("GET", "/api/v2/queues", 404),
        ("GET", "/api/v1/queues/", 404),
        ("GET", "/api/v1//queues", 404),
        ("POST", "/api/v1/submissions", 405),
        ("DELETE", "/api/v1/queues", 405),
        ("TRACE", "/api/v1/queues", 405),
        ("BREW", "/api/v1/queues", 405),
        ("POST", "/openapi.json", 405),
    ],
)
def test_what_is_not_served_is_a_problem_too(
    chief: ApiClient, method: str, path: str, status: int
) -> None:
    client = chief.server.app.test_client()
    response = client.open(path, method=method, headers=chief.headers, buffered=True)
    assert response.status_code == status, response.headers
    assert is_problem(response), response.get_data(as_text=True)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response.headers["Cache-Control"]


def test_no_header_makes_another_method_of_it(site: Site, chief: ApiClient) -> None:
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        chief.call("GET", f"/queues/{QUEUE}", headers={name: "DELETE"})
        chief.call("POST", f"/queues/{QUEUE}/resume?_method=DELETE", json={}, headers={name: "PUT"})
    assert chief.call("GET", f"/queues/{QUEUE}").status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json",
             "application/jsonp", ""],
)  # fmt: skip
def test_only_a_body_that_says_that_it_is_json_is_read(chief: ApiClient, kind: str) -> None:
    """Pages of other sites can send the others without asking the browser first."""
    for name in ACTING:
        route = BY_NAME[name]
        if "json" not in _sent(ROWS[name].body):
            continue
        sent = json.dumps(_sent(ROWS[name].body)["json"]).encode()
        response = chief.call(route.method, path_of(route), data=sent, content_type=kind)
        # What is not there is so whatever was sent to it.
        assert response.status_code in (404, 415), f"{name}: {response.get_data(as_text=True)}"


def test_a_parameter_that_an_address_does_not_have_is_named(chief: ApiClient) -> None:
    for path in ("/callbacks", "/queues", "/submissions", f"/queues/{QUEUE}"):
        refused = chief.call("GET", path, query_string={"sate": "dead"})
        assert refused.status_code == 422
        assert "sate" in refused.get_json()["detail"]
