"""Exams and attempts over the API: acting, judging, reporting, and what each answer says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam, Terms
from proctoring_hooks.grades import GradeState, Standing
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.transitions import Action
from tests.api.callers import ApiClient, Site, problem_of
from tests.proctoring.conftest import COURSE, EXAM, LMS
from tests.proctoring.sitting import LEARNER, started
from tests.server.builders import QUEUE
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.storage import course_grants
from xqueue_server.storage.course_grants import CourseGrant
from xqueue_server.storage.proctoring import ProctoringStore

WHY = {"reason": "fire alarm"}


@pytest.fixture
def store(site: Site) -> ProctoringStore:
    opened = site.server.services.proctoring
    with opened.write() as session:
        session.lmses.add(LMS)
    return opened


@pytest.fixture
def exam(store: ProctoringStore) -> Exam:
    with store.write() as session:
        return session.exams.add(EXAM)


@pytest.fixture
def attempt(store: ProctoringStore, exam: Exam) -> Attempt:
    return started(store, exam)


def on_course(site: Site, role: Role) -> ApiClient:
    account = site.account(f"course-{role}")
    with site.storage.write() as tx:
        given = CourseGrant(role=role, course=COURSE)
        course_grants.grant(tx, account.name, given, actor="test")
    return site.password(account)


@pytest.fixture
def proctor(site: Site) -> ApiClient:
    return on_course(site, Role.PROCTOR)


def post(
    caller: ApiClient, path: str, body: dict[str, object], status: int = 200
) -> dict[str, Any]:
    response = caller.call("POST", path, json=body)
    assert response.status_code == status, response.get_data(as_text=True)
    return dict(response.get_json())


def test_a_proctor_extends_terminates_and_judges(
    site: Site, proctor: ApiClient, attempt: Attempt
) -> None:
    of = f"/attempts/{attempt.id}"
    done = post(proctor, f"{of}/extend", WHY | {"minutes": 15})["attempt"]
    assert attempt.expires_at is not None
    assert done["left_s"] == 75 * 60
    assert done["expires_at"] > attempt.expires_at.isoformat()
    assert done["server_now"] < done["expires_at"]
    done = post(proctor, f"{of}/terminate", WHY | {"version": done["version"]})
    assert (done["effect"], done["attempt"]["status"]) == ("change", "second_review_required")
    assert post(proctor, f"{of}/terminate", WHY)["effect"] == "same"
    problem_of(proctor.call("POST", f"{of}/terminate", json=WHY | {"version": 1}), 409, "conflict")
    refused = problem_of(proctor.call("POST", f"{of}/resume", json=WHY), 409, "conflict")
    assert "second_review_required" in refused["detail"], "who won is named"
    judged = post(proctor, f"{of}/review", {"verdict": "fail", "comments": ["a phone"]})
    assert judged["attempt"]["status"] == "rejected"
    told = proctor.get(f"{of}/timeline")
    assert [each["action"] for each in told["history"]][-3:] == ["extend", "terminate", "fail"]
    assert told["history"][-2]["reason"] == WHY["reason"]
    assert told["history"][-2]["who"] == "account course-proctor"
    (review,) = told["reviews"]
    assert (review["reviewed_by"], review["comments"][0]["comment"]) == (
        "course-proctor",
        "a phone",
    )


def test_a_token_judges_nobody(site: Site, attempt: Attempt) -> None:
    mighty = site.token("mighty", Role.OPERATOR, queue=ALL_QUEUES)
    said = problem_of(
        mighty.call("POST", f"/attempts/{attempt.id}/review", json={"verdict": "pass"}),
        403,
        "forbidden",
    )
    assert "sign in as the account itself" in said["detail"]


def test_an_incident_is_taken_once_and_its_policy_carried_out(
    store: ProctoringStore, proctor: ApiClient, exam: Exam, attempt: Attempt
) -> None:
    with store.write() as session:
        session.exams.change(exam.id, terms=Terms(incident_policy="two_strikes"))
    of = f"/attempts/{attempt.id}/incidents"
    seen = {"incident_id": "a", "kind": "left full screen", "severity": 0.9, "detail": "10:03"}
    first = post(proctor, of, seen, 201)
    assert (first["is_new"], first["incident"]["strike"]) == (True, 1)
    assert first["incident"]["consequences"] == ["mark_down", "warn"]
    assert first["attempt"]["mark_factor"] == 0.5
    again = post(proctor, of, seen | {"severity": 0.1})
    assert (again["is_new"], again["incident"]["severity"]) == (False, 0.9)
    second = post(proctor, of, seen | {"incident_id": "b"}, 201)
    assert second["attempt"]["status"] == "second_review_required"


def test_names_are_for_those_who_judge_and_whoever_looks_is_recorded(
    site: Site, store: ProctoringStore, proctor: ApiClient, attempt: Attempt
) -> None:
    with store.write() as session:
        session.learners.tell(LMS.name, "17", full_name="Jane Doe", email="j@example.org")
        attempts.act(session, attempt.id, Action.SUBMIT, replace(LEARNER, reason="secret words"))
    viewer = on_course(site, Role.VIEWER)
    path = f"/attempts/{attempt.id}/timeline"
    seen = json.dumps(viewer.get(path))
    assert "Jane Doe" not in seen
    assert "secret words" not in seen
    for _ in range(2):
        assert proctor.get(path)["learner"]["full_name"] == "Jane Doe"
    chief = site.password(site.account("chief", Role.ADMIN, queue=ALL_QUEUES))
    looked = chief.get("/events", subject=f"attempt {attempt.id}")["events"]
    assert {(each["actor"], each["why"]) for each in looked} == {
        ("account course-proctor", "looked"),
        ("account course-viewer", "looked"),
    }
    assert len(looked) == 2, "once for a while of looking"
    assert "Jane Doe" not in json.dumps(proctor.get("/attempts"))


def test_every_answer_about_learners_is_on_record(
    site: Site, store: ProctoringStore, proctor: ApiClient, attempt: Attempt
) -> None:
    exam, one = f"exam {attempt.exam_id}", f"attempt {attempt.id}"
    chief = site.password(site.account("chief", Role.ADMIN, queue=ALL_QUEUES))
    proctor.get(f"/exams/{attempt.exam_id}")
    allowance = {"kind": "additional_time_granted", "value": 5}
    proctor.call("PUT", f"/exams/{attempt.exam_id}/allowances/17", json=allowance)
    for path, subject in (
        ("/attempts", exam),
        (f"/attempts/{attempt.id}", one),
        (f"/attempts/{attempt.id}/timeline", one),
        (f"/exams/{attempt.exam_id}/marks", exam),
        (f"/exams/{attempt.exam_id}", exam),
    ):
        before = len(chief.get("/events", subject=subject)["events"])
        site.desk.clock.advance(16 * 60)
        proctor.get(path)
        seen = chief.get("/events", subject=subject)["events"]
        assert len(seen) == before + 1, path
        assert (seen[0]["actor"], seen[0]["why"]) == ("account course-proctor", "looked")


def test_lists_are_filtered_and_come_in_pages(
    site: Site, store: ProctoringStore, proctor: ApiClient, exam: Exam
) -> None:
    with store.write() as session:
        elsewhere = session.exams.add(
            replace(EXAM, course_id="course-v1:X+Y+Z", external_id="exam-2")
        )
    sat = [started(store, exam, str(user)) for user in range(1, 4)]
    started(store, elsewhere, "9")
    with store.write() as session:
        attempts.act(session, sat[0].id, Action.SUBMIT, LEARNER)
    ids = [each.id for each in reversed(sat)]
    first = proctor.get("/attempts", limit="2")
    second = proctor.get("/attempts", limit="2", cursor=first["next"])
    assert [each["id"] for each in first["attempts"] + second["attempts"]] == ids
    assert second["next"] is None
    for query, expected in (
        ({"status": "submitted"}, [sat[0].id]),
        ({"learner": "2"}, [sat[1].id]),
        ({"exam": str(elsewhere.id)}, []),
        ({"course": COURSE, "flagged": "false"}, ids),
    ):
        assert [each["id"] for each in proctor.get("/attempts", **query)["attempts"]] == expected
    assert [each["id"] for each in proctor.get("/exams")["exams"]] == [exam.id]
    problem_of(proctor.call("GET", "/attempts?status=nonsense"), 422, "invalid")


def test_an_operator_sets_terms_and_confirms_what_is_dangerous(site: Site, exam: Exam) -> None:
    operator = on_course(site, Role.OPERATOR)
    of = f"/exams/{exam.id}"
    for body, why in (
        ({"review": "auto_pass"}, "say confirmed"),
        ({"release": "sometime"}, "release must be one of"),
        ({"grace_s": -1}, "grace_s must be a whole number"),
        ({"needs_onboarding": "no"}, "needs_onboarding must be true or false"),
        ({"incident_policy": "nonsense"}, "neither a policy of ours"),
    ):
        refused = problem_of(operator.call("PATCH", of, json=body), 422, "invalid")
        assert why in refused["detail"]
    changed = operator.call("PATCH", of, json={"review": "auto_pass", "confirmed": True})
    assert changed.get_json()["terms"]["review"] == "auto_pass"
    changed = operator.call("PATCH", of, json={"needs_onboarding": False})
    assert changed.get_json()["terms"]["needs_onboarding"] is False
    body = {"kind": "queue", "value": QUEUE}
    refused = problem_of(operator.call("POST", f"{of}/claims", json=body), 422, "invalid")
    assert "say confirmed" in refused["detail"]
    body |= {"confirmed": True}
    problem_of(operator.call("POST", f"{of}/claims", json=body), 404, "not-found")
    problem = {"kind": "problem", "value": "block-v1:p"}
    claimed = post(operator, f"{of}/claims", problem)["claims"]
    assert [each["value"] for each in claimed] == ["block-v1:p"]
    assert post(operator, f"{of}/claims/remove", problem)["claims"] == []


def test_an_exam_with_open_attempts_gets_no_other_provider(
    site: Site, store: ProctoringStore, attempt: Attempt
) -> None:
    entry = Entry(name="nobody", plugin="null", settings={}, secrets={})
    with store.write() as session:
        session.recipients.put_provider(entry)
    operator, of = on_course(site, Role.OPERATOR), f"/exams/{attempt.exam_id}"
    given = {"provider": "nobody"}
    refused = problem_of(operator.call("PATCH", of, json=given), 409, "conflict")
    assert "1 attempt is open. Let them end" in refused["detail"]
    with store.write() as session:
        attempts.act(session, attempt.id, Action.SUBMIT, LEARNER)
    assert operator.call("PATCH", of, json=given).get_json()["terms"]["provider"] == "nobody"


def test_rules_and_staff_are_set_as_a_whole_and_refusing_without_staff_is_warned_of(
    site: Site, exam: Exam
) -> None:
    operator = on_course(site, Role.OPERATOR)
    of = f"/exams/{exam.id}"
    for body, why in (
        ({"rules": ["No phone."]}, "rules must be an object"),
        ({"rules": {"a phone": "No phone."}}, "is no key of a rule"),
        ({"rules": {"phone": ""}}, "phone must be a sentence"),
        ({"staff": "12"}, "staff must be a list of user ids"),
        ({"staff": ["jane"]}, "'jane' is no user id"),
    ):
        refused = problem_of(operator.call("PATCH", of, json=body), 422, "invalid")
        assert why in refused["detail"]
    given = {"unmatched": "refuse", "rules": {"phone": "No phone."}}
    changed = operator.call("PATCH", of, json=given).get_json()
    assert changed["terms"]["rules"] == {"phone": "No phone."}
    (warning,) = changed["warnings"]
    assert "nobody is listed as staff" in warning
    assert operator.get(of)["warnings"] == [warning]
    changed = operator.call("PATCH", of, json={"staff": [12, "7"]}).get_json()
    assert (changed["terms"]["staff"], changed["warnings"]) == (["7", "12"], [])
    changed = operator.call("PATCH", of, json={"rules": {}, "staff": []}).get_json()
    assert (changed["terms"]["staff"], changed["terms"]["rules"]) == ([], {})


def test_a_grade_that_is_held_back_is_accepted_once(
    site: Site, store: ProctoringStore, proctor: ApiClient, exam: Exam, attempt: Attempt
) -> None:
    submission_id = site.desk.submit()
    with store.write() as session:
        session.grades.add(
            submission_id, exam.id, attempt.id, Standing.LATE, GradeState.FLAGGED, factor=1.0
        )
    path = f"/submissions/{submission_id}/accept"
    assert [post(proctor, path, WHY)["count"] for _ in range(2)] == [1, 0]
    with store.read() as session:
        found = session.grades.find(submission_id)
    assert found is not None
    assert found.state is GradeState.RELEASED


def test_a_grade_that_is_held_back_is_refused_and_accepted_after_all(
    site: Site, store: ProctoringStore, proctor: ApiClient, exam: Exam
) -> None:
    submission_id = site.desk.submit()
    with store.write() as session:
        session.grades.add(
            submission_id, exam.id, None, Standing.NO_ATTEMPT, GradeState.FLAGGED, factor=1.0
        )
    of = f"/submissions/{submission_id}"
    assert post(proctor, f"{of}/refuse", WHY)["count"] == 1
    again = problem_of(proctor.call("POST", f"{of}/refuse", json=WHY), 409, "conflict")
    assert "does not wait for a decision" in again["detail"]
    problem_of(proctor.call("POST", "/submissions/999/refuse", json=WHY), 404, "not-found")
    assert post(proctor, f"{of}/accept", WHY)["count"] == 1


def test_the_same_request_with_a_key_is_done_once(proctor: ApiClient, attempt: Attempt) -> None:
    path, body = f"/attempts/{attempt.id}/extend", WHY | {"minutes": 10}
    ends = [
        proctor.call("POST", path, json=body, headers={"Idempotency-Key": "k1"}).get_json()
        for _ in range(2)
    ]
    assert ends[0] == ends[1]
    shown = proctor.get(f"/attempts/{attempt.id}")
    assert shown["expires_at"] == ends[0]["attempt"]["expires_at"]


def test_the_time_is_told_as_a_client_needs_it(site: Site, proctor: ApiClient) -> None:
    told = post(proctor, "/time", {"t1": 12.5})
    assert told["t1"] == 12.5
    assert told["t2"] == told["t3"] == site.storage.now_us() / 1e6
    problem_of(proctor.call("POST", "/time", json={}), 422, "invalid")


def test_a_proctor_is_one_on_courses_alone(site: Site) -> None:
    chief = site.password(site.account("chief", Role.ADMIN, queue=ALL_QUEUES))
    on_queue = {"name": "p", "grants": [{"role": "proctor", "queue": QUEUE}]}
    refused = problem_of(chief.call("POST", "/accounts", json=on_queue), 422, "invalid")
    assert "proctor is a role on courses" in refused["detail"]
    on_a_course = {"name": "p", "grants": [{"role": "proctor", "course": COURSE}]}
    assert chief.call("POST", "/accounts", json=on_a_course).status_code == 201


def test_a_proctor_takes_a_mark_down_back_and_no_token_does(
    site: Site, store: ProctoringStore, proctor: ApiClient, exam: Exam, attempt: Attempt
) -> None:
    with store.write() as session:
        session.exams.change(exam.id, terms=Terms(incident_policy="two_strikes"))
    of = f"/attempts/{attempt.id}"
    post(proctor, f"{of}/incidents", {"incident_id": "a", "kind": "x", "severity": 0.9}, 201)
    full = WHY | {"factor": 1}
    mighty = site.token("mighty", Role.OPERATOR, queue=ALL_QUEUES)
    problem_of(mighty.call("POST", f"{of}/mark", json=full), 403, "forbidden")
    done = post(proctor, f"{of}/mark", full)
    assert (done["effect"], done["gone_with_less"]) == ("change", [])
    assert (done["attempt"]["mark_factor"], done["attempt"]["flagged"]) == (1, True)
    assert post(proctor, f"{of}/mark", full)["effect"] == "same"
    for wrong in (WHY, {"factor": 1}, WHY | {"factor": 1.1}):
        problem_of(proctor.call("POST", f"{of}/mark", json=wrong), 422, "invalid")
