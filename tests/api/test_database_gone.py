"""While the database is away, programs and people are told so, in their own kind of answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.storage import open_storage
from xqueue_server.web.admin import session
from xqueue_server.web.admin.routes import ROUTES as ADMIN_ROUTES
from xqueue_server.web.api.routes import ROUTES as API_ROUTES

NOWHERE = "postgresql://xqueue@127.0.0.1:1/xqueue"
"""A port that nobody listens on."""
ORIGIN = {"Origin": "http://localhost"}


@pytest.fixture
def client(tmp_path: object) -> Iterator[FlaskClient]:
    storage = open_storage(NOWHERE)
    environment = {
        "XQUEUE_DATA_DIR": f"{tmp_path}/data",
        "XQUEUE_DATABASE_URL": NOWHERE,
        "XQUEUE_SECRET_KEY": "0123456789abcdef" * 2,
    }
    yield create_app(settings.load(environment), storage).test_client()
    storage.close()


def test_every_route_of_the_api_answers_a_problem_that_says_when_to_ask_again(
    client: FlaskClient,
) -> None:
    token = {"Authorization": "Bearer xqt_" + "a" * 43}
    password = {"Authorization": "Basic YTpi"}
    for route in API_ROUTES:
        path = "/api/v1" + re.sub(r"<(?:int:)?\w+>", "1", route.path)
        for headers in (token, password):
            response = client.open(path, method=route.method, headers=headers, json={})
            assert response.status_code == 503, f"{route.method} {path}"
            assert response.content_type == "application/problem+json"
            assert response.get_json()["type"] == "urn:xqueue:problem:unavailable"
            assert int(response.headers["Retry-After"]) > 0


def test_every_admin_page_says_so(client: FlaskClient) -> None:
    client.set_cookie(session.COOKIE, "A" * 43, path="/admin")
    for route in ADMIN_ROUTES:
        path = "/admin" + re.sub(r"<(?:int:)?\w+>", "1", route.path)
        response = client.open(path, method=route.method, headers=ORIGIN)
        assert response.status_code == 503, f"{route.method} {path}"
        assert "The database can not be reached now" in response.get_data(as_text=True)
        assert response.headers["Cache-Control"] == "no-store"


def test_nobody_is_signed_in_or_out_meanwhile(client: FlaskClient) -> None:
    page = client.get("/admin/sign-in")
    assert page.status_code == 200
    given = {"name": "olga", "password": "a password"}
    signed_in = client.post("/admin/sign-in", data=given, headers=ORIGIN)
    client.set_cookie(session.COOKIE, "A" * 43, path="/admin")
    signed_out = client.post("/admin/sign-out", headers=ORIGIN)
    for response in (signed_in, signed_out):
        assert response.status_code == 503
        assert "Set-Cookie" not in response.headers
