"""Exams of an LMS that has an exam service and edx-proctoring, each for some of its courses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from flask import Flask

from proctoring_hooks.exam import ClockOwner, Exam, ExamType
from proctoring_hooks.providers.base import Entry
from tests.delivery.lms import Reply, running_lms
from tests.proctoring.conftest import COURSE, MakeExam
from tests.proctoring.exam_pages import SERVED, Page, application, person, token
from tests.proctoring.outgoing import PATIENCE, SignedIn, answered
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.transport import kept_exams
from xqueue_server.transport.http import RESPONSE_CAP_BYTES, HttpTransport
from xqueue_server.transport.kept_exams import KeptExams

API = "/api/edx_proctoring/v1"
CONTENT = "block-v1:edX+DemoX+2026+type@sequential+block@a&b"
STUDENT = f"/api/v1/student/exam/attempt/course_id/{COURSE}/content_id/"
LATEST = "/api/v1/exams/attempt/latest"
SETTINGS = f"/api/v1/exam/provider_settings/course_id/{COURSE}/exam_id/7"
ONBOARDING = f"/api/v1/student/course_id/{COURSE}/onboarding"
PUBLISHED = f"/api/v1/exams/course_id/{COURSE}"
THEIRS = {"id": 7, "exam_name": "Midterm", "attempt": {}, "use_legacy_attempt_api": True}
WATCHER = Entry(name="watcher", plugin="null", settings={}, secrets={})
ITEM = {
    "course_id": "course-v1:somebody+else's+2026",
    "content_id": CONTENT,
    "exam_name": "Midterm",
    "time_limit_mins": 30,
    "due_date": "2035-01-01T00:00:00Z",
    "exam_type": "onboarding",
    "hide_after_due": False,
    "is_active": True,
    "backend": "proctor4u",
    "external_id": "made up",
}


@pytest.fixture
def lms(store: ProctoringStore) -> Iterator[SignedIn]:
    with running_lms() as server:
        with store.write() as session:
            session.recipients.put_provider(WATCHER)
            session.lmses.replace(replace(SERVED, base_url=server.origin, forwards_exams=True))
        yield SignedIn(server)


@pytest.fixture
def exams(
    lms: SignedIn,
    storage: Storage,
    store: ProctoringStore,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Flask]:
    monkeypatch.setattr(kept_exams, "WITHIN_S", PATIENCE.total_s)  # also of a loaded machine
    http = HttpTransport(access={}, is_guarded=lambda _: False, patience=PATIENCE)
    yield application(storage, store, clock, KeptExams(lambda: http, at_once=1))
    http.close()


@pytest.fixture
def jane(exams: Flask, clock: ManualClock) -> Page:
    return Page(exams.test_client(), clock, person(17, "jane"))


@pytest.fixture
def staff(exams: Flask, clock: ManualClock) -> Page:
    return Page(exams.test_client(), clock, person(2, "boss", administrator=True))


def asked(lms: SignedIn) -> list[tuple[str, str, dict[str, list[str]]]]:
    """(method, path, query) of each request but those for tokens."""
    urls = [(each.method, urlsplit(each.path)) for each in lms.calls]
    return [(method, url.path.removeprefix(API), parse_qs(url.query)) for method, url in urls]


# -- learners ------------------------------------------------------------------------------------


def test_a_learner_is_told_what_the_lms_says_of_his_exam(lms: SignedIn, jane: Page) -> None:
    lms.answers = [answered({"exam": THEIRS, "active_attempt": {"attempt_id": 3}})]
    found = jane.get(STUDENT + CONTENT)
    assert (found.status_code, found.json) == (200, {"exam": THEIRS})
    query = {"content_id": [CONTENT], "is_learning_mfe": ["true"], "user_id": ["17"]}
    assert asked(lms) == [("GET", f"/proctored_exam/attempt/course_id/{COURSE}", query)]


def test_his_own_credentials_stay_here(
    lms: SignedIn, jane: Page, exams: Flask, clock: ManualClock
) -> None:
    lms.answers = [answered({"exam": THEIRS}), answered({"exam": THEIRS})]
    his = token(clock, jane.claims)
    jane.client.get(f"/exams{STUDENT}{CONTENT}", headers={"Authorization": f"JWT {his}"})
    browser = exams.test_client()
    first, _, signature = his.rpartition(".")
    browser.set_cookie("edx-jwt-cookie-header-payload", first)
    browser.set_cookie("edx-jwt-cookie-signature", signature)
    by_cookie = browser.get(f"/exams{STUDENT}{CONTENT}", headers={"USE-JWT-COOKIE": "true"})
    assert by_cookie.json == {"exam": THEIRS}
    assert [each.headers["authorization"] for each in lms.calls] == ["JWT token-1"] * 2
    for each in lms.server.received:
        sent = f"{each.path} {each.headers} {each.raw!r}"
        assert signature not in sent
        assert "cookie" not in each.headers


def test_of_a_course_that_is_ours_the_lms_is_not_asked(
    lms: SignedIn, jane: Page, staff: Page, make_exam: MakeExam
) -> None:
    ours = make_exam(clock_owner=ClockOwner.US, exam_type=ExamType.TIMED)
    jane.begun(ours)
    assert jane.exam(ours)["attempt"]["attempt_status"] == "started"
    assert jane.get(STUDENT + CONTENT).json == {"exam": {}}
    assert jane.get(LATEST).json["attempt_status"] == "started"
    assert jane.get(f"/api/v1/exam/provider_settings/course_id/{COURSE}/exam_id/{ours.id}").json
    assert jane.get(ONBOARDING).status_code == 404
    assert staff.ask("PATCH", PUBLISHED, [ITEM]).json == {}
    assert lms.server.received == []


def test_a_course_is_ours_with_a_provider_alone(lms: SignedIn, jane: Page, staff: Page) -> None:
    chosen = {"provider": "watcher", "escalation_email": None}
    assert staff.ask("PATCH", f"/api/v1/configs/course_id/{COURSE}", chosen).status_code == 204
    assert jane.get(STUDENT + CONTENT).json == {"exam": {}}
    assert staff.ask("PATCH", PUBLISHED, []).json == {}
    assert lms.server.received == []


def test_an_exam_that_the_lms_keeps_and_we_proctor_is_the_lms_s(
    lms: SignedIn, jane: Page, make_exam: MakeExam
) -> None:
    kept: Exam = make_exam(clock_owner=ClockOwner.LMS)
    lms.answers = [answered({"exam": THEIRS})]
    assert jane.get(STUDENT + kept.content_id).json == {"exam": THEIRS}


def test_without_the_switch_nobody_is_asked(
    lms: SignedIn, jane: Page, store: ProctoringStore
) -> None:
    with store.write() as session:
        entry = session.lms(SERVED.name)
        session.lmses.replace(replace(entry, forwards_exams=False))
    assert jane.get(STUDENT + CONTENT).json == {"exam": {}}
    assert jane.get(LATEST).json == {}
    assert lms.server.received == []


def test_what_is_in_progress_there_is_asked_for_where_nothing_is_here(
    lms: SignedIn, jane: Page, make_exam: MakeExam
) -> None:
    lms.answers = [answered({"attempt_id": 3, "use_legacy_attempt_api": True}), answered({})]
    assert jane.get(LATEST).json == {"attempt_id": 3, "use_legacy_attempt_api": True}
    assert jane.get(LATEST).json == {}
    assert asked(lms) == [("GET", "/proctored_exam/active_attempt", {"user_id": ["17"]})] * 2
    ours = make_exam(clock_owner=ClockOwner.US)
    assert jane.get(f"{LATEST}?content_id={quote(ours.content_id)}").json == {}
    assert len(lms.calls) == 2


@pytest.mark.parametrize(
    ("status", "said"), [(200, {"provider_name": "P"}), (400, {"detail": "-"})]
)
def test_settings_of_a_provider_are_what_the_lms_says(
    lms: SignedIn, jane: Page, status: int, said: dict[str, str]
) -> None:
    lms.answers = [answered(said, status=status)]
    found = jane.get(SETTINGS)
    assert (found.status_code, found.json) == (status, said)
    assert asked(lms) == [("GET", "/proctored_exam/settings/exam_id/7/", {})]


def test_onboarding_is_told_to_himself_and_to_staff(
    lms: SignedIn, jane: Page, staff: Page, clock: ManualClock
) -> None:
    """We are staff there: the LMS would tell us everybody's."""
    nobody = Page(jane.client, clock, person(18, "", preferred_username=None))
    assert jane.get(f"{ONBOARDING}?username=joe").status_code == 403
    assert nobody.get(ONBOARDING).status_code == 403
    assert lms.calls == []
    lms.answers = [answered({"onboarding_status": "verified"}), answered({}, status=404)]
    assert jane.get(ONBOARDING).json == {"onboarding_status": "verified"}
    assert staff.get(f"{ONBOARDING}?username=joe").status_code == 404
    where = {"course_id": [COURSE], "is_learning_mfe": ["true"]}
    path = "/user_onboarding/status"
    assert asked(lms) == [("GET", path, where | {"username": [name]}) for name in ("jane", "joe")]


