"""Which grader a lease names: chosen when the submission goes out, visible to who asks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.callers import BUNDLE, Site, digest_of, manifest
from tests.server.builders import QUEUE, change_queue, grade, lms_body
from xqueue_server.models.grader import LeasedGrader
from xqueue_server.models.queue import Queue
from xqueue_server.storage import lease_graders, readiness
from xqueue_server.submissions import holding, leasing
from xqueue_server.submissions.choosing import NONE_BELIEVED_S, Choosing, wish_of
from xqueue_server.submissions.leasing import FailureKind

SQUARE = {
    "name": "square",
    "version": 1,
    "digest": f"sha256:{digest_of(BUNDLE)}",
    "image": None,
}


def test_who_asks_is_told_the_grader_and_who_does_not_is_not(site: Site) -> None:
    site.author.publish()
    site.submit()
    site.submit()
    assert site.leased_grader() == SQUARE
    assert site.lease(grader=False) is not None
    assert list(json.loads(site.last_header)) == ["submission_id", "submission_key"]


@pytest.mark.parametrize("asked", ["0", "true", ""])
def test_asking_is_exactly_grader_1(site: Site, asked: str) -> None:
    site.author.publish()
    site.submit()
    assert site.leased_grader(grader=asked) is None


def test_a_worker_without_a_grader_is_given_nothing_of_learners_until_one_is_published(
    site: Site,
) -> None:
    site.submit()
    assert site.lease(grader="only") is None
    site.author.publish()
    assert site.leased_grader(grader="only") == SQUARE


def test_the_header_comes_back_as_it_went(site: Site) -> None:
    site.author.publish()
    submission_id = site.submit()
    assert site.lease() is not None
    fields = {"xqueue_header": site.last_header}
    assert site.server.grader.post("renew_lease", **fields).code == 0
    assert site.server.grader.post("put_result", xqueue_body=grade(), **fields).code == 0
    assert site.desk.see(submission_id).state == "graded"


def test_a_queue_without_published_graders_names_none(site: Site) -> None:
    site.submit(payload='{"grader": "square"}')  # perhaps its own worker's business
    assert site.leased_grader() is None


def test_the_payload_names_the_grader_and_the_default_is_for_the_rest(site: Site) -> None:
    site.author.publish()
    site.author.publish("cube")
    for payload, name in (
        ('{"grader": "cube"}', "cube"), ({"grader": "cube"}, "cube"), ("{}", "square"),
        ("not JSON", "square"), ("[1]", "square"), (None, "square"), ("", "square"),
    ):  # fmt: skip
        site.submit(payload=payload)
        assert site.leased_grader()["name"] == name, payload


def test_a_rollback_counts_from_the_next_lease_on(site: Site) -> None:
    site.author.publish()
    site.author.publish()
    ids = [site.submit() for _ in range(3)]
    assert site.leased_grader()["version"] == 2
    site.author.activate(1)
    assert site.leased_grader()["version"] == 1
    site.author.activate(2)
    assert site.leased_grader()["version"] == 2
    with site.storage.read() as tx:
        graded_with = [lease_graders.of_submission(tx, i)[0].version for i in ids]
    assert graded_with == [2, 1, 2]


def test_each_attempt_remembers_its_own_version(site: Site) -> None:
    change_queue(site.storage, lease_s=10)
    site.author.publish()
    submission_id = site.submit()
    site.lease()
    site.desk.sweep_after(11)
    site.author.publish()
    site.lease()
    with site.storage.read() as tx:
        found = lease_graders.of_submission(tx, submission_id)
    assert [(h.attempt, h.grader, h.version) for h in found] == [
        (1, "square", 1),
        (2, "square", 2),
    ]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ('{"grader": "cube"}', "'cube', which queue 'python' does not have; it has: square"),
        ('{"grader": 5}', "not a grader's name"),
        ('{"grader": null}', "not a grader's name"),
        ('{"grader": "a\\u0000b"}', "not a grader's name"),
        ('{"grader": ""}', "does not have"),
        (json.dumps({"grader": "x" * 5000}), "does not have"),
    ],
)
def test_an_unknown_grader_holds_the_submission_and_the_next_is_handed_out(
    site: Site, payload: str, said: str
) -> None:
    site.author.publish()
    held, good = site.submit(payload=payload), site.submit()
    handed_out = site.lease()
    assert handed_out is not None
    assert handed_out.submission_id == good
    found = site.desk.see(held)
    assert (found.state, found.held_reason) == ("held", "grader")
    assert said in str(found.held_detail)
    assert len(str(found.held_detail)) < 300
    (fault,) = site.author.get("/faults")["faults"]
    assert (fault["kind"], fault["grader"], fault["count"]) == ("unknown_grader", None, 1)


def test_each_wrong_name_is_a_fault_of_its_own_whatever_graders_there_are(site: Site) -> None:
    """One that hid behind another would not be told to anybody."""
    site.author.publish()
    for name in ("cube", "sqare", "cube"):
        site.submit(payload=json.dumps({"grader": name}))
    assert site.lease() is None
    site.author.publish("circle")
    site.submit(payload='{"grader": "cube"}')
    assert site.lease() is None
    found = {f["signature"]: f["count"] for f in site.author.get("/faults")["faults"]}
    assert found == {
        "grader_payload names the grader 'cube', which queue 'python' does not have": 3,
        "grader_payload names the grader 'sqare', which queue 'python' does not have": 1,
    }


def test_many_submissions_for_an_unknown_grader_are_all_held_in_the_end(site: Site) -> None:
    site.author.publish()
    ids = [site.submit(payload='{"grader": "cube"}') for _ in range(25)]
    assert site.lease() is None
    assert site.lease() is None
    assert {site.desk.see(i).state for i in ids} == {"held"}
    (fault,) = site.author.get("/faults")["faults"]
    assert fault["count"] == 25


def test_a_held_one_is_graded_when_its_grader_is_published_and_it_is_released(site: Site) -> None:
    site.author.publish()
    submission_id = site.submit(payload='{"grader": "cube"}')
    assert site.lease() is None
    site.author.publish("cube")
    holding.release(site.storage, submission_id, actor="test")
    assert site.leased_grader()["name"] == "cube"


def test_a_named_grader_without_an_active_version_holds_and_a_default_one_is_absent(
    site: Site,
) -> None:
    site.author.publish(activate=False)
    by_name, by_default = site.submit(payload='{"grader": "square"}'), site.submit()
    assert site.leased_grader() is None
    assert site.desk.see(by_default).state == "leased"
    assert "no active version" in str(site.desk.see(by_name).held_detail)


def test_a_wait_with_grader_1_is_ended_by_a_submission(site: Site) -> None:
    site.author.publish()
    site.submit()
    assert site.leased_grader(wait="5")["name"] == "square"


def test_a_retry_of_the_lease_says_what_is_recorded(site: Site) -> None:
    """The first answer never left: what the second says must be what the record says."""
    site.author.publish()
    submission_id = site.submit()
    choose = site.server.services.choosing.choose
    first = _lease(site, "a" * 32, choose=choose)
    site.author.publish()
    second = _lease(site, "a" * 32, choose=choose, is_retry=True)
    assert first.submission_id == second.submission_id == submission_id
    assert isinstance(second.choice, LeasedGrader)
    with site.storage.read() as tx:
        (recorded,) = lease_graders.of_submission(tx, submission_id)
    assert recorded.version == second.choice.version == 2


def _lease(site: Site, key: str, **terms: Any) -> Any:
    return leasing.lease(site.storage, site.desk.grader, Queue(name=QUEUE), key=key, **terms)


def test_a_queue_without_graders_is_looked_up_once_a_second(site: Site) -> None:
    now = 0.0
    choosing = Choosing(monotonic=lambda: now)
    for _ in range(3):
        site.submit()
    assert _lease(site, "a" * 32, choose=choosing.choose).choice is None
    site.author.publish()
    assert _lease(site, "b" * 32, choose=choosing.choose).choice is None
    now = NONE_BELIEVED_S
    assert _lease(site, "c" * 32, choose=choosing.choose).choice is not None


def test_the_process_that_publishes_notices_at_once(site: Site) -> None:
    site.submit()
    site.submit()
    assert site.leased_grader() is None
    site.author.publish()
    assert site.leased_grader() == SQUARE


@pytest.mark.parametrize("body", ["", "x", "[]", "{}", '{"grader_payload": 5}', "[" * 100_000])
def test_a_body_that_is_no_submission_wishes_nothing(body: str) -> None:
    wish = wish_of(body)
    assert (wish.name, wish.problem) == (None, None)


def test_a_grader_in_the_body_itself_is_not_a_wish() -> None:
    body = json.loads(lms_body(payload="{}")) | {"grader": "cube"}
    assert wish_of(json.dumps(body)).name is None


# -- assignments ---------------------------------------------------------------------------------


def test_a_worker_sees_the_active_versions_and_is_told_when_nothing_has_changed(
    site: Site,
) -> None:
    site.author.publish()
    site.author.publish("cube")
    first = site.worker.call("GET", f"/assignments?queue={QUEUE}")
    assert [(a["name"], a["version"], a["default"]) for a in first.get_json()["assignments"]] == [
        ("cube", 1, False),
        ("square", 1, True),
    ]
    known = {"If-None-Match": first.headers["ETag"]}
    again = site.worker.call("GET", "/assignments", headers=known)
    assert (again.status_code, again.get_data()) == (304, b"")
    site.author.publish()
    changed = site.worker.call("GET", "/assignments", headers=known)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_a_version_that_is_not_active_can_be_asked_for(site: Site) -> None:
    site.author.publish(manifest=manifest(title="The first"))
    site.author.publish()
    first = site.worker.get(f"/assignments/{QUEUE}/square/1")
    assert (first["version"], first["manifest"]["title"]) == (1, "The first")
    for path in ("square/3", "cube/1", f"square/{2**40}", "Square/1"):
        assert site.worker.call("GET", f"/assignments/{QUEUE}/{path}").status_code == 404


# -- readiness -----------------------------------------------------------------------------------


def report(**more: Any) -> dict[str, Any]:
    return {"queue": QUEUE, "name": "square", "version": 1, "ready": True} | more


def tell(site: Site, *items: Any, host: Any = "grading-1") -> Any:
    return site.worker.call("PUT", "/readiness", json={"host": host, "items": list(items)})


def test_hosts_say_whether_they_can_run_a_grader(site: Site) -> None:
    site.author.publish()
    assert tell(site, report(ready=False, problem="no image")).status_code == 204
    assert tell(site, report(), host="grading-2").status_code == 204
    listed = site.author.get("/graders")["graders"][0]
    assert (listed["hosts_ready"], listed["hosts_not_ready"]) == (1, 1)
    shown = site.author.get(f"/graders/{QUEUE}/square")["readiness"]
    assert [(h["host"], h["ready"], h["problem"]) for h in shown] == [
        ("grading-1", False, "no image"),
        ("grading-2", True, None),
    ]
    tell(site, report())
    assert site.author.get("/graders")["graders"][0]["hosts_ready"] == 2


def test_what_is_not_repeated_is_soon_not_counted_and_after_a_day_forgotten(site: Site) -> None:
    site.author.publish()
    tell(site, report())
    site.desk.clock.advance(601)
    assert site.author.get("/graders")["graders"][0]["hosts_ready"] == 0
    site.desk.clock.advance(86_400)
    with site.storage.write() as tx:
        assert readiness.forget_old(tx) == 1
    assert site.author.get(f"/graders/{QUEUE}/square")["readiness"] == []


def test_hosts_say_when_the_base_of_an_image_was_made(site: Site) -> None:
    site.author.publish()
    assert tell(site, report()).status_code == 204
    assert site.author.get("/graders")["graders"][0]["image_created"] is None
    tell(site, report(image_created="2025-12-01T09:00:00+01:00"))
    tell(site, report(image_created="2026-01-01T00:00:00Z"), host="grading-2")
    assert site.author.get("/graders")["graders"][0]["image_created"] == "2025-12-01T08:00:00+00:00"
    shown = site.author.get(f"/graders/{QUEUE}/square")["readiness"]
    assert [h["image_created"] for h in shown] == [
        "2025-12-01T08:00:00+00:00",
        "2026-01-01T00:00:00+00:00",
    ]
    tell(site, report(image_created="2026-02-01T00:00:00Z"))
    assert site.author.get("/graders")["graders"][0]["image_created"] == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "item",
    [
        5, {}, report(queue=5), report(name="Square"), report(version=0), report(version=True),
        report(version=2**31), report(ready="yes"), report(problem=5),
        report(image_created=5), report(image_created="2026-01-01T00:00:00"),
        report(image_created="new"), report(image_created="0001-01-01T00:00:00+14:00"),
    ],
)  # fmt: skip
def test_an_item_that_can_not_be_used_refuses_all(site: Site, item: Any) -> None:
    assert tell(site, report(), item).status_code == 422
    assert site.desk.count("readiness") == 0


@pytest.mark.parametrize("host", [None, "", "a" * 129, "a\nb", "a\0b"])
def test_a_host_has_a_name(site: Site, host: Any) -> None:
    assert tell(site, report(), host=host).status_code == 422


def test_a_worker_speaks_only_for_its_own_queues(site: Site) -> None:
    assert tell(site, report(), report(queue="other")).status_code == 404
    assert site.desk.count("readiness") == 0


@pytest.mark.parametrize("item", [report(version=2), report(name="cube")])
def test_nothing_is_kept_about_a_version_that_is_not_there(site: Site, item: Any) -> None:
    site.author.publish()
    assert tell(site, item, report()).status_code == 204
    shown = site.author.get(f"/graders/{QUEUE}/square")["readiness"]
    assert [h["version"] for h in shown] == [1]
    assert site.desk.count("readiness") == 1


def test_a_problem_is_one_line_of_what_can_be_shown(site: Site) -> None:
    site.author.publish()
    tell(site, report(ready=False, problem="\x1b[31mno\x00 image\nhost b: ready"))
    (host,) = site.author.get(f"/graders/{QUEUE}/square")["readiness"]
    assert host["problem"] == "[31mno image host b: ready"


def test_a_failure_names_the_version_that_was_handed_out(site: Site) -> None:
    site.author.publish()
    site.submit()
    handed_out = site.lease()
    assert handed_out is not None
    site.author.publish()  # not the one at fault
    site.server.grader.post(
        "put_failure", xqueue_header=site.last_header, kind=FailureKind.GRADER, detail="crash"
    )
    (fault,) = site.author.get("/faults")["faults"]
    assert (fault["grader"], fault["version"], fault["signature"]) == ("square", 1, "crash")
