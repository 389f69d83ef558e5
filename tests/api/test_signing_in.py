"""Who may do what: every route for every kind of caller, and tokens that do not count."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.callers import BUNDLE, OTHER, ApiClient, Site, digest_of, problem_of, publication
from tests.server.builders import PASSWORD, QUEUE
from xqueue_server.errors import Conflict
from xqueue_server.models.account import ALL_QUEUES, QUEUE_ROLES, Grant, Role
from xqueue_server.models.api_token import new_token
from xqueue_server.storage import accounts, tokens
from xqueue_server.submissions.leasing import FailureKind

TRIAL = publication() | {"response": "x"}
READINESS = {
    "host": "h",
    "items": [{"queue": QUEUE, "name": "square", "version": 1, "ready": True}],
}
READING, WRITING, CHOOSING, WORKING = "reading", "writing", "choosing", "working"
ROUTES: dict[str, tuple[str, str, Any]] = {
    "PUT /bundles": (WRITING, f"/bundles/{digest_of(BUNDLE)}", BUNDLE),
    "GET /graders": (READING, f"/graders?queue={QUEUE}", None),
    "POST /graders": (WRITING, "/graders", publication()),
    "GET /graders/one": (READING, f"/graders/{QUEUE}/square", None),
    "POST /activate": (CHOOSING, f"/graders/{QUEUE}/square/activate", {"version": 1}),
    "POST /default": (CHOOSING, f"/graders/{QUEUE}/square/default", {}),
    "GET /tests": (READING, f"/graders/{QUEUE}/square/tests", None),
    "GET /assignments": (WORKING, f"/assignments?queue={QUEUE}", None),
    "GET /assignments/one": (WORKING, f"/assignments/{QUEUE}/square/1", None),
    "PUT /readiness": (WORKING, "/readiness", READINESS),
    "GET /faults": (READING, f"/faults?queue={QUEUE}", None),
    "GET /faults/one": (READING, "/faults/1", None),
    "POST /trials": (WRITING, "/trials", TRIAL),
}
MAY = {
    "author": {READING, WRITING, CHOOSING},
    "operator": {READING, CHOOSING},
    "grader": {WORKING},
    "lms": set(),
    "stranger": set(),
}


@pytest.fixture
def callers(site: Site) -> dict[str, ApiClient]:
    site.author.publish()
    site.submit()
    leased = site.desk.lease()
    site.desk.fail(leased, FailureKind.GRADER)  # there is a fault to look at
    return {
        "author": site.author,
        "operator": site.token("an-operator", Role.OPERATOR),
        "grader": site.worker,
        "lms": site.token("an-lms", Role.LMS),
        "stranger": site.token("a-stranger", *QUEUE_ROLES, queue=OTHER),
    }


def ask(caller: ApiClient, name: str) -> Any:
    _, path, body = ROUTES[name]
    sent = {"data": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
    return caller.call(name.split()[0], path, **sent)


def test_each_role_may_do_its_own_and_nothing_else(
    site: Site, callers: dict[str, ApiClient]
) -> None:
    for name, (kind, *_) in ROUTES.items():
        for role, caller in callers.items():
            answer = ask(caller, name)
            allowed = answer.status_code < 300
            own_bundles = name == "PUT /bundles" and role == "stranger"  # author elsewhere
            assert allowed == (kind in MAY[role] or own_bundles), (name, role, answer.status_code)
            if not allowed:
                assert answer.status_code in (403, 404), (name, role)
                assert answer.content_type == "application/problem+json"


def test_a_stranger_sees_what_he_would_see_if_nothing_were_there(
    site: Site, callers: dict[str, ApiClient]
) -> None:
    for name, (_, path, body) in ROUTES.items():
        if name == "PUT /bundles":
            continue
        sent = {} if body is None else {"json": body}
        there = callers["stranger"].call(name.split()[0], path, **sent)
        absent = {} if body is None else {"json": _renamed(body)}
        nowhere = callers["stranger"].call(
            name.split()[0], path.replace(QUEUE, "absent").replace("/1", "/999"), **absent
        )
        told = [problem_of(a, 404, "not-found")["detail"] for a in (there, nowhere)]
        assert told[0].replace(QUEUE, "absent") == told[1], name


def _renamed(body: Any) -> Any:
    if isinstance(body, dict):
        return {key: _renamed(value) for key, value in body.items()}
    if isinstance(body, list):
        return [_renamed(value) for value in body]
    return "absent" if body == QUEUE else body


@pytest.mark.parametrize("name", ROUTES)
def test_nobody_gets_nothing_but_401(site: Site, name: str) -> None:
    problem = ask(site.nobody, name)
    problem_of(problem, 401, "not-signed-in")
    assert problem.headers["WWW-Authenticate"] == 'Bearer realm="xqueue"'


@pytest.mark.parametrize(
    "secret",
    ["", "xqt_", "xqt_" + "A" * 43, "A" * 47, "xqt_" + "ä" * 43, "xqt_" + "A" * 10_000, "' OR 1=1"],
)
def test_a_token_that_was_never_made_counts_for_nothing(site: Site, secret: str) -> None:
    problem_of(site.bearer(secret.encode().decode("latin-1")).call("GET", "/graders"), 401,
               "not-signed-in")  # fmt: skip


def test_a_worker_may_use_its_session_or_its_password(site: Site) -> None:
    account = site.account("w2", Role.GRADER)
    for caller in (site.session(account), site.password(account)):
        assert caller.get("/assignments") == {"assignments": []}
    wrong = site.password(account, PASSWORD + "x").call("GET", "/assignments")
    assert problem_of(wrong, 401, "not-signed-in")["detail"] == "Incorrect login credentials"


def test_a_token_ends_with_its_date(site: Site) -> None:
    site.desk.clock.advance(30 * 86_400 - 1)
    assert site.author.call("GET", "/graders").status_code == 200
    site.desk.clock.advance(1)
    problem_of(site.author.call("GET", "/graders"), 401, "not-signed-in")


def test_a_revoked_token_counts_for_nothing_from_then_on(site: Site) -> None:
    with site.storage.write() as tx:
        tokens.revoke(tx, 1, actor="test")
    problem_of(site.author.call("GET", "/graders"), 401, "not-signed-in")
    with pytest.raises(Conflict), site.storage.write() as tx:
        tokens.revoke(tx, 1, actor="test")


def test_a_token_goes_with_its_account(site: Site) -> None:
    with site.storage.write() as tx:
        accounts.set_active(tx, "author", False, actor="test")
    problem_of(site.author.call("GET", "/graders"), 401, "not-signed-in")
    with site.storage.write() as tx:
        accounts.remove(tx, "author", actor="test")
    problem_of(site.author.call("GET", "/graders"), 401, "not-signed-in")
    assert site.desk.count("api_tokens") == site.desk.count("token_scopes") == 0


def test_a_token_never_allows_more_than_its_account(site: Site) -> None:
    site.author.publish()
    with site.storage.write() as tx:
        accounts.revoke(tx, "author", [Grant(role=Role.AUTHOR, queue=QUEUE)], actor="test")
    assert site.author.get("/graders") == {"graders": []}
    problem_of(site.author.call("GET", f"/graders/{QUEUE}/square"), 404, "not-found")


def test_a_token_may_allow_less_than_its_account(site: Site) -> None:
    site.account("wide", Role.AUTHOR, queue=ALL_QUEUES)
    narrow = site.token_of("wide", Role.AUTHOR, queue=QUEUE)
    assert narrow.call("GET", f"/graders?queue={QUEUE}").status_code == 200
    problem_of(narrow.call("GET", f"/graders?queue={OTHER}"), 404, "not-found")


def test_a_token_for_what_the_account_may_not_do_is_not_made(site: Site) -> None:
    for role, queue in ((Role.AUTHOR, OTHER), (Role.OPERATOR, QUEUE), (Role.AUTHOR, ALL_QUEUES)):
        with pytest.raises(Conflict, match="account grant"):
            site.token_of("author", role, queue=queue)
    assert site.desk.count("api_tokens") == 1


def test_the_database_holds_no_secret_and_the_use_is_noted_once_a_minute(site: Site) -> None:
    secret = site.author.headers["Authorization"].removeprefix("Bearer ")
    seen = []
    for _ in range(3):
        site.author.get("/graders")
        with site.storage.read() as tx:
            (token,) = tokens.all_tokens(tx)
        seen.append(token.last_used_at)
        site.desk.clock.advance(31)
    assert seen[0] == seen[1] != seen[2]
    assert secret not in repr(token)
    with site.storage.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM api_tokens").all()
    assert secret.encode() not in b"".join(bytes(v) for r in rows for v in r if _is_bytes(v))


def _is_bytes(value: object) -> bool:
    return isinstance(value, bytes | memoryview)


def test_tokens_are_random_and_easy_to_find_for_scanners() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert {len(token) for token in made} == {47}
    assert all(token.startswith("xqt_") for token in made)
