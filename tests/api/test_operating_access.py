"""Who may operate what: denied unless granted, and what is not one's own is not there."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.api.callers import OTHER, ApiClient, Site, problem_of
from tests.server.builders import COURSE, QUEUE
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.storage import accounts, course_grants
from xqueue_server.storage.course_grants import CourseGrant
from xqueue_server.web.api.operating.routes import OPERATING_ROUTES
from xqueue_server.web.api.route import Route

FOR_EVERY_ACCOUNT = {"GET /tokens", "POST /tokens", "GET /accounts/<name>"}
LISTS = {"GET /submissions", "GET /queues", "GET /leases", "GET /callbacks", "GET /workers",
         "GET /scaling", "GET /deadlines"}  # fmt: skip
"""Of what one may see: empty for those who may see nothing."""


UNREAD = ("POST /submissions/bulk", "PUT /workers", "GET /load", "POST /deadlines")
"""Of which the body, or the query, says what it is about."""


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def path_of(route: Route, submission_id: int = 1) -> str:
    path = re.sub(r"<int:\w+>", str(submission_id), route.path)
    return path.replace("<queue>", QUEUE).replace("<host>", "grading-1").replace(
        "<name>", QUEUE if route.path.startswith("/queues") else "lms"
    )  # fmt: skip


@pytest.mark.parametrize("route", OPERATING_ROUTES, ids=named)
@pytest.mark.parametrize("role", [Role.LMS, Role.AUTHOR])
def test_those_who_do_not_operate_get_nothing(site: Site, route: Route, role: Role) -> None:
    submission_id = site.submit()
    caller = site.token("curious", role, queue=ALL_QUEUES)
    response = caller.call(route.method, path_of(route, submission_id), json={})
    if named(route) in LISTS:
        assert response.status_code == 200
        assert all(not value for value in response.get_json().values())
    elif named(route) in FOR_EVERY_ACCOUNT - {"POST /tokens", "GET /accounts/<name>"}:
        assert [t["account"] for t in response.get_json()["tokens"]] == ["curious"]
    elif response.status_code == 422:  # it did not even get to look
        assert named(route).startswith(UNREAD)
    else:
        assert response.status_code in (403, 404), response.get_data(as_text=True)


@pytest.mark.parametrize("route", [r for r in OPERATING_ROUTES if not r.by_session], ids=named)
def test_a_session_of_the_wire_opens_nothing_here(site: Site, route: Route) -> None:
    admin = site.account("admin", Role.ADMIN, queue=ALL_QUEUES)
    refused = site.session(admin).call(route.method, path_of(route), json={})
    problem_of(refused, 401, "not-signed-in")


BODIES: dict[str, dict[str, Any]] = {
    "pause": {"reason": "x"},
    "regrade": {"reason": "x"},
    "prioritise": {"priority": 1},
    "grant": {"grants": [{"role": "viewer", "queue": "*"}]},
    "revoke": {"grants": [{"role": "viewer", "queue": "*"}]},
    "weights": {"course": "c", "weight": 2},
    "wishes": {"queue": QUEUE, "count": 2},
}


@pytest.mark.parametrize("route", [r for r in OPERATING_ROUTES if "<" in r.path], ids=named)
@pytest.mark.parametrize("name", ["a%00b", "x" * 300, "%C3%A9%0A", "%ED%A0%80"])
def test_names_and_numbers_that_nothing_has_are_not_there(
    site: Site, route: Route, name: str
) -> None:
    admin = site.password(site.account("admin", Role.ADMIN, Role.GRADER, queue=ALL_QUEUES))
    path = re.sub(r"<int:\w+>", str(2**63), route.path)
    path = re.sub(r"<\w+>", name, path)
    body = BODIES.get(route.path.rpartition("/")[2], {})
    response = admin.call(route.method, path, json=body)
    is_announcement = named(route) == "PUT /workers/<host>"
    problem_of(response, *((422, "invalid") if is_announcement else (404, "not-found")))


REPAIRS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/submissions/{id}/release", {}),
    ("POST", "/submissions/{id}/give-up", {}),
    ("POST", "/submissions/{id}/regrade", {"reason": "mended"}),
    ("POST", "/submissions/{id}/prioritise", {"priority": 5}),
    ("GET", "/submissions/{id}/content", {}),
    ("POST", f"/queues/{QUEUE}/pause", {"reason": "mending"}),
    ("POST", f"/queues/{QUEUE}/resume", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), REPAIRS)
def test_who_only_sees_repairs_nothing(
    site: Site, method: str, path: str, body: dict[str, Any]
) -> None:
    path = path.format(id=site.submit())
    viewer = site.token("viewer", Role.VIEWER)
    problem_of(viewer.call(method, path, json=body), 403, "forbidden")
    stranger = site.token("stranger", Role.OPERATOR, queue=OTHER)
    problem_of(stranger.call(method, path, json=body), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("/submissions/{}", "/submissions/999"),
        ("/submissions/{}/timeline", "/submissions/999/timeline"),
        ("/submissions/{}/results", "/submissions/999/results"),
    ],
)
def test_what_is_anothers_is_answered_as_what_is_not_there(
    site: Site, path: str, missing: str
) -> None:
    submission_id = site.submit()
    stranger = site.token("stranger", Role.OPERATOR, queue=OTHER)
    of_others = problem_of(stranger.call("GET", path.format(submission_id)), 404, "not-found")
    absent = problem_of(stranger.call("GET", missing), 404, "not-found")
    assert of_others["detail"].replace(str(submission_id), "N") == absent["detail"].replace(
        "999", "N"
    )
    huge = problem_of(stranger.call("GET", "/submissions/99999999999999999999"), 404, "not-found")
    assert huge["status"] == 404


def with_course(site: Site, name: str, role: Role, course: str) -> ApiClient:
    """An account that has nothing but a grant on a course, by its password."""
    account = site.account(name)
    with site.storage.write() as tx:
        course_grants.grant(tx, name, CourseGrant(role=role, course=course), actor="test")
    return site.password(account)


def test_a_grant_on_a_course_shows_its_submissions_on_any_queue(site: Site) -> None:
    first, second = site.submit(), site.submit(queue=OTHER)
    staff = with_course(site, "staff", Role.VIEWER, COURSE)
    listed = staff.get("/submissions")["submissions"]
    assert [s["id"] for s in listed] == [second, first]
    assert {s["course"] for s in listed} == {COURSE}
    assert staff.get(f"/submissions/{first}")["learner"] == "42"
    problem_of(staff.call("POST", f"/submissions/{first}/release", json={}), 403, "forbidden")
    assert staff.get("/queues") == {"queues": []}


def test_a_grant_on_another_course_shows_nothing(site: Site) -> None:
    submission_id = site.submit()
    staff = with_course(site, "staff", Role.OPERATOR, "course-v1:Other+Course+Run")
    assert staff.get("/submissions") == {"submissions": [], "next": None}
    problem_of(staff.call("GET", f"/submissions/{submission_id}"), 404, "not-found")


def test_an_operator_of_a_course_repairs_its_submissions(site: Site) -> None:
    leased = site.desk.submit() and site.desk.exhaust()
    staff = with_course(site, "staff", Role.OPERATOR, COURSE)
    path = f"/submissions/{leased.submission_id}/release"
    released = staff.call("POST", path, json={})
    assert (released.status_code, released.get_json()["state"]) == (200, "queued")


def test_a_token_has_nothing_of_the_accounts_courses(site: Site) -> None:
    site.submit(queue=OTHER)
    site.account("staff", Role.VIEWER)
    with site.storage.write() as tx:
        given = CourseGrant(role=Role.VIEWER, course=COURSE)
        course_grants.grant(tx, accounts.get(tx, "staff").name, given, actor="test")
    assert site.token_of("staff", Role.VIEWER).get("/submissions")["submissions"] == []


def test_wrong_tokens_are_slowed_down_and_good_ones_let_in(site: Site) -> None:
    viewer = site.token("viewer", Role.VIEWER)
    wrong = site.bearer("xqt_" + "a" * 43)
    for _ in range(10):
        problem_of(wrong.call("GET", "/queues"), 401, "not-signed-in")
    limited = wrong.call("GET", "/queues")
    problem_of(limited, 429, "too-many")
    assert 0 < int(limited.headers["Retry-After"]) <= 60
    assert viewer.call("GET", "/queues").status_code == 200
