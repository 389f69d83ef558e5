"""Hosts announce their workers, operators see them and say what they want."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.callers import OTHER, ApiClient, Site, problem_of
from tests.server.builders import QUEUE
from xqueue_server.authoring.publishing import Refused
from xqueue_server.files.local import LocalFiles
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.upkeep import housekeeping
from xqueue_server.workload import workforce

DAY_S = 24 * 3600


def worker(name: str = "w-1", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "pid": 12,
        "queue": QUEUE,
        "state": "idle",
        "submission_id": None,
        "since_s": 3.2,
        **more,
    }


def host(*workers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "pid": 1,
        "version": "0.1.0",
        "backend": "docker 20.10.24",
        "canary": {"ok": True, "detail": "nothing got out"},
        "cpus": 2,
        "autoscale": {"min": 1, "max": 8},
        "started_at": "2026-01-01T11:00:00+00:00",
        "workers": list(workers),
        **more,
    }


def announce(caller: ApiClient, document: dict[str, Any], name: str = "grading-1") -> Any:
    response = caller.call("PUT", f"/workers/{name}", json=document)
    assert response.status_code == 200, response.get_data(as_text=True)
    return response.get_json()


@pytest.fixture
def operator(site: Site) -> ApiClient:
    return site.token("operator", Role.OPERATOR)


def test_a_host_is_told_its_beat_and_is_listed(site: Site, operator: ApiClient) -> None:
    told = announce(site.worker, host(worker(), worker("w-2", state="grading", submission_id=17)))
    assert told["beat_s"] == 10
    assert told["wishes"] == []
    (listed,) = operator.get("/workers")["hosts"]
    assert listed["host"] == "grading-1"
    assert listed["state"] == "alive"
    assert listed["canary"] == {"ok": True, "detail": "nothing got out"}
    assert listed["autoscale"] == {"min": 1, "max": 8}
    assert [(w["name"], w["state"], w["submission_id"]) for w in listed["workers"]] == [
        ("w-1", "idle", None),
        ("w-2", "grading", 17),
    ]
    assert listed["workers"][0]["since"] == "2025-12-31T23:59:56.800000+00:00"


def test_what_a_host_says_takes_the_place_of_what_it_said(site: Site, operator: ApiClient) -> None:
    announce(site.worker, host(worker(), worker("w-2")))
    announce(site.worker, host(worker("w-3"), canary=None, autoscale=None))
    (listed,) = operator.get("/workers")["hosts"]
    assert [w["name"] for w in listed["workers"]] == ["w-3"]
    assert (listed["canary"], listed["autoscale"]) == (None, None)


def test_the_need_of_each_queue_is_told_with_the_workers_of_other_hosts(site: Site) -> None:
    announce(site.worker, host(worker(), worker("w-2")), "grading-2")
    told = announce(site.worker, host(worker()))
    (need,) = told["desired"]
    assert need["queue"] == QUEUE
    assert need["hosts_workers"] == 2
    assert need["workers"] >= 0
    assert need["reason"]


@pytest.mark.parametrize("state", ["draining", "waiting"])
def test_workers_that_end_or_have_no_sandbox_do_not_count_for_others(
    site: Site, state: str
) -> None:
    announce(site.worker, host(worker(), worker("w-2", state=state)), "grading-2")
    (need,) = announce(site.worker, host())["desired"]
    assert need["hosts_workers"] == 1


def test_a_silent_host_is_gone_and_after_a_day_forgotten(
    site: Site, operator: ApiClient, tmp_path: Any
) -> None:
    announce(site.worker, host(worker()))
    site.desk.clock.advance(44)
    assert operator.get("/workers")["hosts"][0]["state"] == "alive"
    site.desk.clock.advance(2)
    assert operator.get("/workers")["hosts"][0]["state"] == "gone"
    (need,) = announce(site.worker, host(), "grading-2")["desired"]
    assert need["hosts_workers"] == 0
    site.desk.clock.advance(DAY_S)
    housekeeping.tidy(site.storage, LocalFiles(tmp_path))
    assert operator.get("/workers")["hosts"] == []
    assert [site.desk.count(t) for t in ("worker_hosts", "workers", "worker_wishes")] == [0, 0, 0]


def test_a_host_that_ends_cleanly_is_not_listed(site: Site, operator: ApiClient) -> None:
    announce(site.worker, host(worker()))
    operator.call("PUT", "/workers/grading-1/wishes", json={"queue": QUEUE, "count": 0})
    assert site.worker.call("DELETE", "/workers/grading-1").status_code == 204
    assert operator.get("/workers")["hosts"] == []
    assert announce(site.worker, host(worker()))["wishes"] == []
    problem_of(site.worker.call("DELETE", "/workers/grading-9"), 404, "not-found")


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"pid": 0}, "pid"),
        ({"pid": True}, "pid"),
        ({"version": ""}, "version"),
        ({"version": "v" * 65}, "version"),
        ({"backend": "a\nb"}, "backend"),
        ({"canary": True}, "canary"),
        ({"canary": {"ok": 1, "detail": ""}}, "canary.ok"),
        ({"canary": {"ok": True}}, "canary.detail"),
        ({"cpus": 0}, "cpus"),
        ({"cpus": 2.5}, "cpus"),
        ({"autoscale": {"min": 3, "max": 2}}, "autoscale"),
        ({"autoscale": {"min": 1}}, "autoscale.max"),
        ({"started_at": "yesterday"}, "started_at"),
        ({"started_at": "2026-01-01T11:00:00"}, "started_at"),
        ({"started_at": None}, "started_at"),
        ({"workers": {}}, "workers"),
        ({"workers": [None]}, "workers[0]"),
        ({"workers": [worker(state="dead")]}, "workers[0].state"),
        ({"workers": [worker(since_s=-1)]}, "workers[0].since_s"),
        ({"workers": [worker(since_s="3")]}, "workers[0].since_s"),
        ({"workers": [worker(submission_id=0)]}, "workers[0].submission_id"),
        ({"workers": [worker(submission_id=2**63)]}, "workers[0].submission_id"),
        ({"workers": [worker(queue=7)]}, "workers[0].queue"),
        ({"workers": [worker(), worker()]}, "workers[1].name"),
        ({"workers": [worker(f"w-{n}") for n in range(1001)]}, "workers"),
    ],
)
def test_every_field_is_checked_and_named(site: Site, changed: dict[str, Any], where: str) -> None:
    refused = site.worker.call("PUT", "/workers/grading-1", json=host() | changed)
    problem = problem_of(refused, 422, "invalid")
    assert [error["where"] for error in problem["errors"]] == [where]
    assert site.desk.count("worker_hosts") == 0


def test_everything_wrong_is_said_at_once(site: Site) -> None:
    refused = site.worker.call("PUT", "/workers/grading-1", json={})
    errors = problem_of(refused, 422, "invalid")["errors"]
    assert [e["where"] for e in errors] == [
        "pid", "version", "backend", "cpus", "started_at", "workers"
    ]  # fmt: skip


def test_an_announcement_has_a_limit(site: Site) -> None:
    big = host(version="v" * 300_000)
    problem_of(site.worker.call("PUT", "/workers/grading-1", json=big), 413, "too-large")


def test_a_worker_on_a_queue_of_others_keeps_the_whole_announcement_out(site: Site) -> None:
    said = host(worker(), worker("w-2", queue=OTHER))
    foreign = problem_of(site.worker.call("PUT", "/workers/grading-1", json=said), 403, "forbidden")
    said = host(worker(), worker("w-2", queue="missing"))
    missing = problem_of(site.worker.call("PUT", "/workers/grading-1", json=said), 403, "forbidden")
    assert [e["where"] for e in foreign["errors"]] == ["workers[1].queue"]
    assert foreign["detail"].replace(OTHER, "X") == missing["detail"].replace("missing", "X")
    assert site.desk.count("worker_hosts") == 0


def test_only_graders_announce(site: Site, operator: ApiClient) -> None:
    problem_of(operator.call("PUT", "/workers/grading-1", json=host()), 403, "forbidden")
    problem_of(operator.call("PUT", "/workers/grading-1", json=host(worker())), 403, "forbidden")
    problem_of(site.nobody.call("PUT", "/workers/grading-1", json=host()), 401, "not-signed-in")


def test_a_host_is_of_the_account_that_announced_it_first(site: Site) -> None:
    other = site.password(site.account("other-worker", Role.GRADER))
    announce(site.worker, host(worker()))
    problem_of(other.call("PUT", "/workers/grading-1", json=host()), 409, "conflict")
    problem_of(other.call("DELETE", "/workers/grading-1"), 404, "not-found")
    site.desk.clock.advance(DAY_S - 1)
    problem_of(other.call("PUT", "/workers/grading-1", json=host()), 409, "conflict")
    site.desk.clock.advance(1)
    announce(other, host(worker("of-other")))
    problem_of(site.worker.call("PUT", "/workers/grading-1", json=host()), 409, "conflict")


def test_of_two_hosts_with_one_name_the_later_one_is_listed(
    site: Site, operator: ApiClient
) -> None:
    """Else they would take each other's place with every beat."""
    earlier, later = host(worker(), pid=7), host(worker("v-1"), pid=8)
    later["started_at"] = "2026-01-01T11:00:01+00:00"
    announce(site.worker, earlier)
    announce(site.worker, later)
    refused = site.worker.call("PUT", "/workers/grading-1", json=earlier)
    assert "--host-name" in problem_of(refused, 409, "conflict")["detail"]
    (listed,) = operator.get("/workers")["hosts"]
    assert [each["name"] for each in listed["workers"]] == ["v-1"]
    announce(site.worker, later)


