"""Queues, how they stand, what they need: through the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.callers import OTHER, ApiClient, Site, problem_of
from tests.server.builders import COURSE, QUEUE
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.storage import policies
from xqueue_server.web.desires import KEPT_S, Desires
from xqueue_server.workload import history


@pytest.fixture
def operator(site: Site) -> ApiClient:
    return site.token("operator", Role.OPERATOR)


@pytest.fixture
def admin(site: Site) -> ApiClient:
    return site.token("admin", Role.ADMIN, queue=ALL_QUEUES)


def test_a_queue_says_how_it_stands(site: Site, operator: ApiClient) -> None:
    site.submit()
    site.desk.clock.advance(60)
    site.submit()
    site.submit(queue=OTHER)
    (listed,) = operator.get("/queues")["queues"]
    assert listed["name"] == QUEUE
    assert listed["unfinished"] == {"queued": 2, "leased": 0, "held": 0}
    assert listed["oldest_queued_at"] == "2026-01-01T00:00:00+00:00"
    assert (listed["lease_s"], listed["learner_cap"], listed["paused"]) == (600, None, None)
    shown = operator.get(f"/queues/{QUEUE}")
    assert shown["unfinished"]["queued"] == 2
    problem_of(operator.call("GET", f"/queues/{OTHER}"), 404, "not-found")
    problem_of(operator.call("GET", "/queues/missing"), 404, "not-found")


def test_a_paused_queue_hands_out_nothing_and_says_why(site: Site, operator: ApiClient) -> None:
    site.submit()
    paused = operator.call("POST", f"/queues/{QUEUE}/pause", json={"reason": "the LMS moves"})
    assert paused.get_json()["paused"]["reason"] == "the LMS moves"
    assert paused.get_json()["paused"]["by"].startswith("account operator")
    assert site.lease(grader=False) is None
    again = operator.call("POST", f"/queues/{QUEUE}/pause", json={"reason": "x"})
    problem_of(again, 409, "conflict")
    assert operator.call("POST", f"/queues/{QUEUE}/resume", json={}).get_json()["paused"] is None
    assert site.lease(grader=False) is not None


def test_a_pause_has_a_reason(operator: ApiClient) -> None:
    for body in ({}, {"reason": "  "}, {"reason": 5}):
        refused = operator.call("POST", f"/queues/{QUEUE}/pause", json=body)
        assert problem_of(refused, 422, "invalid")["errors"][0]["where"] == "reason"


def test_an_administrator_adds_changes_and_removes_queues(admin: ApiClient) -> None:
    added = admin.call("POST", "/queues", json={"name": "cs 102", "lease_s": 60})
    assert (added.status_code, added.get_json()["lease_s"]) == (201, 60)
    problem_of(admin.call("POST", "/queues", json={"name": "cs 102"}), 409, "conflict")
    changed = admin.call("PATCH", "/queues/cs%20102", json={"learner_cap": 2, "priority": 5})
    assert (changed.get_json()["learner_cap"], changed.get_json()["lease_s"]) == (2, 60)
    changed = admin.call("PATCH", "/queues/cs%20102", json={"learner_cap": None})
    assert changed.get_json()["learner_cap"] is None
    assert admin.call("DELETE", "/queues/cs%20102").status_code == 204
    problem_of(admin.call("GET", "/queues/cs%20102"), 404, "not-found")


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "*"}, "name"),
        ({"name": "q", "lease_s": 0}, "lease_s"),
        ({"name": "q", "lease_s": None}, "lease_s"),
        ({"name": "q", "max_attempts": 1.5}, "max_attempts"),
        ({"name": "q", "priority": 1000}, "priority"),
        ({"name": "q", "leases": 60}, "leases"),
    ],
)
def test_terms_that_can_not_be_used_are_named(
    admin: ApiClient, document: dict[str, Any], where: str
) -> None:
    refused = admin.call("POST", "/queues", json=document)
    assert where in [e["where"] for e in problem_of(refused, 422, "invalid")["errors"]]


def test_a_queues_administrator_has_that_queue_and_no_others(site: Site) -> None:
    mine = site.token("mine", Role.ADMIN)
    assert mine.call("PATCH", f"/queues/{QUEUE}", json={"lease_s": 90}).status_code == 200
    problem_of(mine.call("PATCH", f"/queues/{OTHER}", json={"lease_s": 90}), 404, "not-found")
    problem_of(mine.call("POST", "/queues", json={"name": "new"}), 403, "forbidden")
    problem_of(mine.call("DELETE", f"/queues/{QUEUE}"), 403, "forbidden")
    problem_of(mine.call("GET", "/accounts"), 403, "forbidden")


def test_a_policy_is_changed_field_by_field(site: Site, admin: ApiClient) -> None:
    path = f"/queues/{QUEUE}/policy"
    changed = admin.call("PATCH", path, json={"max_wall_s": 120, "legacy_reason": "old course"})
    assert changed.get_json()["max_wall_s"] == 120
    changed = admin.call("PATCH", path, json={"isolation": "box", "legacy_reason": None})
    policy = changed.get_json()
    assert (policy["max_wall_s"], policy["isolation"], policy["legacy_reason"]) == (
        120,
        "box",
        None,
    )
    with site.storage.read() as tx:
        assert policies.of_queue(tx, QUEUE).max_wall_s == 120


def test_of_a_webhook_only_its_origin_is_shown(site: Site, admin: ApiClient) -> None:
    url = "https://chat.example.org/hooks/a-secret-path"
    response = admin.call("PATCH", f"/queues/{QUEUE}/policy", json={"webhook_url": url})
    assert response.get_json()["webhook_origin"] == "https://chat.example.org"
    assert "secret" not in response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"max_wall_s": 0}, "max_wall_s"),
        ({"isolation": "none"}, "isolation"),
        ({"runtime": "runsc"}, "runtime"),
        ({"isolation": "box", "runtime": "runsc"}, "runtime"),
        ({"webhook_url": "http://chat.example.org/x"}, "webhook_url"),
        ({"webhook_url": "ftp://chat.example.org/x"}, "webhook_url"),
        ({"email": "nobody"}, "email"),
        ({"email": "staff@example.org"}, "email"),  # no mail server is set
        ({"legacy_reason": ""}, "legacy_reason"),
    ],
)
def test_a_policy_that_can_not_be_used_is_named(
    admin: ApiClient, document: dict[str, Any], where: str
) -> None:
    refused = admin.call("PATCH", f"/queues/{QUEUE}/policy", json=document)
    assert [e["where"] for e in problem_of(refused, 422, "invalid")["errors"]] == [where]


def test_a_course_is_given_another_share(admin: ApiClient) -> None:
    path = f"/queues/{QUEUE}/weights"
    weighed = admin.call("PUT", path, json={"course": COURSE, "weight": 3})
    assert weighed.get_json()["course_weights"] == {COURSE: 3}
    usual = admin.call("PUT", path, json={"course": COURSE, "weight": 1})
    assert usual.get_json()["course_weights"] == {}


# -- load, need, deadlines -----------------------------------------------------------------------


def test_the_load_of_a_queue_is_told_minute_by_minute(site: Site, operator: ApiClient) -> None:
    site.desk.clock.advance(3600)
    site.submit()
    site.desk.put(site.desk.lease())
    site.desk.clock.advance(120)
    history.roll(site.storage)
    told = operator.get("/load", queue=QUEUE)
    assert told["step_s"] == 60
    assert sum(step["arrived"] for step in told["steps"]) == 1
    assert sum(step["graded"] for step in told["steps"]) == 1
    hours = operator.get("/load", queue=QUEUE, step="3600")
    assert sum(step["arrived"] for step in hours["steps"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"queue": QUEUE, "step": "61"},
        {"queue": QUEUE, "since": "yesterday"},
        {"queue": QUEUE, "since": "2026-01-02T00:00:00"},
        {"queue": QUEUE, "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"queue": QUEUE, "since": "2020-01-01T00:00:00Z"},
    ],
)
def test_a_span_that_can_not_be_told_is_refused(operator: ApiClient, query: dict[str, str]) -> None:
    problem_of(operator.call("GET", "/load", query_string=query), 422, "invalid")


def test_the_load_of_anothers_queue_is_not_there(operator: ApiClient) -> None:
    problem_of(operator.call("GET", "/load", query_string={"queue": OTHER}), 404, "not-found")


def test_an_autoscaler_is_told_what_each_queue_needs(site: Site, operator: ApiClient) -> None:
    for _ in range(3):
        site.submit()
    (need,) = operator.get("/scaling")["scaling"]
    assert need["queue"] == QUEUE
    assert need["workers"] >= 1
    assert need["inputs"]["waiting"] == 3
    problem_of(operator.call("GET", "/scaling", query_string={"queue": OTHER}), 404, "not-found")


def test_deadlines_are_told_listed_and_removed(site: Site, operator: ApiClient) -> None:
    document = {"queue": QUEUE, "at": "2026-02-01T18:00:00+01:00", "submissions": 6000}
    added = operator.call("POST", "/deadlines", json=document)
    assert added.status_code == 201
    assert added.get_json()["at"] == "2026-02-01T17:00:00+00:00"
    (listed,) = operator.get("/deadlines")["deadlines"]
    assert listed == added.get_json()
    stranger = site.token("stranger", Role.OPERATOR, queue=OTHER)
    path = f"/deadlines/{listed['id']}"
    problem_of(stranger.call("DELETE", path), 404, "not-found")
    viewer = site.token("viewer", Role.VIEWER)
    problem_of(viewer.call("DELETE", path), 403, "forbidden")
    assert operator.call("DELETE", path).status_code == 204
    assert operator.get("/deadlines") == {"deadlines": [], "next": None}


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"at": "soon"}, "at"),
        ({"at": "9999-12-31T23:59:59-14:00"}, "at"),
        ({"at": "2026-02-01T18:00:00"}, "at"),
        ({"submissions": 0}, "submissions"),
        ({"opens_at": "2026-03-01T00:00:00Z"}, "opens_at"),
        ({"learners": 5}, "learners"),
    ],
)
def test_a_deadline_that_can_not_be_used_is_named(
    operator: ApiClient, changed: dict[str, Any], where: str
) -> None:
    document = {"queue": QUEUE, "at": "2026-02-01T18:00:00Z", "submissions": 10} | changed
    refused = operator.call("POST", "/deadlines", json=document)
    assert [e["where"] for e in problem_of(refused, 422, "invalid")["errors"]] == [where]


def test_the_need_is_worked_out_once_for_hosts_that_ask_at_the_same_time(site: Site) -> None:
    now_s = [100.0]
    desires = Desires(site.storage, lambda: now_s[0])
    first = desires.present()
    now_s[0] += KEPT_S - 0.1
    assert desires.present() is first
    site.submit()
    now_s[0] += 0.2
    assert [d.inputs["waiting"] for d in desires.present() if d.queue == QUEUE] == [1]
