"""The description of the API says what is served, and nothing that is not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api import contract
from tests.api.callers import Site
from tests.api.contract import DESCRIPTION
from xqueue_server.web.api.route import Route
from xqueue_server.web.api.routes import BASE, ROUTES


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(DESCRIPTION).validate()


def test_it_has_exactly_what_the_application_serves(site: Site) -> None:
    served = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule)))
        for rule in site.server.app.url_map.iter_rules()
        if str(rule).startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {
        (method.upper(), path)
        for path, operations in DESCRIPTION["paths"].items()
        for method in operations
    }
    assert described == served


def test_every_operation_has_an_id_of_its_own() -> None:
    ids = [o["operationId"] for p in DESCRIPTION["paths"].values() for o in p.values()]
    assert len(ids) == len(set(ids)) == len(ROUTES)


def test_anybody_may_read_it_and_reads_it_once(site: Site) -> None:
    client = site.server.app.test_client()
    first = client.get("/openapi.json")
    assert first.status_code == 200
    assert first.mimetype == "application/json"
    assert json.loads(first.get_data()) == DESCRIPTION
    again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_no_route_is_served_to_nobody(site: Site, route: Route) -> None:
    path = re.sub(r"<int:\w+>", "1", route.path)
    response = site.nobody.call(route.method, re.sub(r"<\w+>", "x", path), json={})
    assert response.status_code == 401
    assert "WWW-Authenticate" in response.headers


class Answered:
    """As much of an answer as the check looks at."""

    def __init__(self, status_code: int, document: Any, mimetype: str = "application/json") -> None:
        self.status_code, self.status = status_code, str(status_code)
        self.mimetype, self.is_json, self._document = mimetype, True, document

    def get_json(self) -> Any:
        return self._document

    def get_data(self) -> bytes:
        return json.dumps(self._document).encode()


@pytest.mark.parametrize(
    "answered",
    [
        Answered(200, {"queues": [{"name": "q"}]}),
        Answered(200, {"queues": [], "more": 1}),
        Answered(200, {"queues": []}, "text/html"),
        Answered(202, {"queues": []}),
        Answered(304, {"queues": []}),
        Answered(404, {"detail": "no problem document"}, "application/problem+json"),
    ],
)
def test_the_check_of_answers_finds_what_is_not_described(answered: Any) -> None:
    contract.check("GET", "/queues", Answered(200, {"queues": []}))  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        contract.check("GET", "/queues", answered)


def test_paths_are_below_the_base() -> None:
    assert all(path.startswith(f"{BASE}/") for path in DESCRIPTION["paths"])
