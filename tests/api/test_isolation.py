"""The isolation that an operator chose for a queue: for whom, from when on, and where shown."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.callers import Site, manifest
from tests.server.builders import QUEUE
from xqueue_server.storage import lease_graders

IMAGE = "registry.example.org/graders/square@sha256:" + "a" * 64
BOX = {"isolation": "box", "runtime": None}
GVISOR = {"isolation": "split-container", "runtime": "runsc"}


def listed(site: Site) -> Any:
    return site.worker.get("/assignments")["assignments"][0]["queue_isolation"]


def test_it_holds_from_the_next_lease_on_and_goes_as_it_came(site: Site) -> None:
    site.author.publish()
    ids = [site.submit() for _ in range(3)]
    assert "queue_isolation" not in site.leased_grader()
    site.policy(**GVISOR)
    assert site.leased_grader()["queue_isolation"] == GVISOR
    site.policy(isolation=None, runtime=None)
    assert "queue_isolation" not in site.leased_grader()
    with site.storage.read() as tx:
        ran = [lease_graders.of_submission(tx, i)[0].isolation for i in ids]
    assert ran == [None, "split-container", None]


@pytest.mark.parametrize("demanded", ["split-uid", "split-container", "box"])
def test_an_author_who_demands_one_keeps_it(site: Site, demanded: str) -> None:
    site.policy(**GVISOR)
    site.author.publish(manifest=manifest(isolation=demanded))
    submission_id = site.submit()
    assert "queue_isolation" not in site.leased_grader()
    assert listed(site) is None
    with site.storage.read() as tx:
        assert lease_graders.of_submission(tx, submission_id)[0].isolation == demanded


@pytest.mark.parametrize(("chosen", "holds"), [(BOX, False), (GVISOR, True)])
def test_an_image_runs_in_no_box(site: Site, chosen: dict[str, Any], holds: bool) -> None:
    site.policy(**chosen)
    site.author.publish(digest=None, image=IMAGE, manifest=manifest(tier=2))
    site.submit()
    assert site.leased_grader().get("queue_isolation") == (chosen if holds else None)
    assert listed(site) == (chosen if holds else None)


def test_workers_hear_of_it_before_a_submission_comes(site: Site) -> None:
    site.author.publish()
    before = site.worker.call("GET", "/assignments")
    assert before.get_json()["assignments"][0]["queue_isolation"] is None
    site.policy(**BOX)
    known = {"If-None-Match": before.headers["ETag"]}
    after = site.worker.call("GET", "/assignments", headers=known)
    assert after.get_json()["assignments"][0]["queue_isolation"] == BOX


def test_a_version_that_workers_keep_does_not_change(site: Site) -> None:
    site.author.publish()
    first = site.worker.call("GET", f"/assignments/{QUEUE}/square/1")
    site.policy(**BOX)
    again = site.worker.call(
        "GET", f"/assignments/{QUEUE}/square/1", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert again.status_code == 304
    assert "queue_isolation" not in first.get_json()


def test_it_holds_for_trials_too(site: Site) -> None:
    site.policy(**BOX)
    site.author.put_bundle()
    for demanded, chosen in ((None, BOX), ("split-uid", None)):
        document = {
            "queue": QUEUE,
            "response": "print(1)",
            "manifest": manifest(isolation=demanded),
        }
        document["digest"] = site.author.publish()["digest"]
        assert site.author.call("POST", "/trials", json=document).status_code == 202
        assert site.leased_grader().get("queue_isolation") == chosen


def test_authors_see_it(site: Site) -> None:
    site.policy(**BOX)
    site.author.publish()
    site.author.publish("cube", manifest=manifest("cube", isolation="split-uid"))
    graders = {g["name"]: g for g in site.author.get("/graders")["graders"]}
    assert (graders["square"]["isolation"], graders["square"]["queue_isolation"]) == (None, BOX)
    assert (graders["cube"]["isolation"], graders["cube"]["queue_isolation"]) == ("split-uid", None)
    assert site.author.get(f"/graders/{QUEUE}/square")["queue_isolation"] == BOX
    default = site.author.call("POST", f"/graders/{QUEUE}/square/default", json={})
    assert default.get_json()["queue_isolation"] == BOX
