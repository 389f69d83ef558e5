"""The exam service as pages of the learning MFE use it: shapes, and the ways through an exam."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from proctoring_hooks import attempts
from proctoring_hooks.exam import ClockOwner, Exam, ExamType
from proctoring_hooks.transitions import Action, Actor, By
from tests.proctoring.conftest import COURSE, MakeExam
from tests.proctoring.exam_pages import (
    ELSEWHERE,
    MFE,
    SERVED,
    THIRD_KEY,
    Page,
    application,
    now_s,
    person,
    token,
)
from xqueue_server.instant import ManualClock, to_datetime
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

PROVIDER = By(actor=Actor.PROVIDER, who="provider p")
PROCTOR = By(actor=Actor.PROCTOR, who="account jane")
ATTEMPT_KEYS = {
    "attempt_id": int,
    "attempt_status": str,
    "course_id": str,
    "exam_type": str,
    "exam_display_name": str,
    "exam_url_path": str,
    "time_remaining_seconds": float,
    "in_timed_exam": bool,
    "taking_as_proctored": bool,
    "external_id": str,
    "attempt_code": str,
    "attempt_ready_to_resume": bool,
    "use_legacy_attempt_api": bool,
    "total_time": str,
    "low_threshold_sec": int,
    "critically_low_threshold_sec": int,
    "accessibility_time_string": str,
    "exam_started_poll_url": type(None),
    "ping_interval": int,
    "expires_at": str,
    "server_now": str,
}
EXAM_KEYS = {
    "id": int,
    "exam_name": str,
    "course_id": str,
    "content_id": str,
    "time_limit_mins": int,
    "due_date": str,
    "exam_type": str,
    "hide_after_due": bool,
    "is_active": bool,
    "type": str,
    "is_proctored": bool,
    "is_practice_exam": bool,
    "backend": type(None),
    "passed_due_date": bool,
    "total_time": int,
    "attempt": dict,
}


@pytest.fixture
def client(storage: Storage, store: ProctoringStore, clock: ManualClock) -> FlaskClient:
    with store.write() as session:
        session.lmses.replace(SERVED)
        session.lmses.add(ELSEWHERE)
    return application(storage, store, clock).test_client()


@pytest.fixture
def jane(client: FlaskClient, clock: ManualClock) -> Page:
    return Page(client, clock, person(17, "jane"))


@pytest.fixture
def joe(client: FlaskClient, clock: ManualClock) -> Page:
    return Page(client, clock, person(18, "joe"))


@pytest.fixture
def staff(client: FlaskClient, clock: ManualClock) -> Page:
    return Page(client, clock, person(2, "boss", administrator=True))


@pytest.fixture
def timed(make_exam: MakeExam) -> Exam:
    return make_exam(exam_type=ExamType.TIMED)


# -- ways through an exam ------------------------------------------------------------------------


def test_a_timed_exam_as_the_browser_library_goes_through_it(
    jane: Page, make_exam: MakeExam, clock: ManualClock
) -> None:
    exam = make_exam(exam_type=ExamType.TIMED, due_at=_in(clock, hours=5))
    assert jane.exam(exam)["attempt"] == {}
    attempt_id = jane.begun(exam)
    shown = jane.exam(exam)
    _check_types(shown, EXAM_KEYS)
    _check_types(shown["attempt"], ATTEMPT_KEYS)
    assert shown["attempt"]["attempt_status"] == "started"
    assert shown["attempt"]["time_remaining_seconds"] == 3600.0
    assert (shown["total_time"], shown["type"], shown["is_proctored"]) == (60, "timed", False)
    active = jane.get("/api/v1/exams/attempt/latest").json
    assert active == shown["attempt"]
    clock.advance(60)
    poll = jane.get(f"/api/v1/exams/attempt/latest?content_id={_quoted(exam)}").json
    assert poll["time_remaining_seconds"] == 3540.0
    assert poll["expires_at"] == active["expires_at"]
    before = "started"
    for action, status in (
        ("ping", "started"),
        ("stop", "ready_to_submit"),
        ("start", "started"),
        ("stop", "ready_to_submit"),
        ("submit", "submitted"),
        ("submit", "submitted"),
    ):
        answer = jane.act(attempt_id, action)
        is_same = action != "ping" and status == before
        said = {"exam_attempt_id": attempt_id} | ({"repeated": True} if is_same else {})
        assert (answer.status_code, answer.json) == (200, said)
        assert jane.status(exam) == status
        before = status
    assert jane.get("/api/v1/exams/attempt/latest").json == {}
    after = jane.get(f"/api/v1/exams/attempt/latest?content_id={_quoted(exam)}").json
    assert (after["attempt_status"], after["time_remaining_seconds"]) == ("submitted", 0.0)


def test_a_page_that_submits_at_zero_finds_it_submitted_at_the_exact_end(
    jane: Page, timed: Exam, store: ProctoringStore, clock: ManualClock
) -> None:
    attempt_id = jane.begun(timed)
    clock.advance(3605)
    assert jane.act(attempt_id, "submit").status_code == 200
    with store.read() as session:
        attempt = session.attempts.get(attempt_id)
    assert attempt.status == "submitted"
    assert attempt.completed_at == attempt.expires_at


@pytest.mark.parametrize("of_content", [True, False])
def test_who_only_looks_after_the_end_sees_it_ended(
    jane: Page, timed: Exam, clock: ManualClock, of_content: bool
) -> None:
    jane.begun(timed)
    clock.advance(7200)
    query = f"?content_id={_quoted(timed)}" if of_content else ""
    found = jane.get(f"/api/v1/exams/attempt/latest{query}").json
    assert found.get("attempt_status") == ("submitted" if of_content else None)
    assert jane.status(timed) == "submitted"


def test_a_proctored_exam_starts_only_when_the_provider_says_so(
    jane: Page, make_exam: MakeExam, store: ProctoringStore
) -> None:
    exam = make_exam()
    refused = jane.begin(exam, start_clock="true")
    assert refused.status_code == 400
    assert jane.exam(exam)["attempt"] == {}  # all of it was undone
    attempt_id = jane.begun(exam, start_clock="false")
    shown = jane.exam(exam)
    assert (shown["exam_type"], shown["type"]) == ("proctored", "proctored")
    assert shown["attempt"]["expires_at"] is None
    # "proctored" there would make pages look for a vendor's window, and end the exam in error.
    assert shown["attempt"]["exam_type"] == "a proctored exam"
    jane.act(attempt_id, "click_download_software")
    assert jane.status(exam) == "download_software_clicked"
    assert jane.act(attempt_id, "start").status_code == 400
    with store.write() as session:
        attempts.act(session, attempt_id, Action.READY, PROVIDER)
    assert jane.act(attempt_id, "start").status_code == 200
    assert jane.status(exam) == "started"
    assert jane.act(attempt_id, "error", detail="worker silent").status_code == 200
    assert jane.status(exam) == "error"


def test_what_was_left_goes_on_in_the_next_attempt(
    jane: Page, timed: Exam, store: ProctoringStore, clock: ManualClock
) -> None:
    first = jane.begun(timed)
    clock.advance(600)
    jane.act(first, "error", detail="the machine died")
    assert jane.begin(timed).status_code == 400
    with store.write() as session:
        attempts.act(session, first, Action.RESUME, By(actor=Actor.STAFF, who="account joe"))
    second = jane.begun(timed)
    assert second != first
    assert jane.exam(timed)["attempt"]["time_remaining_seconds"] == 3000.0


def test_a_practice_can_be_reset_and_gives_a_new_attempt(jane: Page, make_exam: MakeExam) -> None:
    exam = make_exam(exam_type=ExamType.PRACTICE)
    first = jane.begun(exam, start_clock="false")
    jane.act(first, "error")
    second = jane.act(first, "reset_attempt").json["exam_attempt_id"]
    assert second != first
    assert jane.status(exam) == "created"


def test_only_practice_can_be_reset_or_deleted_by_its_learner(jane: Page, timed: Exam) -> None:
    attempt_id = jane.begun(timed)
    jane.act(attempt_id, "submit")
    assert jane.act(attempt_id, "reset_attempt").status_code == 400
    assert jane.ask("DELETE", f"/api/v1/exams/attempt/{attempt_id}").status_code == 403
    assert jane.status(timed) == "submitted"


# -- beginning -----------------------------------------------------------------------------------


def test_who_begins_several_times_at_once_has_one_attempt(
    storage: Storage, store: ProctoringStore, clock: ManualClock, jane: Page, timed: Exam
) -> None:
    app = application(storage, store, clock)
    barrier = threading.Barrier(6)

    def begin(_number: int) -> int:
        page = Page(app.test_client(), clock, person(17, "jane"))
        barrier.wait()
        return page.begun(timed)

    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(begin, range(6)))
    assert len(ids) == 1
    assert jane.status(timed) == "started"


@pytest.mark.parametrize("way", ["begun with its clock", "begun, then started"])
def test_of_two_exams_that_a_learner_starts_at_once_one_starts(
    storage: Storage,
    store: ProctoringStore,
    clock: ManualClock,
    jane: Page,
    make_exam: MakeExam,
    way: str,
) -> None:
    exams = [
        make_exam(exam_type=ExamType.TIMED, content_id=f"exam {number}", external_id=f"e{number}")
        for number in range(6)
    ]
    waiting = [jane.begun(exam, start_clock="false") for exam in exams] if "then" in way else []
    app = application(storage, store, clock)
    barrier = threading.Barrier(len(exams))

    def start(number: int) -> tuple[int, str]:
        page = Page(app.test_client(), clock, person(17, "jane"))
        barrier.wait()
        answer = page.act(waiting[number], "start") if waiting else page.begin(exams[number])
        return answer.status_code, answer.json.get("detail", "")

    with ThreadPoolExecutor(len(exams)) as pool:
        answers = list(pool.map(start, range(len(exams))))
    (started,) = (number for number, (code, _) in enumerate(answers) if code == 200)
    refusal = (400, "Another exam is in progress; it must be ended first.")
    assert answers.count(refusal) == len(exams) - 1, answers
    statuses = ["created" if waiting else ""] * len(exams)
    statuses[started] = "started"
    assert [jane.status(exam) for exam in exams] == statuses


def test_one_exam_at_a_time(jane: Page, make_exam: MakeExam, timed: Exam) -> None:
    other = make_exam(
        exam_type=ExamType.TIMED, content_id="block-v1:x+type@sequential+block@2", external_id="e2"
    )
    jane.begun(timed)
    answer = jane.begin(other)
    assert answer.status_code == 400
    assert "Another exam is in progress" in answer.json["detail"]


def test_past_due_nobody_begins(jane: Page, make_exam: MakeExam, clock: ManualClock) -> None:
    exam = make_exam(exam_type=ExamType.TIMED, due_at=_in(clock, seconds=-1))
    assert jane.exam(exam)["passed_due_date"] is True
    answer = jane.begin(exam)
    assert (answer.status_code, answer.json["detail"]) == (400, "This exam's due date has passed.")


def test_the_due_date_ends_all(jane: Page, make_exam: MakeExam, clock: ManualClock) -> None:
    exam = make_exam(exam_type=ExamType.TIMED, due_at=_in(clock, minutes=10))
    jane.begun(exam)
    assert jane.exam(exam)["attempt"]["time_remaining_seconds"] == 600.0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"exam_id": None, "start_clock": "true"},
        {"exam_id": True, "start_clock": "true"},
        {"exam_id": "1; DROP", "start_clock": "true"},
        {"exam_id": 10**30, "start_clock": "true"},
        {"exam_id": -1, "start_clock": "true"},
        {"exam_id": 999, "start_clock": "true"},
        {"exam_id": 1, "start_clock": "perhaps"},
        {"exam_id": 1, "start_clock": ["true"]},
        [],
        "x",
        None,
    ],
)
def test_a_beginning_that_makes_no_sense_is_refused_in_words(
    jane: Page, timed: Exam, body: object
) -> None:
    assert timed.id == 1
    answer = jane.ask("POST", "/api/v1/exams/attempt", body)
    assert answer.status_code in (400, 415), answer.text
    assert answer.json["detail"]


def test_an_exam_of_another_lms_is_not_there(
    client: FlaskClient, clock: ManualClock, jane: Page, timed: Exam
) -> None:
    claims = person(17, "jane", iss=ELSEWHERE.jwt_issuer, administrator=True)
    namesake = Page(client, clock, claims, THIRD_KEY)
    attempt_id = jane.begun(timed)
    assert namesake.exam(timed) == {}
    assert namesake.begin(timed).status_code == 400
    assert namesake.act(attempt_id, "submit").status_code == 400
    assert namesake.ask("DELETE", f"/api/v1/exams/attempt/{attempt_id}").status_code == 400
    for path in (
        f"/api/v1/access_tokens/exam_id/{timed.id}/",
        f"/api/v1/exam/provider_settings/course_id/{COURSE}/exam_id/{timed.id}",
        f"/api/v1/instructor_view/course_id/{COURSE}/attempts?exam_id={timed.id}",
    ):
        assert namesake.get(path).status_code == 404, path
    assert jane.status(timed) == "started"


def test_exams_that_the_lms_keeps_itself_are_not_served_here(
    jane: Page, make_exam: MakeExam
) -> None:
    exam = make_exam(clock_owner=ClockOwner.LMS)
    assert jane.exam(exam) == {}
    assert jane.begin(exam).status_code == 400


# -- who may do what -----------------------------------------------------------------------------


def test_nobody_acts_on_somebody_elses_attempt(jane: Page, joe: Page, timed: Exam) -> None:
    attempt_id = jane.begun(timed)
    for action in ("submit", "stop", "error", "ping", "verify", "reject", "nonsense"):
        assert joe.act(attempt_id, action).status_code == 403, action
    assert joe.ask("DELETE", f"/api/v1/exams/attempt/{attempt_id}").status_code == 403
    assert jane.status(timed) == "started"


def test_nobody_judges_himself(client: FlaskClient, clock: ManualClock, timed: Exam) -> None:
    boss = Page(client, clock, person(2, "boss", administrator=True))
    attempt_id = boss.begun(timed)
    boss.act(attempt_id, "submit")
    assert boss.act(attempt_id, "verify").status_code == 403
    assert boss.status(timed) == "submitted"


def test_staff_judge_and_may_change_their_mind(jane: Page, staff: Page, timed: Exam) -> None:
    attempt_id = jane.begun(timed)
    assert staff.act(attempt_id, "submit").status_code == 400  # that is the learner's
    jane.act(attempt_id, "submit")
    for action, status, repeated in (
        ("verify", "verified", {}),
        ("verify", "verified", {"repeated": True}),
        ("reject", "rejected", {}),
        ("verify", "verified", {}),
        ("reject", "rejected", {}),
    ):
        answer = staff.act(attempt_id, action)
        assert answer.json == {"exam_attempt_id": attempt_id} | repeated
        assert jane.status(timed) == status
    for action in ("submit", "error", "start", "verify", "decline", "click_download_software"):
        assert jane.act(attempt_id, action).status_code in (400, 403), action
    assert jane.status(timed) == "rejected"


def test_staff_let_an_exam_be_taken_anew(jane: Page, staff: Page, timed: Exam) -> None:
    attempt_id = jane.begun(timed)
    answer = staff.ask("DELETE", f"/api/v1/exams/attempt/{attempt_id}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert jane.exam(timed)["attempt"] == {}
    assert staff.ask("DELETE", f"/api/v1/exams/attempt/{attempt_id}").status_code == 400
    assert jane.begun(timed) != attempt_id


def test_course_staff_are_those_of_the_course_alone(
    client: FlaskClient, clock: ManualClock, jane: Page, store: ProctoringStore, timed: Exam
) -> None:
    attempt_id = jane.begun(timed)
    jane.act(attempt_id, "submit")
    granted = Page(client, clock, person(3, "granted"))
    said = Page(client, clock, person(4, "said", roles=[f"instructor:{COURSE}"]))
    strangers = [
        Page(client, clock, person(5, "a", roles=["instructor:course-v1:x+y+z", "staff:*", 7])),
        Page(client, clock, person(6, "b", roles=f"staff:{COURSE}")),
        Page(client, clock, person(7, "c", administrator="true", is_staff=1)),
        granted,
    ]
    for page in strangers:
        assert page.act(attempt_id, "verify").status_code == 403, page.claims
    with store.write() as session:
        session.service.grant_staff("elsewhere", COURSE, "3", who="account joe")
    assert granted.act(attempt_id, "verify").status_code == 403
    with store.write() as session:
        session.service.grant_staff("edx", COURSE, "3", who="account joe")
    assert granted.act(attempt_id, "verify").status_code == 200
    assert said.act(attempt_id, "reject").status_code == 200
    with store.write() as session:
        assert session.service.revoke_staff("edx", COURSE, "3")
        assert not session.service.revoke_staff("edx", COURSE, "3")
    assert granted.act(attempt_id, "verify").status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "decline"},
        {"action": "Submit"},
        {"action": None},
        {"action": ["submit"]},
        {"action": {"submit": 1}},
        {"action": "x" * 5000},
        {"action": "error", "detail": 7},
        {"action": "error", "detail": "half of a character: \ud800"},
        [],
    ],
)
def test_an_action_that_makes_no_sense_is_refused_in_words(
    jane: Page, timed: Exam, body: object
) -> None:
    attempt_id = jane.begun(timed)
    answer = jane.ask("PUT", f"/api/v1/exams/attempt/{attempt_id}", body)
    assert answer.status_code == 400
    assert 0 < len(answer.json["detail"]) < 200
    assert jane.status(timed) == "started"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/v1/exams/attempt/1000000000000000000000000"),
        ("GET", "/api/v1/exams/attempt/1"),
        ("POST", "/api/v1/nothing"),
        ("GET", "/"),
        ("GET", f"/api/v1/student/course_id/{COURSE}/onboarding"),
    ],
)
def test_what_is_nowhere_is_said_in_json(jane: Page, method: str, path: str) -> None:
    answer = jane.ask(method, path, {"action": "submit"} if method == "PUT" else None)
    assert (answer.status_code, answer.is_json) == (404, True)


@pytest.mark.parametrize("where", ["content_id/%00", "content_id/a%00b"])
def test_an_address_with_nul_is_refused(jane: Page, where: str) -> None:
    path = f"/api/v1/student/exam/attempt/course_id/{COURSE}/{where}"
    assert jane.get(path).status_code == 400
    assert jane.get("/api/v1/exams/attempt/latest?content_id=%00").status_code == 400


# -- keys ----------------------------------------------------------------------------------------


def test_a_request_that_comes_again_under_its_key_acts_once(
    jane: Page, joe: Page, staff: Page, timed: Exam, store: ProctoringStore
) -> None:
    body = {"exam_id": timed.id, "start_clock": "true"}
    key = {"Idempotency-Key": "k-1"}
    first = jane.ask("POST", "/api/v1/exams/attempt", body, key)
    staff.ask("DELETE", f"/api/v1/exams/attempt/{first.json['exam_attempt_id']}")
    again = jane.ask("POST", "/api/v1/exams/attempt", body, key)
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert jane.exam(timed)["attempt"] == {}
    other = {"exam_id": timed.id, "start_clock": "false"}
    assert jane.ask("POST", "/api/v1/exams/attempt", other, key).status_code == 422
    assert joe.ask("POST", "/api/v1/exams/attempt", other, key).status_code == 200


def test_what_was_refused_leaves_its_key_free(jane: Page, timed: Exam) -> None:
    attempt_id = jane.begun(timed)
    path, key = f"/api/v1/exams/attempt/{attempt_id}", {"Idempotency-Key": "k-2"}
    assert jane.ask("PUT", path, {"action": "verify"}, key).status_code == 403
    assert jane.ask("PUT", path, {"action": "submit"}, key).status_code == 200
    bad = {"Idempotency-Key": "with spaces"}
    assert jane.ask("PUT", path, {"action": "submit"}, bad).status_code == 400


# -- pages ---------------------------------------------------------------------------------------


def test_pages_of_the_lms_may_read_answers_and_others_not(
    client: FlaskClient, jane: Page, timed: Exam
) -> None:
    path = "/exams/api/v1/exams/attempt/latest"
    preflight = client.options(path, headers={"Origin": MFE})
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == MFE
    assert preflight.headers["Access-Control-Allow-Credentials"] == "true"
    allowed = preflight.headers["Access-Control-Allow-Headers"].lower()
    assert "use-jwt-cookie" in allowed
    assert "x-csrftoken" in allowed
    refused = client.get(path, headers={"Origin": MFE})
    assert refused.headers["Access-Control-Allow-Origin"] == MFE  # the page may see that it is 401
    for origin in ("https://evil.example", "null", "https://apps.example.evil.example"):
        answer = client.options(path, headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


def test_the_http_client_of_pages_gets_the_csrf_token_that_it_asks_for(client: FlaskClient) -> None:
    answer = client.get("/csrf/api/v1/token", headers={"Origin": MFE})
    assert answer.json["csrfToken"]
    assert answer.headers["Access-Control-Allow-Origin"] == MFE
    assert client.options("/csrf/api/v1/token", headers={"Origin": MFE}).status_code == 204


def test_the_library_sends_learners_to_get_ready_and_to_end(
    client: FlaskClient, clock: ManualClock, make_exam: MakeExam, store: ProctoringStore, jane: Page
) -> None:
    exam = make_exam()
    attempt_id = jane.begun(exam, start_clock="false")
    start = f"/exams/lti/start_proctoring/{attempt_id}"
    end = f"/exams/lti/end_assessment/{attempt_id}"
    assert client.get(start).status_code == 401
    _bring_cookies(client, clock, person(17, "jane"))
    answer = client.get(start)
    assert answer.status_code == 302
    assert answer.location == f"https://xqueue.example/proctoring/attempt/{exam.id}-{attempt_id}"
    assert jane.status(exam) == "created"  # an address changes nothing
    with store.write() as session:
        attempts.act(session, attempt_id, Action.READY, PROVIDER)
    jane.act(attempt_id, "start")
    sent_by_others = client.get(
        end, headers={"Referer": "https://evil.example/https://lms.example"}
    )
    assert sent_by_others.status_code == 200
    assert "End your exam?" in sent_by_others.text
    assert jane.status(exam) == "started"
    assert client.post(end, data={"token": "0" * 64}).status_code == 200
    assert jane.status(exam) == "started"
    for what in ("image", "iframe"):  # in a learner's post on a page of the LMS
        posted = {"Referer": f"{MFE}/", "Sec-Fetch-Dest": what}
        assert "End your exam?" in client.get(end, headers=posted).text
    assert jane.status(exam) == "started"
    sent_by_the_page = client.get(end, headers={"Referer": f"{MFE}/", "Sec-Fetch-Dest": "document"})
    assert sent_by_the_page.status_code == 302
    assert sent_by_the_page.location == (
        f"https://lms.example/courses/{COURSE}/jump_to/{exam.content_id}"
    )
    assert jane.status(exam) == "submitted"


def test_who_is_asked_ends_his_exam_with_a_button(
    client: FlaskClient, clock: ManualClock, timed: Exam, jane: Page, joe: Page
) -> None:
    attempt_id = jane.begun(timed)
    end = f"/exams/lti/end_assessment/{attempt_id}"
    _bring_cookies(client, clock, person(17, "jane"))
    question = client.get(end)
    assert "form-action 'self' https://lms.example;" in question.headers["Content-Security-Policy"]
    right = question.text.partition('name="token" value="')[2].partition('"')[0]
    _bring_cookies(client, clock, person(18, "joe"))
    assert client.post(end, data={"token": right}).status_code == 404
    _bring_cookies(client, clock, person(17, "jane"))
    assert client.post(end, data={"token": right}).status_code == 302
    assert jane.status(timed) == "submitted"
    assert client.post(end, data={"token": right}).status_code == 302  # it is so already


def test_health(client: FlaskClient) -> None:
    answer = client.get("/exams/health/")
    assert (answer.status_code, answer.json) == (
        200,
        {"overall_status": "OK", "detailed_status": {"database_status": "OK"}},
    )


# -- helpers -------------------------------------------------------------------------------------


def _in(clock: ManualClock, **length: float) -> object:
    return to_datetime(int(now_s(clock) * 1e6)) + timedelta(**length)


def _quoted(exam: Exam) -> str:
    return exam.content_id.replace("+", "%2B")


def _check_types(found: dict[str, object], expected: dict[str, type]) -> None:
    assert {name: type(value) for name, value in found.items()} == expected


def _bring_cookies(client: FlaskClient, clock: ManualClock, claims: dict[str, object]) -> None:
    first, _, signature = token(clock, claims).rpartition(".")
    client.set_cookie("edx-jwt-cookie-header-payload", first)
    client.set_cookie("edx-jwt-cookie-signature", signature)
