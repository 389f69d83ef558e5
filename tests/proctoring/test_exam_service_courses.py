"""Publishing a course's exams, its provider, allowances, and what staff see of attempts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from proctoring_hooks import attempts
from proctoring_hooks.exam import ClockOwner, Exam, ExamType
from proctoring_hooks.incidents import NewIncident, Source
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.reporting import report
from proctoring_hooks.transitions import Action, Actor, By
from proctoring_hooks.web.exam_service_store import awaited_id
from tests.proctoring.conftest import COURSE, EXAM, MakeExam
from tests.proctoring.exam_pages import BASE, SERVED, Page, application, person
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

PUBLISHED = f"/api/v1/exams/course_id/{COURSE}/"
CONFIG = f"/api/v1/configs/course_id/{COURSE}"
ALLOWANCES = f"/api/v1/exams/course_id/{COURSE}/allowances"
WATCH = Entry(
    name="watch",
    plugin="rest",
    settings={
        "base_url": "https://watch.example",
        "verbose_name": "Watch Inc.",
        "tech_support_email": "help@watch.example",
        "tech_support_url": "https://watch.example/help",
        "org_key": "edX",
    },
    secrets={},
)
OTHER = Entry(name="other", plugin="null", settings={}, secrets={})


@pytest.fixture
def client(storage: Storage, store: ProctoringStore, clock: ManualClock) -> FlaskClient:
    with store.write() as session:
        session.lmses.replace(SERVED)
        session.recipients.put_provider(WATCH)
        session.recipients.put_provider(OTHER)
    return application(storage, store, clock).test_client()


@pytest.fixture
def staff(client: FlaskClient, clock: ManualClock) -> Page:
    return Page(client, clock, person(2, "boss", administrator=True))


@pytest.fixture
def jane(client: FlaskClient, clock: ManualClock) -> Page:
    return Page(client, clock, person(17, "jane"))


def item(content: str = "a", **changed: Any) -> dict[str, Any]:
    return {
        "course_id": COURSE,
        "content_id": f"block-v1:edX+DemoX+2026+type@sequential+block@{content}",
        "exam_name": f"Exam {content}",
        "time_limit_mins": 30,
        "due_date": None,
        "exam_type": "timed",
        "hide_after_due": False,
        "is_active": True,
    } | changed


def _publish(staff: Page, *items: dict[str, Any]) -> None:
    answer = staff.ask("PATCH", PUBLISHED, list(items))
    assert (answer.status_code, answer.json) == (200, {}), answer.text


def _listed(staff: Page) -> dict[str, dict[str, Any]]:
    return {exam["exam_name"]: exam for exam in staff.get(PUBLISHED).json}


def _exam(store: ProctoringStore, exam_id: int) -> Exam:
    with store.read() as session:
        return session.exams.get(exam_id)


# -- publishing ----------------------------------------------------------------------------------


def test_a_course_is_published_as_a_whole(staff: Page) -> None:
    _publish(staff, item("a"), item("b", due_date="2026-05-01T12:00:00+02:00"))
    first = _listed(staff)
    assert first["Exam b"] == {
        "id": first["Exam b"]["id"],
        "exam_name": "Exam b",
        "course_id": COURSE,
        "content_id": item("b")["content_id"],
        "time_limit_mins": 30,
        "due_date": "2026-05-01T10:00:00Z",
        "exam_type": "timed",
        "hide_after_due": False,
        "is_active": True,
    }
    _publish(staff, item("a", time_limit_mins="45", exam_name="Renamed"), item("c"))
    second = _listed(staff)
    assert set(second) == {"Renamed", "Exam c"}
    assert second["Renamed"]["id"] == first["Exam a"]["id"]
    assert second["Renamed"]["time_limit_mins"] == 45
    _publish(staff)
    assert _listed(staff) == {}


def test_an_exam_that_comes_back_has_its_attempts_and_one_of_another_type_has_none(
    staff: Page, jane: Page, store: ProctoringStore
) -> None:
    _publish(staff, item("a"))
    exam = _exam(store, _listed(staff)["Exam a"]["id"])
    attempt_id = jane.begun(exam)
    _publish(staff, item("a", is_active=False))
    _publish(staff, item("a", is_active=False))
    assert _listed(staff) == {}
    _publish(staff, item("a"))
    assert _listed(staff)["Exam a"]["id"] == exam.id
    _publish(staff, item("a", exam_type="practice"))
    changed = _listed(staff)["Exam a"]
    assert changed["id"] != exam.id
    assert jane.exam(exam)["attempt"] == {}
    assert jane.act(attempt_id, "submit").status_code == 200  # what it began, it may end
    _publish(staff, item("a"))
    assert _listed(staff)["Exam a"]["id"] == exam.id
    with store.read() as session:
        assert len(session.exams.of_course("edx", COURSE, active_only=False)) == 2


@pytest.mark.parametrize(
    ("changed", "errors"),
    [
        ({"exam_type": "final"}, {"exam_type": ["Must be a valid exam type."]}),
        ({"exam_type": ["timed"]}, {"exam_type": ["Must be a valid exam type."]}),
        ({"exam_name": None}, {"exam_name": ["This field may not be null."]}),
        ({"exam_name": " "}, {"exam_name": ["This field may not be blank."]}),
        ({"exam_name": "a\0b"}, {"exam_name": ["Not a valid string."]}),
        ({"content_id": 7}, {"content_id": ["Not a valid string."]}),
        (
            {"content_id": "x" * 256},
            {"content_id": ["Ensure this field has no more than 255 characters."]},
        ),
        ({"time_limit_mins": True}, {"time_limit_mins": ["A valid integer is required."]}),
        ({"time_limit_mins": 1.5}, {"time_limit_mins": ["A valid integer is required."]}),
        ({"time_limit_mins": -1}, {"time_limit_mins": ["Ensure this value is from 0 to 527040."]}),
        (
            {"due_date": "soon"},
            {"due_date": ["Datetime has wrong format. Use one of these: ISO 8601."]},
        ),
        (
            {"due_date": 1},
            {"due_date": ["Datetime has wrong format. Use one of these: ISO 8601."]},
        ),
        ({"due_date": "0001-01-01"}, {"due_date": ["Datetime value out of range."]}),
        ({"is_active": "yes"}, {"is_active": ["Must be a valid boolean."]}),
    ],
)
def test_a_list_with_a_mistake_changes_nothing_and_says_where_it_is(
    staff: Page, changed: dict[str, Any], errors: dict[str, list[str]]
) -> None:
    _publish(staff, item("a"))
    answer = staff.ask("PATCH", PUBLISHED, [item("b"), item("c", **changed)])
    assert answer.status_code == 400
    assert answer.json == {"detail": "Invalid data", "errors": [{}, errors]}
    assert set(_listed(staff)) == {"Exam a"}


def test_other_things_than_lists_of_exams_are_refused(staff: Page) -> None:
    missing = item("a")
    del missing["due_date"]
    for body, errors in (
        ({}, {"non_field_errors": ['Expected a list of items but got type "dict".']}),
        ([missing], [{"due_date": ["This field is required."]}]),
        ([7], [{"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]}]),
        (
            [item("a"), item("a")],
            [{}, {"content_id": ["Another exam of this list has this content_id."]}],
        ),
    ):
        answer = staff.ask("PATCH", PUBLISHED, body)
        assert (answer.status_code, answer.json["errors"]) == (400, errors)
    for data, status in ((b"[", 400), (b"[" * 5000, 400), (b"x" * (2 * 1024 * 1024 + 1), 413)):
        answer = staff.client.patch(
            f"/exams{PUBLISHED}",
            data=data,
            content_type="application/json",
            headers={"Authorization": staff.authorization},
        )
        assert answer.status_code == status


def test_exams_that_the_lms_keeps_itself_are_left_alone(
    staff: Page, make_exam: MakeExam, store: ProctoringStore
) -> None:
    theirs = make_exam(clock_owner=ClockOwner.LMS)
    _publish(staff, item("a"))
    assert _exam(store, theirs.id).is_active
    assert set(_listed(staff)) == {"Exam a"}
    answer = staff.ask("PATCH", PUBLISHED, [item("a"), item(content_id=EXAM.content_id)])
    assert answer.json["errors"][0] == {}
    assert "keeps this exam" in answer.json["errors"][1]["content_id"][0]


def test_of_many_who_publish_at_once_one_list_stands(
    storage: Storage, store: ProctoringStore, clock: ManualClock, staff: Page
) -> None:
    app = application(storage, store, clock)
    barrier = threading.Barrier(5)

    def publish(number: int) -> int:
        page = Page(app.test_client(), clock, staff.claims)
        items = [item(str(i), exam_name=f"{number} {i}") for i in range(number + 1)]
        barrier.wait()
        return page.ask("PATCH", PUBLISHED, items).status_code

    with ThreadPoolExecutor(5) as pool:
        assert set(pool.map(publish, range(5))) == {200}
    names = set(_listed(staff))
    assert names in [{f"{n} {i}" for i in range(n + 1)} for n in range(5)]
    with store.read() as session:
        assert len(session.exams.of_course("edx", COURSE, active_only=False)) == 5


# -- the provider --------------------------------------------------------------------------------


def test_a_new_provider_takes_proctored_exams_over_as_new_ones(
    staff: Page, jane: Page, store: ProctoringStore
) -> None:
    assert jane.get(CONFIG).json == {"provider": None, "escalation_email": None}
    _publish(staff, item("a"), item("p", exam_type="proctored"))
    before = _listed(staff)
    body = {"provider": "watch", "escalation_email": "team@example.org"}
    answer = staff.ask("PATCH", CONFIG, body)
    assert (answer.status_code, answer.data) == (204, b"")
    assert jane.get(CONFIG).json == body
    after = _listed(staff)
    assert after["Exam a"] == before["Exam a"]
    assert after["Exam p"] == before["Exam p"] | {"id": after["Exam p"]["id"]}
    assert after["Exam p"]["id"] != before["Exam p"]["id"]
    exam = _exam(store, after["Exam p"]["id"])
    assert jane.exam(exam)["backend"] == "Watch Inc."
    settings = jane.get(f"/api/v1/exam/provider_settings/course_id/{COURSE}/exam_id/{exam.id}").json
    assert settings == {
        "provider_tech_support_email": "help@watch.example",
        "provider_tech_support_phone": None,
        "provider_tech_support_url": "https://watch.example/help",
        "provider_name": "Watch Inc.",
        "proctoring_escalation_email": "team@example.org",
    }
    timed = after["Exam a"]["id"]
    bare = jane.get(f"/api/v1/exam/provider_settings/course_id/{COURSE}/exam_id/{timed}").json
    assert bare == {"proctoring_escalation_email": "team@example.org"}
    assert staff.ask("PATCH", CONFIG, body).status_code == 204
    _publish(staff, item("a"), item("p", exam_type="proctored"))
    assert _listed(staff) == after  # the same again


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "provider"),
        ({"provider": "nobody"}, "provider"),
        ({"provider": ["watch"]}, "provider"),
        ({"provider": None, "escalation_email": "a@b"}, "non_field_errors"),
        ({"provider": "watch", "escalation_email": "nowhere"}, "escalation_email"),
        ({"provider": "watch", "escalation_email": 7}, "escalation_email"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(
    staff: Page, body: dict[str, Any], field: str
) -> None:
    answer = staff.ask("PATCH", CONFIG, body)
    assert (answer.status_code, set(answer.json["errors"])) == (400, {field})
    assert staff.get(CONFIG).json == {"provider": None, "escalation_email": None}


def test_providers_are_listed_for_organizations_that_may_use_them(jane: Page) -> None:
    watch = {"name": "watch", "verbose_name": "Watch Inc.", "lti_configuration_id": ""}
    other = {"name": "other", "verbose_name": "other", "lti_configuration_id": ""}
    assert jane.get("/api/v1/providers").json == [other, watch]
    assert jane.get("/api/v1/provider").json == [other, watch]
    assert jane.get("/api/v1/providers?org=edX").json == [other, watch]
    assert jane.get("/api/v1/providers?org=MITx").json == [other]


# -- allowances ----------------------------------------------------------------------------------


def test_an_allowance_gives_time_whether_its_learner_has_been_here_or_not(
    client: FlaskClient, clock: ManualClock, staff: Page, jane: Page, make_exam: MakeExam
) -> None:
    exam = make_exam(exam_type=ExamType.TIMED)
    joe = Page(client, clock, person(18, "Joe"))
    ann = Page(client, clock, person(19, "ann"))
    joe.begun(exam)
    joe.act(joe.exam(exam)["attempt"]["attempt_id"], "submit")
    given = [
        {"username": "jane", "exam_id": exam.id, "extra_time_mins": 30},
        {"username": "Joe", "exam_id": exam.id, "extra_time_mins": 5},
        {"email": "ANN@example.org", "exam_id": exam.id, "extra_time_mins": 7},
    ]
    assert staff.ask("POST", ALLOWANCES, given).status_code == 200
    listed = {each["extra_time_mins"]: each for each in staff.get(ALLOWANCES).json}
    assert listed[30] == {
        "id": listed[30]["id"],
        "exam_id": exam.id,
        "user_id": None,
        "extra_time_mins": 30,
        "username": "jane",
        "exam_name": "Final",
        "email": "",
    }
    assert (listed[5]["user_id"], listed[5]["email"]) == (18, "Joe@example.org")
    assert jane.exam(exam)["total_time"] == 90
    assert ann.exam(exam)["total_time"] == 67
    jane.begun(exam)
    assert jane.exam(exam)["attempt"]["time_remaining_seconds"] == 90 * 60
    assert {each["user_id"] for each in staff.get(ALLOWANCES).json} == {17, 18, None}
    again = [{"username": "jane", "exam_id": exam.id, "extra_time_mins": 10}]
    staff.ask("POST", ALLOWANCES, again)
    listed = {each["username"]: each for each in staff.get(ALLOWANCES).json}
    assert (listed["jane"]["user_id"], listed["jane"]["extra_time_mins"]) == (17, 10)
    assert len(listed) == 3
    one = f"{ALLOWANCES}/{listed['jane']['id']}"
    assert (staff.ask("DELETE", one).status_code, staff.ask("DELETE", one).status_code) == (
        204,
        404,
    )
    assert len(staff.get(ALLOWANCES).json) == 2


def test_an_allowance_under_another_spelling_counts_from_the_start(
    staff: Page, jane: Page, make_exam: MakeExam, store: ProctoringStore
) -> None:
    exam = make_exam()
    attempt_id = jane.begun(exam, start_clock="false")
    given = [{"username": "JANE", "exam_id": exam.id, "extra_time_mins": 15}]
    staff.ask("POST", ALLOWANCES, given)
    with store.write() as session:
        provider = By(actor=Actor.PROVIDER, who="provider p")
        attempts.act(session, attempt_id, Action.READY, provider)
        assert set(session.service.people("edx", ["17", awaited_id("jane")])) == {
            "17",
            awaited_id("jane"),
        }
    assert jane.act(attempt_id, "start").status_code == 200
    assert jane.exam(exam)["attempt"]["time_remaining_seconds"] == 75 * 60
    with store.read() as session:  # a name is kept in one place, to be erased there
        assert set(session.service.people("edx", ["17", awaited_id("jane")])) == {"17"}


def test_a_list_of_allowances_with_a_mistake_gives_none(staff: Page, make_exam: MakeExam) -> None:
    exam = make_exam(exam_type=ExamType.TIMED)
    elsewhere = make_exam(course_id="course-v1:edX+Other+2026", external_id="e2")
    good = {"username": "jane", "exam_id": exam.id, "extra_time_mins": 30}
    for changed, field in (
        ({"username": ""}, "username"),
        ({"username": ["jane"]}, "username"),
        ({"exam_id": elsewhere.id}, "exam_id"),
        ({"exam_id": str(exam.id)}, "exam_id"),
        ({"extra_time_mins": -5}, "extra_time_mins"),
        ({"extra_time_mins": 10**9}, "extra_time_mins"),
        ({"extra_time_mins": True}, "extra_time_mins"),
    ):
        answer = staff.ask("POST", ALLOWANCES, [good, good | changed])
        assert (answer.status_code, answer.json["errors"][0]) == (400, {})
        assert set(answer.json["errors"][1]) == {field}
    assert staff.ask("POST", ALLOWANCES, good).status_code == 400
    assert staff.get(ALLOWANCES).json == []


# -- attempts ------------------------------------------------------------------------------------


def test_staff_see_attempts_page_by_page(
    client: FlaskClient,
    clock: ManualClock,
    staff: Page,
    make_exam: MakeExam,
    store: ProctoringStore,
) -> None:
    exam = make_exam(exam_type=ExamType.TIMED)
    pages = [Page(client, clock, person(100 + n, f"learner{n}")) for n in range(5)]
    ids = [page.begun(exam) for page in pages]
    pages[0].act(ids[0], "submit")
    with store.write() as session:
        for number, severity in enumerate((0.2, 0.75, 0.5)):
            report(
                session,
                NewIncident(
                    attempt_id=ids[0],
                    incident_id=str(number),
                    source=Source.PROCTOR,
                    kind=f"kind {number}",
                    severity=severity,
                    happened_at=session.now,
                ),
            )
    path = f"/api/v1/instructor_view/course_id/{COURSE}/attempts"
    first = staff.get(f"{path}?exam_id={exam.id}&limit=2").json
    assert (first["count"], first["previous"]) == (5, None)
    assert first["next"] == f"{BASE}/exams{path}?exam_id={exam.id}&limit=2&offset=2"
    assert first["results"][0] == {
        "attempt_id": ids[0],
        "attempt_status": "submitted",
        "start_time": "2026-01-01T00:00:00Z",
        "end_time": "2026-01-01T00:00:00Z",
        "allowed_time_limit_mins": 60,
        "exam_type": "timed",
        "exam_display_name": "Final",
        "username": "learner0",
        "proctored_review": {
            "submission_time": "2026-01-01T00:00:00Z",
            "severity": "0.75",
            "submission_reason": "kind 1",
        },
    }
    assert first["results"][1]["proctored_review"] is None
    last = staff.get(f"{path}?exam_id={exam.id}&limit=2&offset=4").json
    assert [each["attempt_id"] for each in last["results"]] == ids[4:]
    assert last["next"] is None
    assert last["previous"].endswith("&limit=2&offset=2")
    assert len(staff.get(f"{path}?exam_id={exam.id}").json["results"]) == 5
    for query in ("", "?exam_id=x", f"?exam_id={exam.id}&limit=-1", "?exam_id=1&offset=1e9"):
        assert staff.get(path + query).status_code == 400, query
    assert staff.get(f"{path}?exam_id=999").status_code == 404