def test_what_another_account_said_in_vain_has_changed_nothing(
    site: Site, operator: ApiClient
) -> None:
    other = site.password(site.account("other-worker", Role.GRADER))
    announce(site.worker, host(worker()))
    problem_of(other.call("PUT", "/workers/grading-1", json=host(cpus=64)), 409, "conflict")
    (listed,) = operator.get("/workers")["hosts"]
    assert (listed["cpus"], len(listed["workers"])) == (2, 1)


# -- wishes --------------------------------------------------------------------------------------


def test_what_an_operator_wants_is_told_with_the_next_beat(site: Site, operator: ApiClient) -> None:
    announce(site.worker, host(worker()))
    wished = operator.call("PUT", "/workers/grading-1/wishes", json={"queue": QUEUE, "count": 4})
    assert wished.status_code == 200
    assert wished.get_json()["wishes"][0]["by"].startswith("account operator by token")
    (told,) = announce(site.worker, host(worker()))["wishes"]
    assert told == {"queue": QUEUE, "count": 4, "at": wished.get_json()["wishes"][0]["at"]}
    (listed,) = operator.get("/workers")["hosts"]
    assert [(w["queue"], w["count"]) for w in listed["wishes"]] == [(QUEUE, 4)]
    operator.call("PUT", "/workers/grading-1/wishes", json={"queue": QUEUE, "count": 0})
    (told,) = announce(site.worker, host())["wishes"]
    assert told["count"] == 0
    path = f"/workers/grading-1/wishes/{QUEUE}"
    assert operator.call("DELETE", path).status_code == 204
    assert announce(site.worker, host())["wishes"] == []
    problem_of(operator.call("DELETE", path), 404, "not-found")