# -- no answer -----------------------------------------------------------------------------------

NO_ANSWERS = {
    "not staff there": (answered({"detail": "Must be a Staff User"}, status=403), "staff there"),
    "broken": (Reply(status=500, body=b"a stack trace"), "answered 500"),
    "another page": (Reply(body=b"<html>Sign in</html>"), "no JSON"),
    "elsewhere": (Reply(status=302, headers={"Location": "/elsewhere"}), "answered 302"),
    "too long": (answered({"exam": {"name": "x" * RESPONSE_CAP_BYTES}}), "longer than"),
    "no such thing": (answered({"detail": "Not found."}, status=404), "answered 404"),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
@pytest.mark.parametrize("path", [STUDENT + CONTENT, LATEST])
def test_no_answer_is_never_no_exam(
    lms: SignedIn, jane: Page, caplog: pytest.LogCaptureFixture, name: str, path: str
) -> None:
    reply, logged = NO_ANSWERS[name]
    lms.answers = [reply]
    found = jane.get(path)
    assert (found.status_code, list(found.json)) == (503, ["detail"])
    assert "LMS did not say" in found.json["detail"]
    assert found.headers["Retry-After"] == "5"
    assert len(lms.calls) == 1
    assert "LMS edx does not say" in caplog.text
    assert logged in caplog.text
    for private in ("user_id", "17", "jane", "stack trace", "token-1"):
        assert private not in caplog.messages[-1]


@pytest.mark.parametrize("said", [[], {}, {"exam": None}, "no"])
def test_an_answer_of_another_shape_is_none(lms: SignedIn, jane: Page, said: Any) -> None:
    lms.answers = [answered(said)]
    assert jane.get(STUDENT + CONTENT).status_code == 503


def test_an_lms_that_is_away_or_refuses_us_is_none(
    lms: SignedIn, jane: Page, caplog: pytest.LogCaptureFixture
) -> None:
    lms.tokens = [401]
    assert jane.get(STUDENT + CONTENT).status_code == 503
    assert "no access token: the endpoint answers 401" in caplog.text
    lms.server.close()
    assert jane.get(STUDENT + CONTENT).status_code == 503
    assert "`xqueue-server proctoring check` says what to do" in caplog.text


def test_one_that_hangs_does_not_take_all_threads(
    lms: SignedIn, exams: Flask, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    is_asked, may_answer = threading.Event(), threading.Event()
    answer = lms.server.answer

    def hang(got: Any) -> Reply:
        if got.path.startswith(API):
            is_asked.set()
        return replace(answer(got), wait_for=may_answer if got.path.startswith(API) else None)

    lms.server.answer = hang
    lms.answers = [answered({"exam": THEIRS})]
    pages = [Page(exams.test_client(), clock, person(n, f"p{n}")) for n in (1, 2)]
    with ThreadPoolExecutor() as pool:
        first = pool.submit(pages[0].get, STUDENT + CONTENT)
        assert is_asked.wait(60)
        try:
            assert pages[1].get(STUDENT + CONTENT).status_code == 503
            assert "it is slow or hangs" in caplog.text
        finally:
            may_answer.set()
        assert first.result().json == {"exam": THEIRS}


# -- publishing ----------------------------------------------------------------------------------


def test_studio_s_list_goes_to_the_lms(lms: SignedIn, staff: Page) -> None:
    lms.answers = [answered([{"exam_id": 7}]), answered([{"due_date": ["no"]}], status=422)]
    done = staff.ask("PATCH", PUBLISHED, [ITEM])
    assert (done.status_code, done.json) == (200, [{"exam_id": 7}])
    refused = staff.ask("PATCH", PUBLISHED, [ITEM])
    assert (refused.status_code, refused.json) == (422, [{"due_date": ["no"]}])
    assert asked(lms)[0] == ("PATCH", f"/proctored_exam/exam_registration/course_id/{COURSE}", {})
    assert json.loads(lms.calls[0].raw) == [
        {
            "course_id": COURSE,
            "content_id": CONTENT,
            "exam_name": "Midterm",
            "time_limit_mins": 30,
            "due_date": "2035-01-01T00:00:00+00:00",
            "is_proctored": True,
            "is_practice_exam": True,
            "is_active": True,
            "hide_after_due": False,
            "backend": "proctor4u",
        }
    ]
    assert staff.get(PUBLISHED).json == []


def test_only_staff_s(lms: SignedIn, jane: Page, staff: Page) -> None:
    assert jane.ask("PATCH", PUBLISHED, [ITEM]).status_code == 403
    assert staff.ask("PATCH", PUBLISHED, [ITEM | {"exam_type": "?"}]).status_code == 400
    assert lms.calls == []


def test_a_course_id_leads_nowhere_else(lms: SignedIn, jane: Page, staff: Page) -> None:
    """Our token may do more there than whoever asks."""
    for course in ("../../users", "%2e%2e/%2e%2e/users", "a/b/../../../users", "a/b/c/.."):
        path = f"/api/v1/student/exam/attempt/course_id/{course}/content_id/x"
        assert jane.get(path).status_code in (400, 404), course
        listed = staff.ask("PATCH", f"/api/v1/exams/course_id/{course}", [ITEM])
        assert listed.status_code in (400, 404), course
    assert lms.server.received == []
    lms.answers = [answered({"exam": THEIRS})]
    assert jane.get("/api/v1/student/exam/attempt/course_id/a%3Fx%23+b+c/content_id/x").json
    assert [path for _, path, _ in asked(lms)] == ["/proctored_exam/attempt/course_id/a%3Fx%23+b+c"]
