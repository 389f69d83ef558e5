"""Callers of the API in a line each, and documents to send."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from werkzeug.test import TestResponse

from tests.api import contract
from tests.server.builders import PASSWORD, QUEUE, Desk, add_account, lms_body
from tests.server.web_client import HandedOut, Server, read_handed_out
from xqueue_server.instant import to_datetime
from xqueue_server.models.account import Account, Grant, Role
from xqueue_server.models.api_token import new_token, token_hash
from xqueue_server.storage import Storage, policies, tokens

OTHER = "other"
BUNDLE = b"a bundle, as the kit packs it"
LIMITS: dict[str, Any] = {
    "wall_s": 30,
    "learner_wall_s": 6,
    "learner_cpu_s": 4,
    "memory_bytes": 256 * 1024 * 1024,
    "pids": 64,
    "cpus": 1,
    "output_bytes": 64 * 1024,
    "result_bytes": 1024 * 1024,
    "scratch_bytes": 16 * 1024 * 1024,
}


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def manifest(name: str = "square", **more: Any) -> dict[str, Any]:
    """Of a grader that any worker could run; of `limits` those given differ."""
    if isinstance(more.get("limits"), dict):
        more["limits"] = LIMITS | more["limits"]
    return {
        "format": 1,
        "name": name,
        "title": "Squares",
        "base": "python",
        "tier": 0,
        "tests": [
            {"id": "t1", "title": "one", "max": 1, "visible": True},
            {"id": "t2", "title": "two", "max": 1, "visible": False},
        ],
        "limits": LIMITS,
        "isolation": None,
        "lms_points": None,
        **more,
    }


def publication(
    name: str = "square", *, queue: str = QUEUE, content: bytes = BUNDLE, **more: Any
) -> dict[str, Any]:
    return {
        "queue": queue,
        "digest": f"sha256:{digest_of(content)}",
        "manifest": manifest(name),
        **more,
    }


def problem_of(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The problem document, if it is that one; anything else fails."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.content_type == "application/problem+json"
    problem = json.loads(response.get_data())
    assert problem["type"] == f"urn:xqueue:problem:{code}"
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert isinstance(problem, dict)
    return problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiClient:
    """One way of signing in."""

    server: Server
    headers: dict[str, str]
    session: str | None = None

    def call(self, method: str, path: str, **request: Any) -> TestResponse:
        client = self.server.app.test_client()
        if self.session:
            client.set_cookie("sessionid", self.session)
        given = request.pop("headers", {})
        with client:
            response = client.open(
                f"/api/v1{path}", method=method, headers=self.headers | given, buffered=True,
                **request,
            )  # fmt: skip
        contract.check(method, path, response)
        return response

    def get(self, path: str, **query: str) -> Any:
        response = self.call("GET", path, query_string=query)
        assert response.status_code == 200, response.get_data(as_text=True)
        return response.get_json()

    def put_bundle(self, content: bytes = BUNDLE) -> TestResponse:
        return self.call("PUT", f"/bundles/{digest_of(content)}", data=content)

    def publish(self, name: str = "square", **more: Any) -> dict[str, Any]:
        """Store the bundle and publish it; the version."""
        document = publication(name, **more)
        if document.get("digest"):
            assert self.put_bundle(more.get("content", BUNDLE)).status_code in (200, 201)
        response = self.call("POST", "/graders", json=document)
        assert response.status_code == 201, response.get_data(as_text=True)
        version = response.get_json()
        assert isinstance(version, dict)
        return version

    def activate(self, version: int, name: str = "square", queue: str = QUEUE) -> TestResponse:
        return self.call("POST", f"/graders/{queue}/{name}/activate", json={"version": version})


class Site:
    """The application, its database, and whoever calls."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.last_header = ""
        """Of the latest lease, as it came."""
        self.author = self.token("author", Role.AUTHOR)
        self.worker = self.password(self.account("worker", Role.GRADER))

    @property
    def desk(self) -> Desk:
        return self.server.desk

    @property
    def storage(self) -> Storage:
        return self.desk.storage

    def account(self, name: str, *roles: Role, queue: str = QUEUE) -> Account:
        return add_account(self.storage, name, *roles, queue=queue)

    def token(self, name: str, *roles: Role, queue: str = QUEUE, days: float = 30) -> ApiClient:
        """A new account with these roles, and a token for all of them."""
        self.account(name, *roles, queue=queue)
        return self.token_of(name, *roles, queue=queue, days=days)

    def token_of(self, name: str, *roles: Role, queue: str = QUEUE, days: float = 30) -> ApiClient:
        secret = new_token()
        expires_at = to_datetime(self.storage.now_us()) + timedelta(days=days)
        scopes = [Grant(role=role, queue=queue) for role in roles]
        with self.storage.write() as tx:
            tokens.add(
                tx, name, scopes, hashed=token_hash(secret), expires_at=expires_at, actor="test"
            )
        return self.bearer(secret)

    def bearer(self, secret: str) -> ApiClient:
        return ApiClient(server=self.server, headers={"Authorization": f"Bearer {secret}"})

    def password(self, account: Account, password: str = PASSWORD) -> ApiClient:
        pair = base64.b64encode(f"{account.name}:{password}".encode()).decode()
        return ApiClient(server=self.server, headers={"Authorization": f"Basic {pair}"})

    def session(self, account: Account) -> ApiClient:
        session = self.server.services.sessions.issue(account)
        return ApiClient(server=self.server, headers={}, session=session)

    @property
    def nobody(self) -> ApiClient:
        return ApiClient(server=self.server, headers={})

    def policy(self, queue: str = QUEUE, **terms: Any) -> None:
        with self.storage.write() as tx:
            policies.change(tx, queue, actor="test", why="test", **terms)

    # -- the XQueue protocol beside it ----------------------------------------------------------

    def submit(self, payload: Any = "{}", queue: str = QUEUE) -> int:
        return self.desk.submit(body=lms_body(payload=payload), queue=queue)

    def lease(self, *, grader: str | bool = True, **query: str) -> HandedOut | None:
        asked = {"grader": "1" if grader is True else grader} if grader is not False else {}
        response = self.server.grader.raw(
            "GET",
            "/xqueue/get_submission/",
            query_string={"queue_name": QUEUE, **asked, **query},
        )
        answer = json.loads(response.get_data())
        if answer["return_code"]:
            return None
        handed_out = read_handed_out(answer["content"])
        self.last_header = json.loads(answer["content"])["xqueue_header"]
        return handed_out

    def leased_grader(self, **query: Any) -> Any:
        """What the next lease's header says of its grader; None if nothing."""
        assert self.lease(**query) is not None, "nothing to lease"
        return json.loads(self.last_header).get("grader")