@pytest.mark.parametrize("count", [-1, 1001, 1.5, "4", None, True])
def test_a_wish_is_a_number_of_workers(site: Site, operator: ApiClient, count: Any) -> None:
    announce(site.worker, host(worker()))
    refused = operator.call(
        "PUT", "/workers/grading-1/wishes", json={"queue": QUEUE, "count": count}
    )
    assert problem_of(refused, 422, "invalid")["errors"][0]["where"] == "count"


def test_operators_reach_only_hosts_that_serve_their_queues(site: Site) -> None:
    stranger = site.token("stranger", Role.OPERATOR, queue=OTHER)
    viewer = site.token("viewer", Role.VIEWER)
    announce(site.worker, host(worker()))
    wish = {"queue": OTHER, "count": 4}
    problem_of(stranger.call("PUT", "/workers/grading-1/wishes", json=wish), 404, "not-found")
    problem_of(
        stranger.call("PUT", "/workers/grading-1/wishes", json=wish | {"queue": QUEUE}),
        404,
        "not-found",
    )
    problem_of(
        viewer.call("PUT", "/workers/grading-1/wishes", json=wish | {"queue": QUEUE}),
        403,
        "forbidden",
    )
    assert stranger.get("/workers") == {"hosts": []}
    assert len(viewer.get("/workers")["hosts"]) == 1


