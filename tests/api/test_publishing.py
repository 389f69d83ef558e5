"""Publishing: versions, the default, ceilings, forgeable graders."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.callers import OTHER, Site, manifest, problem_of, publication
from tests.server.builders import QUEUE
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.models.grader import MAX_TESTS
from xqueue_server.storage import browsing, policies

IMAGE = "registry.example.org/graders/square@sha256:" + "a" * 64


def test_a_publication_is_a_version_in_use_and_the_first_grader_the_default(site: Site) -> None:
    version = site.author.publish()
    assert version["published_at"] == "2026-01-01T00:00:00+00:00"
    assert version == version | {
        "queue": QUEUE, "name": "square", "version": 1, "active": True, "default": True,
        "image": None, "title": "Squares", "base": "python", "isolation": None,
        "forgeable": False, "lms_points": None, "published_by": "author",
    }  # fmt: skip
    second = site.author.publish("cube")
    assert (second["version"], second["default"]) == (1, False)


def test_each_publication_is_a_new_version_and_all_are_kept(site: Site) -> None:
    for _ in range(3):
        site.author.publish()
    shown = site.author.get(f"/graders/{QUEUE}/square")
    assert [(v["version"], v["active"]) for v in shown["versions"]] == [
        (3, True), (2, False), (1, False)
    ]  # fmt: skip
    assert (shown["active_version"], shown["latest_version"]) == (3, 3)


def test_a_version_can_be_stored_without_using_it(site: Site) -> None:
    assert site.author.publish(activate=False)["active"] is False
    assert site.author.get("/graders", queue=QUEUE)["graders"][0]["active_version"] is None
    assert site.worker.get("/assignments")["assignments"] == []
    assert site.author.activate(1).get_json()["active"] is True


def test_going_back_to_a_version_and_forward_again(site: Site) -> None:
    site.author.publish()
    site.author.publish()
    for version in (1, 2):
        answer = site.author.activate(version)
        assert (answer.status_code, answer.get_json()["version"]) == (200, version)
        assert site.author.get(f"/graders/{QUEUE}/square")["active_version"] == version


@pytest.mark.parametrize("version", [0, 3, -1, 2**31, 2**70])
def test_going_to_a_version_that_is_not_there_is_refused(site: Site, version: int) -> None:
    site.author.publish()
    problem_of(site.author.activate(version), 404, "not-found")
    assert site.author.get(f"/graders/{QUEUE}/square")["active_version"] == 1


@pytest.mark.parametrize("version", [None, "1", 1.0, True, [1]])
def test_a_version_that_is_no_number_is_refused(site: Site, version: Any) -> None:
    site.author.publish()
    problem_of(
        site.author.call("POST", f"/graders/{QUEUE}/square/activate", json={"version": version}),
        422,
        "invalid",
    )


def test_another_grader_can_be_made_the_default(site: Site) -> None:
    site.author.publish()
    site.author.publish("cube")
    answer = site.author.call("POST", f"/graders/{QUEUE}/cube/default", json={})
    assert answer.get_json()["default"] is True
    listed = site.author.get("/graders")["graders"]
    assert {g["name"]: g["default"] for g in listed} == {"cube": True, "square": False}


@pytest.mark.parametrize(
    "image",
    [IMAGE, IMAGE.partition("@")[2], "localhost:5000/x_y" + IMAGE[-72:], "a/b:v1.2" + IMAGE[-72:]],
)
def test_an_image_is_published_by_its_digest(site: Site, image: str) -> None:
    version = site.author.publish(digest=None, image=image)
    assert (version["digest"], version["image"]) == (None, image)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"digest": None}, "digest"),
        ({"image": IMAGE}, "digest"),
        ({"digest": "sha256:" + "0" * 63}, "digest"),
        ({"digest": 5}, "digest"),
        ({"digest": "sha256:" + "0" * 64}, "digest"),
        ({"digest": None, "image": "python:latest"}, "image"),
        ({"digest": None, "image": "--privileged@sha256:" + "a" * 64}, "image"),
        ({"digest": None, "image": "file:///etc/passwd@sha256:" + "a" * 64}, "image"),
        ({"digest": None, "image": "a//b@sha256:" + "a" * 64}, "image"),
        ({"digest": None, "image": "a/../b@sha256:" + "a" * 64}, "image"),
        ({"digest": None, "image": "a" * 600 + "@sha256:" + "a" * 64}, "image"),
        ({"digest": None, "image": ["x"]}, "image"),
        ({"manifest": None}, "manifest"),
        ({"manifest": []}, "manifest"),
        ({"manifest": manifest("Square")}, "manifest.name"),
        ({"manifest": manifest("-x")}, "manifest.name"),
        ({"manifest": manifest("a" * 64)}, "manifest.name"),
        ({"manifest": manifest("a\n")}, "manifest.name"),
        ({"manifest": manifest(title="a\0b")}, "manifest.title"),
        ({"manifest": manifest(title=5)}, "manifest.title"),
        ({"manifest": manifest(base=None)}, "manifest.base"),
        ({"manifest": manifest(base="../python")}, "manifest.base"),
        ({"manifest": manifest(isolation="strong")}, "manifest.isolation"),
        ({"manifest": manifest(isolation=["none"])}, "manifest.isolation"),
        ({"manifest": manifest(lms_points=0)}, "manifest.lms_points"),
        ({"manifest": manifest(lms_points=True)}, "manifest.lms_points"),
        ({"manifest": manifest(lms_points=10**400)}, "manifest.lms_points"),
        ({"manifest": manifest(limits=[])}, "manifest.limits"),
        ({"manifest": manifest(limits={"wall": 30})}, "manifest.limits.wall"),
        ({"manifest": manifest(limits={"wall_s": "30"})}, "manifest.limits.wall_s"),
        ({"manifest": manifest(limits={"wall_s": -1})}, "manifest.limits.wall_s"),
        ({"manifest": manifest(tests={})}, "manifest.tests"),
        ({"manifest": manifest(tests=manifest()["tests"] * 2)}, "manifest.tests[2].id"),
        ({"manifest": manifest(tests=[{"id": "a"}])}, "manifest.tests[0]"),
        ({"manifest": manifest(tests=["a"])}, "manifest.tests[0]"),
        ({"manifest": manifest(more={"deep": 1})}, "manifest.more"),
        ({"manifest": manifest(**{"\x1b[0m": 1})}, "manifest.'\\x1b[0m'"),
        ({"manifest": manifest(tests=[{"id": str(i)} for i in range(MAX_TESTS + 1)])},
         "manifest.tests"),
        ({"name": "cube"}, "name"),
        ({"activate": 1}, "activate"),
    ],
)  # fmt: skip
def test_what_can_not_be_used_is_named(site: Site, change: dict[str, Any], where: str) -> None:
    site.author.put_bundle()
    refused = site.author.call("POST", "/graders", json=publication() | change)
    problem = problem_of(refused, 422, "invalid")
    assert where in [e["where"] for e in problem["errors"]]
    assert site.desk.count("grader_versions") == 0


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("wall_s", 121), ("learner_wall_s", 121), ("learner_cpu_s", 241), ("cpus", 2.5),
        ("memory_bytes", 1024**3 + 1), ("scratch_bytes", 1024**3 + 1), ("pids", 257),
        ("output_bytes", 1024**2 + 1), ("result_bytes", 9 * 1024**2),
    ],
)  # fmt: skip
def test_more_than_the_ceilings_is_refused(site: Site, limit: str, value: float) -> None:
    site.author.put_bundle()
    document = publication(manifest=manifest(limits={limit: value}))
    problem = problem_of(site.author.call("POST", "/graders", json=document), 422, "limits")
    assert problem["errors"][0]["where"] == f"manifest.limits.{limit}"


def test_a_ceiling_is_said_in_the_units_of_authors(site: Site) -> None:
    site.author.put_bundle()
    limits = {"memory_bytes": 3 * 2**30, "output_bytes": 2**30, "wall_s": 600}
    site.policy(max_memory_bytes=2**30, max_output_bytes=100 * 1024)
    refused = site.author.call(
        "POST", "/graders", json=publication(manifest=manifest(limits=limits))
    )
    said = {e["where"]: e["problem"] for e in problem_of(refused, 422, "limits")["errors"]}
    assert said == {
        "manifest.limits.wall_s": "is 600; this queue allows at most 120",
        "manifest.limits.memory_bytes": "is 3072 MB; this queue allows at most 1024 MB",
        "manifest.limits.output_bytes": "is 1024 MB; this queue allows at most 100 kB",
    }


def test_a_queue_may_have_ceilings_of_its_own(site: Site) -> None:
    site.policy(max_wall_s=10.0)
    site.author.put_bundle()
    refused = site.author.call("POST", "/graders", json=publication())
    assert "at most 10" in problem_of(refused, 422, "limits")["detail"]
    site.policy(max_wall_s=600.0)
    site.author.publish(manifest=manifest(limits={"wall_s": 500}))


def test_going_back_is_refused_when_the_ceilings_are_lower_now(site: Site) -> None:
    site.author.publish()
    site.author.publish(manifest=manifest(limits={"wall_s": 1}))
    site.policy(max_wall_s=10.0)
    problem_of(site.author.activate(1), 422, "limits")
    assert site.author.get(f"/graders/{QUEUE}/square")["active_version"] == 2


def test_a_forgeable_grader_needs_an_administrator_and_is_marked_everywhere(site: Site) -> None:
    forgeable = manifest(isolation="none")
    site.author.put_bundle()
    refused = site.author.call("POST", "/graders", json=publication(manifest=forgeable))
    assert "allow-legacy" in problem_of(refused, 422, "isolation")["detail"]
    site.policy(legacy_reason="the old course")
    version = site.author.publish(manifest=forgeable)
    listed = site.author.get("/graders")["graders"][0]
    assigned = site.worker.get("/assignments")["assignments"][0]
    assert version["forgeable"] is listed["forgeable"] is assigned["forgeable"] is True


def test_a_forgeable_grader_is_not_handed_out_any_more_when_that_is_forbidden(site: Site) -> None:
    site.policy(legacy_reason="the old course")
    site.author.publish(manifest=manifest(isolation="none"))
    site.submit()
    site.policy(legacy_reason=None)
    assert site.worker.get("/assignments")["assignments"] == []
    assert site.lease() is None
    held = site.desk.see(1)
    assert (held.state, "isolation 'none'" in str(held.held_detail)) == ("held", True)


def test_two_publications_at_once_are_two_versions_with_one_default(site: Site) -> None:
    site.author.put_bundle()
    names = ["square", "cube"] * 4

    def publish(name: str) -> Any:
        return site.author.call("POST", "/graders", json=publication(name)).get_json()

    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(publish, names))
    assert sorted((v["name"], v["version"]) for v in published) == [
        (name, version) for name in ("cube", "square") for version in range(1, 5)
    ]
    assert [g["default"] for g in site.author.get("/graders")["graders"]].count(True) == 1


def test_the_manifest_reaches_the_worker_as_it_was_published(site: Site) -> None:
    document = manifest(title="Carrés", runtime="runsc", needs_files=["data.csv"])
    site.author.publish(manifest=document)
    assert site.worker.get("/assignments")["assignments"][0]["manifest"] == document


def test_graders_of_ones_own_queues_are_listed_together(site: Site) -> None:
    everywhere = site.token("everywhere", Role.AUTHOR, queue=ALL_QUEUES)
    everywhere.publish()
    everywhere.publish(queue=OTHER)
    assert [g["queue"] for g in everywhere.get("/graders")["graders"]] == [OTHER, QUEUE]
    assert [g["queue"] for g in everywhere.get("/graders", queue=OTHER)["graders"]] == [OTHER]
    assert [g["queue"] for g in site.author.get("/graders")["graders"]] == [QUEUE]


def test_two_changes_of_a_queues_policy_at_once_both_hold(site: Site) -> None:
    """A permission for forgeable graders that is withdrawn must not come back with the other."""
    for _ in range(10):
        site.policy(legacy_reason="an old course", max_pids=None)
        changes: list[dict[str, Any]] = [{"legacy_reason": None}, {"max_pids": 50}]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda change: site.policy(**change), changes))
        with site.storage.read() as tx:
            policy = policies.of_queue(tx, QUEUE)
        assert (policy.legacy_reason, policy.max_pids) == (None, 50)


def test_publishing_is_on_the_record(site: Site) -> None:
    site.author.publish()
    site.author.publish()
    site.author.activate(1)
    with site.storage.read() as tx:
        found = browsing.latest_events(tx, subject=f"queue {QUEUE}")
    assert [(e.why, e.detail) for e in reversed(found)][1:] == [
        ("grader published", "square version 1"),
        ("grader activated", "square None > 1"),
        ("grader published", "square version 2"),
        ("grader activated", "square 1 > 2"),
        ("grader activated", "square 2 > 1"),
    ]
    assert {e.actor for e in found} == {"test", "account author by token 1"}
