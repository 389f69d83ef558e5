"""Hosting worker bundles: what a page, an LMS's build and a stranger get."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from proctoring_hooks.statuses import IN_PROGRESS, Status
from proctoring_hooks.worker import ticket as tickets
from proctoring_hooks.worker.bundles import (
    OUR_PACKAGE,
    BadBundle,
    Bundle,
    Bundles,
    our_bundle,
    provider_bundles,
)
from proctoring_hooks.worker.for_lms import desktop_application_js_url, rest_field
from proctoring_hooks.worker.liveness import Report
from proctoring_hooks.worker.ticket import Ticket
from tests.proctoring.worker_site import KEY, LMS_ORIGIN, FakeLiveness, Hours, application
from tests.support.peers import interpreter_with

TOP = Path(__file__).parents[2]
PEER = Path(__file__).parent / "webpack_loader_peer"
BASE = "https://xqueue.example.org/proctoring/worker"
FROM_LMS = {"Origin": LMS_ORIGIN}
PROVIDERS = Bundle(package="@watch/proctoring", content=b"self.onmessage = () => {};")


@pytest.fixture
def liveness() -> FakeLiveness:
    return FakeLiveness({"a-1": Status.READY_TO_START, "a-2": Status.STARTED})


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
def client(liveness: FakeLiveness, hours: Hours) -> FlaskClient:
    return application(
        liveness, hours, bundles=Bundles([our_bundle(BASE), PROVIDERS])
    ).test_client()


# -- bundles -------------------------------------------------------------------------------------


def test_a_bundle_is_javascript_for_every_site_for_ever(client: FlaskClient) -> None:
    answer = client.get(f"/proctoring/worker/{PROVIDERS.file}")
    assert (answer.status_code, answer.data) == (200, PROVIDERS.content)
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert PROVIDERS.file.startswith("watch__proctoring.")


@pytest.mark.parametrize(
    "file",
    [
        "watch__proctoring.00000000000000000000.js",
        "nobodys.js",
        "package.json",
        "worker/x.js",
        "../config",
        "%2e%2e/bundles.py",
    ],
)
def test_what_is_no_bundle_is_missing_and_no_page(client: FlaskClient, file: str) -> None:
    answer = client.get(f"/proctoring/worker/{file}")
    assert answer.status_code == 404
    if answer.request.path.startswith("/proctoring/worker/"):
        assert answer.mimetype == "text/plain"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_bundle_has_a_name_that_stays_too_and_is_asked_for_anew_each_time(
    client: FlaskClient,
) -> None:
    answer = client.get("/proctoring/worker/watch__proctoring.js")
    assert (answer.data, answer.headers["Cache-Control"]) == (PROVIDERS.content, "no-cache")
    again = client.get(
        "/proctoring/worker/watch__proctoring.js", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")


def test_another_content_has_another_name() -> None:
    assert our_bundle(BASE).file != our_bundle(BASE, ping_outage="fail").file
    assert our_bundle(BASE).file == our_bundle(BASE + "/").file


def test_an_operators_directory_of_bundles(tmp_path: Path) -> None:
    (tmp_path / "watch.js").write_text("1;")
    (tmp_path / "org__proctoring.js").write_text("2;")
    (tmp_path / "notes.txt").write_text("no bundle")
    found = provider_bundles(tmp_path)
    assert {bundle.package: bundle.content for bundle in found} == {
        "watch": b"1;",
        "@org/proctoring": b"2;",
    }


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.js", "  \n", "x.js is empty"),
        ("x.js", "\ufeff\n<!doctype html>", "HTML page"),
        ("X Y.js", "1;", "named for its npm package"),
    ],
)
def test_a_file_that_is_no_bundle_is_refused_by_name(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadBundle, match=words):
        provider_bundles(tmp_path)


def test_two_bundles_of_one_package_are_refused() -> None:
    with pytest.raises(BadBundle, match="two bundles for @watch/proctoring"):
        Bundles([PROVIDERS, PROVIDERS])


# -- for the LMS ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "file"),
    [("", PROVIDERS.file), ("&names=stable", "watch__proctoring.js")],
    ids=["hashed", "stable"],
)
def test_an_lms_finds_bundles_by_our_statistics(
    client: FlaskClient, tmp_path: Path, query: str, file: str
) -> None:
    """By the loader that the LMS has; what it finds, a page can load."""
    stats = tmp_path / "webpack-worker-stats.json"
    answer = client.get(
        f"/proctoring/worker/webpack-worker-stats.json?ours_also=edx_proctoring{query}"
    )
    stats.write_bytes(answer.data)
    done = subprocess.run(
        [
            str(interpreter_with("webpack-loader", PEER / "requirements.txt")),
            str(PEER / "lookup.py"),
            str(stats),
            "@watch/proctoring",
            OUR_PACKAGE,
            "edx_proctoring",
            "unknown",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = json.loads(done.stdout)
    assert found["@watch/proctoring"] == f"{BASE}/{file}"
    assert found["unknown"] is None
    assert found["edx_proctoring"] == found[OUR_PACKAGE]
    for package in ("@watch/proctoring", OUR_PACKAGE):
        path = found[package].removeprefix("https://xqueue.example.org")
        assert client.get(path).mimetype == "text/javascript"


def test_an_lms_that_builds_our_package_itself_is_told_the_entry(client: FlaskClient) -> None:
    answer = client.get("/proctoring/worker/workers.json?node_modules=/srv/lms/node_modules")
    assert answer.json == {
        "xqueue-proctoring-worker": [
            "babel-polyfill",
            "/srv/lms/node_modules/xqueue-proctoring-worker/worker.js",
        ]
    }
    package = json.loads((TOP / "proctoring_hooks/worker/package/package.json").read_bytes())
    assert (package["name"], package["main"]) == (OUR_PACKAGE, "worker.js")
    refused = client.get('/proctoring/worker/workers.json?node_modules=a"b')
    assert (refused.status_code, refused.mimetype) == (400, "application/json")


def test_the_address_in_answers() -> None:
    bundles = Bundles([PROVIDERS])
    url = desktop_application_js_url(bundles, "@watch/proctoring", BASE)
    assert rest_field(url) == {"desktop_application_js_url": f"{BASE}/{PROVIDERS.file}"}


@pytest.mark.parametrize(
    "elsewhere",
    [
        "",
        "https://lms.example.org",
        "https://lms.example.org/",
        "/static/x.js",
        "javascript:1",
        "//[",
    ],
)
def test_without_a_bundle_there_is_no_address(elsewhere: str) -> None:
    url = desktop_application_js_url(Bundles([]), "watch", BASE, elsewhere=elsewhere)
    assert url is None
    assert rest_field(url) == {}


def test_a_bundle_may_be_on_another_server() -> None:
    elsewhere = "https://lms.example.org/static/bundles/watch.js"
    url = desktop_application_js_url(Bundles([]), "watch", BASE, elsewhere=elsewhere)
    assert url == elsewhere


# -- pages ---------------------------------------------------------------------------------------


def ticket_for(client: FlaskClient, attempt: str) -> str:
    answer = client.get(f"/proctoring/worker/config?attempt={attempt}", headers=FROM_LMS)
    assert answer.status_code == 200, answer.data
    return answer.json["ticket"]


def tell(client: FlaskClient, what: str, ticket: Any, **headers: str) -> TestResponse:
    return client.post(
        f"/proctoring/worker/{what}", json={"ticket": ticket}, headers={**FROM_LMS, **headers}
    )


def test_what_a_worker_tells_is_noted_and_moves_nothing(
    client: FlaskClient, liveness: FakeLiveness
) -> None:
    before = dict(liveness.attempts)
    ticket = ticket_for(client, "a-1")
    for what in Report:
        answer = tell(client, what, ticket)
        assert (answer.status_code, answer.data) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == LMS_ORIGIN
        assert answer.headers["Vary"] == "Origin"
        assert answer.headers["Cache-Control"] == "no-store"
    assert liveness.told == [("a-1", what) for what in Report]
    assert liveness.attempts == before


@pytest.mark.parametrize("status", Status)
def test_only_an_attempt_that_is_ready_may_be_started(
    client: FlaskClient, liveness: FakeLiveness, status: Status
) -> None:
    liveness.attempts["a-1"] = status
    ticket = ticket_for(client, "a-1")
    answer = tell(client, "start", ticket)
    may_start = status is Status.READY_TO_START or status in IN_PROGRESS
    assert answer.status_code == (204 if may_start else 409)
    # A page that pings or ends too late has done nothing wrong.
    assert tell(client, "ping", ticket).status_code == 204
    assert tell(client, "end", ticket).status_code == 204


def test_a_ticket_is_for_one_attempt_of_one_lms_for_ten_minutes(hours: Hours) -> None:
    liveness = FakeLiveness({"a-1": Status.STARTED})
    origins = {LMS_ORIGIN: "edx", "https://other.example.org": "other"}
    client = application(liveness, hours, origins=origins).test_client()
    ticket = ticket_for(client, "a-1")
    assert tell(client, "ping", ticket, Origin="https://other.example.org").status_code == 401
    hours.pass_s(599)
    assert tell(client, "ping", ticket).status_code == 204
    hours.pass_s(1)
    expired = tell(client, "ping", ticket)
    assert (expired.status_code, expired.json["code"]) == (401, "bad_ticket")


def test_a_ticket_can_not_be_made_up(client: FlaskClient, hours: Hours) -> None:
    ticket = ticket_for(client, "a-1")
    theirs = tickets.issue(b"x" * 32, Ticket(lms="edx", attempt="a-2"), hours())
    body, _, signature = ticket.partition(".")
    for forged in (theirs, f"{theirs.partition('.')[0]}.{signature}", body, "", "é.é", None, 7, []):
        assert tell(client, "ping", forged).status_code == 401, forged
    genuine = tickets.issue(KEY, Ticket(lms="edx", attempt="a-2"), hours())
    assert tell(client, "ping", genuine).status_code == 204


@pytest.mark.parametrize(
    ("attempt", "status"), [("nobodys", 404), ("", 400), ("a%20b", 400), ("a" * 65, 400)]
)
def test_there_is_no_ticket_for_what_is_no_attempt(
    client: FlaskClient, attempt: str, status: int
) -> None:
    answer = client.get(f"/proctoring/worker/config?attempt={attempt}", headers=FROM_LMS)
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == LMS_ORIGIN


def test_an_attempt_that_is_gone_is_unknown_to_a_ticket_too(
    client: FlaskClient, liveness: FakeLiveness
) -> None:
    ticket = ticket_for(client, "a-1")
    del liveness.attempts["a-1"]
    assert tell(client, "ping", ticket).status_code == 404


def test_browsers_keep_a_configuration_for_less_than_its_ticket_holds(client: FlaskClient) -> None:
    answer = client.get("/proctoring/worker/config?attempt=a-1", headers=FROM_LMS)
    assert answer.cache_control.private
    assert answer.cache_control.max_age < answer.json["ticket_expires_in_s"] / 2
    assert client.get("/proctoring/worker/config", headers=FROM_LMS).json == {"protocol": 1}


@pytest.mark.parametrize("origin", [{}, {"Origin": "null"}, {"Origin": LMS_ORIGIN + ".evil.org"}])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "config?attempt=a-1"), ("POST", "ping"), ("OPTIONS", "ping")]
)
def test_only_pages_of_known_lmses_are_answered(
    client: FlaskClient, method: str, path: str, origin: dict[str, str]
) -> None:
    answer = client.open(f"/proctoring/worker/{path}", method=method, headers=origin)
    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("private", [False, True])
def test_a_browser_may_ask_before(client: FlaskClient, private: bool) -> None:
    asks = {"Access-Control-Request-Private-Network": "true"} if private else {}
    answer = client.options("/proctoring/worker/ping", headers={**FROM_LMS, **asks})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == LMS_ORIGIN
    assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert ("Access-Control-Allow-Private-Network" in answer.headers) is private


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ('{"ticket": "t"}', "text/plain", 415),
        ("{", "application/json", 400),
        ("[" * 1000, "application/json", 400),
        ('"ticket"', "application/json", 400),
        ('{"ticket": "t", "status": "verified"}', "application/json", 400),
        (json.dumps({"ticket": "t" * 2000}), "application/json", 413),
    ],
)
def test_what_is_no_report_is_refused_in_words_a_page_may_read(
    client: FlaskClient, liveness: FakeLiveness, body: str, kind: str, status: int
) -> None:
    answer = client.post("/proctoring/worker/ping", data=body, content_type=kind, headers=FROM_LMS)
    assert answer.status_code == status
    assert answer.json["message"]
    assert answer.headers["Access-Control-Allow-Origin"] == LMS_ORIGIN
    assert liveness.told == []
