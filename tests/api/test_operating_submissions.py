"""Submissions through the API: found, seen, repaired, one by one and many at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.callers import OTHER, ApiClient, Site, problem_of
from tests.server.builders import (
    COURSE,
    LEARNER_CODE,
    ORIGIN,
    QUEUE,
    callback_url,
    grade,
)
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.storage import attempts, outbox
from xqueue_server.storage.attempts import Ending
from xqueue_server.web.api.operating import bulk

REFUSED = Ending(status=404, error=None, response="no such page", duration_us=1000)


@pytest.fixture
def operator(site: Site) -> ApiClient:
    return site.token("operator", Role.OPERATOR)


def post(caller: ApiClient, path: str, document: Any, status: int = 200) -> Any:
    response = caller.call("POST", path, json=document)
    assert response.status_code == status, response.get_data(as_text=True)
    return response.get_json()


def hold(site: Site) -> int:
    site.submit()
    return site.desk.exhaust().submission_id


def grade_one(site: Site) -> int:
    site.submit()
    leased = site.desk.lease()
    site.desk.put(leased)
    return leased.submission_id


def die(site: Site) -> int:
    """A callback that the LMS has refused for good; its id."""
    site.submit()
    leased = site.desk.lease()
    site.desk.clock.advance(1)
    site.desk.put(leased)
    due = site.desk.claim_callback()
    with site.storage.write() as tx:
        attempts.record(tx, due.id, REFUSED)
        assert outbox.finish_dead(tx, due, REFUSED, why="refused")
    return due.id


# -- seeing --------------------------------------------------------------------------------------


def test_a_list_has_facts_and_a_reason_and_nothing_that_the_learner_wrote(
    site: Site, operator: ApiClient
) -> None:
    submission_id = site.submit()
    response = operator.call("GET", "/submissions")
    (listed,) = response.get_json()["submissions"]
    assert (listed["id"], listed["state"], listed["course"]) == (submission_id, "queued", COURSE)
    assert listed["problem"].startswith("block-v1:")
    assert listed["reason"]["code"] == "no_worker"
    assert LEARNER_CODE not in response.get_data(as_text=True)
    assert "lms-key" not in response.get_data(as_text=True)


def test_a_long_list_comes_in_pages_without_gaps_or_doubles(
    site: Site, operator: ApiClient
) -> None:
    ids = [site.submit() for _ in range(5)]
    site.submit(queue=OTHER)
    seen, cursor = [], None
    for _ in range(3):
        page = operator.get("/submissions", limit="2", **({"cursor": cursor} if cursor else {}))
        seen.append([s["id"] for s in page["submissions"]])
        cursor = page["next"]
    assert seen == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    assert cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "7", "aWQ6MA", "aWQ6LTE", "ünicode", "9" * 40])
def test_a_cursor_of_ones_own_making_is_refused(operator: ApiClient, cursor: str) -> None:
    refused = operator.call("GET", "/submissions", query_string={"cursor": cursor})
    problem_of(refused, 422, "invalid")


@pytest.mark.parametrize("limit", ["0", "501", "-1", "many"])
def test_a_page_has_a_limit(operator: ApiClient, limit: str) -> None:
    refused = operator.call("GET", "/submissions", query_string={"limit": limit})
    problem_of(refused, 422, "invalid")


def test_filters_are_those_of_every_other_face(site: Site, operator: ApiClient) -> None:
    held = hold(site)
    waiting = site.desk.submit(callback_url("1" * 32, user=77))
    assert [s["id"] for s in operator.get("/submissions", state="held")["submissions"]] == [held]
    of_one = operator.get("/submissions", learner="77", course=COURSE)["submissions"]
    assert [s["id"] for s in of_one] == [waiting]
    refused = operator.call("GET", "/submissions", query_string={"stat": "held"})
    assert "stat" in problem_of(refused, 422, "invalid")["detail"]
    refused = operator.call("GET", "/submissions", query_string={"state": "odd"})
    assert "queued" in problem_of(refused, 422, "invalid")["detail"]


def test_one_submission_has_its_place_in_the_line(site: Site, operator: ApiClient) -> None:
    site.submit()
    second = site.submit()
    found = operator.get(f"/submissions/{second}")
    assert found["position"] == 2
    assert found["expected_wait_s"] is None, "nobody has announced a worker"
    assert found["body_bytes"] > 0
    document = {
        "pid": 1, "version": "1", "backend": "bwrap", "cpus": 2,
        "started_at": "2026-01-01T00:00:00+00:00",
        "workers": [{"name": f"w-{n}", "pid": 2, "queue": QUEUE, "state": "idle", "since_s": 0}
                    for n in range(2)],
    }  # fmt: skip
    assert site.worker.call("PUT", "/workers/h", json=document).status_code == 200
    waits = operator.get(f"/submissions/{second}")["expected_wait_s"]
    assert waits == 15.0, "2 places, 2 workers, 15 s assumed for a grading"


def test_facts_of_one_have_neither_keys_nor_code(site: Site, operator: ApiClient) -> None:
    submission_id = grade_one(site)
    for path in ("", "/timeline"):
        text = operator.call("GET", f"/submissions/{submission_id}{path}").get_data(as_text=True)
        assert LEARNER_CODE not in text
        assert "lms-key" not in text
        assert '"lease_key"' not in text


def test_the_timeline_tells_the_whole_story(site: Site, operator: ApiClient) -> None:
    die(site)
    (listed,) = operator.get("/submissions")["submissions"]
    told = operator.get(f"/submissions/{listed['id']}/timeline")
    assert told["reason"]["code"] == "dead_letter"
    assert told["steps"][0]["what"] == "Arrived from the LMS"
    (callback,) = told["callbacks"]
    assert (callback["state"], callback["attempts"][0]["status"]) == ("dead", 404)


def test_results_are_shown_as_they_came(site: Site, operator: ApiClient) -> None:
    submission_id = grade_one(site)
    (result,) = operator.get(f"/submissions/{submission_id}/results")["results"]
    assert json.loads(result["body"]) == json.loads(grade())
    assert result["disposition"] == "accepted"


def test_whoever_looks_at_what_the_learner_wrote_is_recorded(
    site: Site, operator: ApiClient
) -> None:
    submission_id = site.submit()
    response = operator.call("GET", f"/submissions/{submission_id}/content")
    assert LEARNER_CODE in json.loads(response.get_json()["body"])["student_response"]
    assert response.headers["Cache-Control"] == "no-store"
    last = site.desk.events_of(submission_id)[-1]
    assert (last.why, last.actor.split(" by ")[0]) == ("looked", "account operator")


def test_a_trial_is_its_authors_alone(site: Site) -> None:
    site.author.put_bundle()
    from tests.api.callers import publication  # its shape is that of a trial

    body = publication() | {"response": "x"}
    assert site.author.call("POST", "/trials", json=body).status_code == 202
    everything = site.token("everything", Role.ADMIN, queue=ALL_QUEUES)
    assert everything.get("/submissions") == {"submissions": [], "next": None}
    problem_of(everything.call("GET", "/submissions/1"), 404, "not-found")


# -- repairing one -------------------------------------------------------------------------------


def test_a_held_submission_is_released(site: Site, operator: ApiClient) -> None:
    held = hold(site)
    assert post(operator, f"/submissions/{held}/release", {})["state"] == "queued"
    assert site.desk.lease().submission_id == held
    again = operator.call("POST", f"/submissions/{held}/release", json={})
    assert "not held" in problem_of(again, 409, "conflict")["detail"]
    released = next(e for e in site.desk.events_of(held) if e.why == "release")
    assert released.actor.startswith("account operator by token")


def test_a_held_submission_is_given_up(site: Site, operator: ApiClient) -> None:
    held = hold(site)
    assert post(operator, f"/submissions/{held}/give-up", {})["state"] == "given_up"
    assert [c.kind for c in site.desk.callbacks_of(held)] == ["give_up"]


def test_a_graded_submission_is_graded_anew_for_a_reason(site: Site, operator: ApiClient) -> None:
    graded = grade_one(site)
    refused = operator.call("POST", f"/submissions/{graded}/regrade", json={})
    assert problem_of(refused, 422, "invalid")["errors"][0]["where"] == "reason"
    found = post(operator, f"/submissions/{graded}/regrade", {"reason": "a test was wrong"})
    assert (found["state"], found["regrading"]) == ("queued", True)


def test_a_waiting_submission_is_moved_forward(site: Site, operator: ApiClient) -> None:
    site.submit()
    second = site.submit()
    assert post(operator, f"/submissions/{second}/prioritise", {"priority": 10})["priority"] == 10
    assert operator.get(f"/submissions/{second}")["position"] == 1
    refused = operator.call("POST", f"/submissions/{second}/prioritise", json={"priority": 1000})
    problem_of(refused, 422, "invalid")


def test_another_sites_page_can_not_repair_with_a_form(site: Site, operator: ApiClient) -> None:
    held = hold(site)
    refused = operator.call("POST", f"/submissions/{held}/release", data={"a": "b"})
    problem_of(refused, 415, "media-type")


# -- many ----------------------------------------------------------------------------------------


def test_many_are_released_after_their_number_was_confirmed(
    site: Site, operator: ApiClient
) -> None:
    held = [hold(site), hold(site)]
    question = {"action": "release", "selection": {"queue": QUEUE}}
    assert post(operator, "/submissions/bulk/preview", question)["count"] == 2
    refused = operator.call("POST", "/submissions/bulk", json=question | {"confirmed_count": 1})
    assert "2 submissions match" in problem_of(refused, 409, "conflict")["detail"]
    assert {site.desk.see(each).state for each in held} == {"held"}
    done = post(operator, "/submissions/bulk", question | {"confirmed_count": 2})
    assert (done["count"], done["skipped_count"], done["complete"]) == (2, 0, True)
    assert {site.desk.see(each).state for each in held} == {"queued"}


def test_many_means_only_what_one_may_repair(site: Site) -> None:
    held = hold(site)
    stranger = site.token("stranger", Role.OPERATOR, queue=OTHER)
    question = {"action": "release", "selection": {"state": "held"}}
    assert post(stranger, "/submissions/bulk/preview", question)["count"] == 0
    assert post(stranger, "/submissions/bulk", question | {"confirmed_count": 9})["count"] == 0
    assert site.desk.see(held).state == "held"
    viewer = site.token("viewer", Role.VIEWER)
    refused = viewer.call("POST", "/submissions/bulk/preview", json=question)
    problem_of(refused, 403, "forbidden")


@pytest.mark.parametrize("selection", [{}, {"queue": ""}, None, {"queue": ["python"]}, {"x": "y"}])
def test_everything_is_never_meant_by_leaving_filters_out(
    operator: ApiClient, selection: Any
) -> None:
    question = {"action": "give_up", "selection": selection}
    refused = operator.call("POST", "/submissions/bulk/preview", json=question)
    assert problem_of(refused, 422, "invalid")["errors"][0]["where"] == "selection"


def test_many_are_regraded_as_one_batch(site: Site, operator: ApiClient) -> None:
    graded = [grade_one(site), grade_one(site)]
    question = {"action": "regrade", "selection": {"course": COURSE}}
    preview = post(operator, "/submissions/bulk/preview", question)
    assert preview["count"] == 2
    assert preview["graded_by"][0]["count"] == 2
    confirmed = question | {"confirmed_count": 2, "reason": "a test was wrong"}
    done = post(operator, "/submissions/bulk", confirmed)
    assert done["count"] == 2
    found = operator.get("/submissions", batch=str(done["batch_id"]))["submissions"]
    assert {s["id"] for s in found} == set(graded)


def test_a_regrade_goes_on_as_the_same_batch_for_who_asked_for_it(
    site: Site, operator: ApiClient
) -> None:
    grade_one(site)
    asked = {
        "action": "regrade", "selection": {"queue": QUEUE}, "confirmed_count": 9, "reason": "x"
    }  # fmt: skip
    batch_id = post(operator, "/submissions/bulk", asked)["batch_id"]
    grade_one(site)
    more = asked | {"batch_id": batch_id}
    other = site.token("other", Role.OPERATOR)
    problem_of(other.call("POST", "/submissions/bulk", json=more), 404, "not-found")
    missing = asked | {"batch_id": batch_id + 1}
    problem_of(operator.call("POST", "/submissions/bulk", json=missing), 404, "not-found")
    assert post(operator, "/submissions/bulk", more)["batch_id"] == batch_id
    everywhere = site.token("everywhere", Role.VIEWER, queue=ALL_QUEUES)
    (batch,) = everywhere.get("/regrades")["regrades"]
    assert batch == everywhere.get(f"/regrades/{batch_id}")
    assert (batch["counts"]["waiting"], batch["reason"]) == (2, "x")
    problem_of(operator.call("GET", "/regrades"), 403, "forbidden")
    problem_of(everywhere.call("GET", "/regrades/999"), 404, "not-found")


def test_what_takes_too_long_is_said_to_be_incomplete_and_can_be_sent_again(
    site: Site, operator: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = hold(site)
    question = {"action": "release", "selection": {"queue": QUEUE}, "confirmed_count": 1}
    monkeypatch.setattr(bulk, "LASTS_AT_MOST_S", -1.0)
    done = post(operator, "/submissions/bulk", question)
    assert (done["count"], done["complete"]) == (0, False)
    assert site.desk.see(held).state == "held"
    monkeypatch.undo()
    done = post(operator, "/submissions/bulk", question)
    assert (done["count"], done["complete"]) == (1, True)


def test_many_dead_callbacks_are_replayed(site: Site, operator: ApiClient) -> None:
    die(site)
    question = {"action": "replay", "selection": {"queue": QUEUE}, "confirmed_count": 1}
    assert post(operator, "/submissions/bulk", question | {"reason": "LMS is back"})["count"] == 1
    (callback,) = operator.get("/callbacks", state="pending")["callbacks"]
    assert callback["origin"] == ORIGIN
    admin = site.token("admin", Role.ADMIN, queue=ALL_QUEUES)
    events = admin.get("/events", subject="submissions")["events"]
    assert "replay: LMS is back" in [e["detail"] for e in events]


# -- callbacks, leases, faults -------------------------------------------------------------------


def test_dead_callbacks_are_found_and_sent_again(site: Site, operator: ApiClient) -> None:
    callback_id = die(site)
    (listed,) = operator.get("/callbacks", state="dead", origin=ORIGIN, queue=QUEUE)["callbacks"]
    assert (listed["id"], listed["last_status"]) == (callback_id, 404)
    shown = operator.get(f"/callbacks/{callback_id}")
    assert shown["attempts"][0]["response"] == "no such page"
    assert post(operator, f"/callbacks/{callback_id}/replay", {})["state"] == "pending"
    again = operator.call("POST", f"/callbacks/{callback_id}/replay", json={})
    problem_of(again, 409, "conflict")


def test_callbacks_of_others_are_not_there(site: Site) -> None:
    callback_id = die(site)
    stranger = site.token("stranger", Role.OPERATOR, queue=OTHER)
    assert stranger.get("/callbacks") == {"callbacks": [], "next": None}
    problem_of(stranger.call("GET", f"/callbacks/{callback_id}"), 404, "not-found")
    replay = stranger.call("POST", f"/callbacks/{callback_id}/replay", json={})
    problem_of(replay, 404, "not-found")


def test_all_dead_callbacks_of_an_lms_are_sent_again(site: Site, operator: ApiClient) -> None:
    die(site)
    problem_of(
        operator.call("POST", "/callbacks/replay", json={"origin": ORIGIN}), 403, "forbidden"
    )
    everywhere = site.token("everywhere", Role.OPERATOR, queue=ALL_QUEUES)
    (origin,) = everywhere.get("/origins")["origins"]
    assert (origin["origin"], origin["dead"], origin["breaker"]) == (ORIGIN, 1, "closed")
    assert post(everywhere, "/callbacks/replay", {"origin": ORIGIN}) == {"count": 1}
    assert everywhere.get("/origins")["origins"][0]["pending"] == 1


def test_leases_are_listed_without_their_keys(site: Site, operator: ApiClient) -> None:
    site.submit()
    leased = site.desk.lease()
    response = operator.call("GET", "/leases")
    (listed,) = response.get_json()["leases"]
    assert (listed["submission_id"], listed["by"]) == (leased.submission_id, "grader")
    assert listed["until"] == leased.lease_until.isoformat()
    assert leased.key not in response.get_data(as_text=True)
    stranger = site.token("stranger", Role.OPERATOR, queue=OTHER)
    assert stranger.get("/leases")["leases"] == []


def test_all_that_a_fault_holds_is_released(site: Site, operator: ApiClient) -> None:
    held = hold(site)
    (fault,) = operator.get("/faults")["faults"]
    path = f"/faults/{fault['id']}/release"
    refused = operator.call("POST", path, json={"confirmed_count": 0})
    problem_of(refused, 409, "conflict")
    author = site.author.call("POST", path, json={"confirmed_count": 1})
    problem_of(author, 403, "forbidden")
    assert post(operator, path, {"confirmed_count": 1})["count"] == 1
    assert site.desk.see(held).state == "queued"


def test_faults_come_in_pages(site: Site, operator: ApiClient) -> None:
    hold(site)
    page = operator.get("/faults", limit="1")
    assert (len(page["faults"]), page["next"]) == (1, None)
