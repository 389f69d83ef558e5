"""Every route is documented, every answer is JSON, and no body gets past its limits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.callers import Site, problem_of, publication
from tests.server.builders import QUEUE, add_queue
from xqueue_server.errors import StorageUnavailable
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.web.api.routes import BASE, ROUTES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"


def test_the_page_lists_exactly_the_routes_there_are() -> None:
    written = re.findall(r"^\| `([A-Z]+ /api/v1\S+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    served = [f"{r.method} {BASE}{_as_written(r.path)}" for r in ROUTES]
    assert sorted(written) == sorted(served)


def _as_written(path: str) -> str:
    return re.sub(r"<(\w+)>", r"{\1}", re.sub(r"<int:\w+_id>", "{id}", path)).replace(
        "<int:version>", "{version}"
    )


def test_every_kind_of_problem_is_on_the_page() -> None:
    sources = Path(__file__).parents[2] / "xqueue_server"
    page = PAGE.read_text("utf-8")
    used: set[str] = set()
    for path in [*(sources / "web" / "api").rglob("*.py"), sources / "authoring" / "publishing.py"]:
        used |= set(
            re.findall(r'(?:ApiError\(\s*\d+,|Refused\()\s*"([a-z-]+)"', path.read_text("utf-8"))
        )
    assert used >= {"not-found", "invalid", "limits", "digest-mismatch"}
    assert [code for code in sorted(used) if f"`{code}`" not in page] == []


def test_what_is_not_served_is_a_problem_and_not_a_page(site: Site) -> None:
    problem_of(site.author.call("GET", "/nothing"), 404, "not-found")
    problem_of(site.author.call("GET", f"/graders/{QUEUE}/a/b/c"), 404, "not-found")
    refused = site.author.call("DELETE", "/graders")
    problem_of(refused, 405, "method")
    assert set(refused.headers["Allow"].split(", ")) >= {"GET", "POST"}


def test_answers_are_not_for_browsers_or_caches(site: Site) -> None:
    headers = site.author.call("GET", "/graders").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "private, no-store"
    assert "XQueue-Extensions" not in headers


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b"5", b"null", b'"a"', b"\xff\xfe", b'{"queue": NaN}', b"{" * 100_000,
     b"[" * 100_000, b'{"a": ' + b"1" * 5000 + b"}", b'{"queue": "\\ud800"}',
     b'{"host": "a", "x": {"\\uDFFF": 1}}'],
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_malformed(site: Site, body: bytes) -> None:
    for method, path, caller in (
        ("POST", "/graders", site.author),
        ("POST", "/trials", site.author),
        ("PUT", "/readiness", site.worker),
    ):
        refused = caller.call(method, path, data=body, content_type="application/json")
        problem_of(refused, 400, "malformed")


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_json_is_sent_as_json(site: Site, content_type: str) -> None:
    """So that another site's page can not send it with a worker's cookie."""
    body = json.dumps(publication())
    refused = site.author.call("POST", "/graders", data=body, content_type=content_type)
    problem_of(refused, 415, "media-type")


def test_a_body_beyond_the_limit_is_refused_and_the_next_request_is_served(site: Site) -> None:
    body = b'{"queue": "' + b"x" * 600_000 + b'"}'
    refused = site.author.call("POST", "/graders", data=body, content_type="application/json")
    problem_of(refused, 413, "too-large")
    assert site.author.call("GET", "/graders").status_code == 200


@pytest.mark.parametrize("queue", [None, 5, ["python"], {"a": 1}])
def test_a_queue_is_a_text(site: Site, queue: Any) -> None:
    site.author.put_bundle()
    refused = site.author.call("POST", "/graders", json=publication() | {"queue": queue})
    problem_of(refused, 422, "invalid")


def test_a_queue_with_spaces_and_signs_has_a_path(site: Site) -> None:
    name = "cs 101: a+b@c"
    add_queue(site.storage, name)
    author = site.token("everywhere", Role.AUTHOR, queue=ALL_QUEUES)
    author.publish(queue=name)
    shown = author.call("GET", "/graders/cs%20101%3A%20a%2Bb%40c/square")
    assert (shown.status_code, shown.get_json()["queue"]) == (200, name)


def test_a_database_that_is_away_is_a_503_with_a_time_to_come_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: object) -> None:
        raise StorageUnavailable("away")

    monkeypatch.setattr("xqueue_server.storage.tokens.holder", away)
    answer = site.author.call("GET", "/graders")
    problem_of(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_fault_of_ours_is_a_problem_without_its_details(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("xqueue_server.storage.graders.of_queue", broken)
    problem = problem_of(site.author.call("GET", "/graders"), 500, "internal")
    assert "secret" not in problem["detail"]
    assert problem["request_id"] in problem["detail"]


def test_no_log_line_has_a_token_or_a_digest_path(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    site.author.publish()
    secret = site.author.headers["Authorization"].removeprefix("Bearer ")
    logged = " ".join(str(record.__dict__) for record in caplog.records)
    assert '"action": "request"' in logged or "'action': 'request'" in logged
    assert secret not in logged
    assert "the square of" not in logged


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 5000, "\u202e", "../..", ""])
def test_no_queues_name_is_a_fault_even_for_whoever_may_use_all(site: Site, name: str) -> None:
    """PostgreSQL refuses some texts, and an account of all queues gets that far."""
    author = site.token("everywhere", Role.AUTHOR, queue=ALL_QUEUES)
    worker = site.password(site.account("anywhere", Role.GRADER, queue=ALL_QUEUES))
    item = {"queue": name, "name": "square", "version": 1, "ready": True}
    path = quote(name, safe="", errors="replace")
    asked = {"queue": name.encode(errors="replace").decode()}
    answers = [
        author.call("POST", "/graders", json=publication(queue=name)),
        author.call("POST", "/trials", json=publication(queue=name, response="x")),
        author.call("GET", "/graders", query_string=asked),
        author.call("GET", "/faults", query_string=asked),
        author.call("GET", f"/graders/{path}/square"),
        author.call("POST", f"/graders/{path}/square/activate", json={"version": 1}),
        worker.call("GET", "/assignments", query_string=asked),
        worker.call("GET", f"/assignments/{path}/square/1"),
        worker.call("PUT", "/readiness", json={"host": "a", "items": [item]}),
    ]
    assert {answer.status_code for answer in answers} <= {400, 404, 405}
    assert {answer.content_type for answer in answers} == {"application/problem+json"}