def test_a_host_of_several_queues_shows_each_only_to_its_own(site: Site) -> None:
    both = site.password(site.account("both", Role.GRADER, queue=ALL_QUEUES))
    announce(both, host(worker(), worker("w-2", queue=OTHER)))
    viewer = site.token("viewer", Role.VIEWER, queue=OTHER)
    (listed,) = viewer.get("/workers")["hosts"]
    assert [w["queue"] for w in listed["workers"]] == [OTHER]


def test_an_operator_of_everything_forgets_a_host(site: Site, operator: ApiClient) -> None:
    announce(site.worker, host(worker()))
    problem_of(operator.call("DELETE", "/workers/grading-1"), 404, "not-found")
    everywhere = site.token("everywhere", Role.OPERATOR, queue=ALL_QUEUES)
    assert everywhere.call("DELETE", "/workers/grading-1").status_code == 204
    assert everywhere.get("/workers") == {"hosts": []}


def test_draining_a_host_covers_every_queue_that_it_serves(site: Site) -> None:
    both = site.password(site.account("both", Role.GRADER, queue=ALL_QUEUES))
    announce(both, host(worker(), worker("w-2", queue=OTHER)))
    assert workforce.drain(site.storage, "grading-1", actor="test") == sorted((OTHER, QUEUE))
    told = announce(both, host(worker(), worker("w-2", queue=OTHER)))
    assert {(w["queue"], w["count"]) for w in told["wishes"]} == {(OTHER, 0), (QUEUE, 0)}


def test_how_many_graders_are_ready_stands_beside_the_host(site: Site, operator: ApiClient) -> None:
    version = site.author.publish()
    announce(site.worker, host(worker()))
    item = {"queue": QUEUE, "name": "square", "version": version["version"], "ready": True}
    site.worker.call("PUT", "/readiness", json={"host": "grading-1", "items": [item]})
    (listed,) = operator.get("/workers")["hosts"]
    assert listed["readiness"] == [{"queue": QUEUE, "ready": 1, "not_ready": 0}]


def test_a_list_that_has_not_changed_is_not_sent_again(site: Site, operator: ApiClient) -> None:
    announce(site.worker, host(worker()))
    first = operator.call("GET", "/workers")
    again = operator.call("GET", "/workers", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "changed",
    [
        {"started_at": "9999-12-31T23:59:59-23:59"},
        {"workers": [worker(since_s=10**400)]},
        {"workers": [worker(since_s=1e308)]},
    ],
)
def test_what_no_page_could_show_again_is_refused(
    site: Site, operator: ApiClient, changed: dict[str, Any]
) -> None:
    """A moment beyond the year 9999 in UTC would break every list of hosts."""
    refused = site.worker.call("PUT", "/workers/grading-1", json=host() | changed)
    problem_of(refused, 422, "invalid")
    assert operator.get("/workers") == {"hosts": []}


@pytest.mark.parametrize("name", [".", ".."])
def test_a_host_that_no_address_can_name_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=r"host must not be \. or \.\."):
        workforce.read_announcement(name, host())


def test_an_account_announces_only_so_many_hosts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workforce, "MOST_HOSTS", 2)
    announce(site.worker, host(), "one")
    announce(site.worker, host(), "two")
    problem_of(site.worker.call("PUT", "/workers/three", json=host()), 409, "conflict")
    announce(site.worker, host(), "two")
    site.desk.clock.advance(DAY_S + 1)
    announce(site.worker, host(), "two")
    workforce.forget_old(site.storage)
    announce(site.worker, host(), "three")
