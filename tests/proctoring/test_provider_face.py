"""The provider's REST API, request by request: what edx-proctoring sends, what it must be answered,
and what nobody may do."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import OctKey
from sqlalchemy import text

from proctoring_hooks import attempts, links
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.exam import ClockOwner, ExamType, NewExam, Readying, Terms
from proctoring_hooks.lms import Lms
from proctoring_hooks.reviews import Comment, Review
from proctoring_hooks.statuses import Status
from proctoring_hooks.store import NotFound
from proctoring_hooks.transitions import Action, Actor, By
from proctoring_hooks.web.provider_face import ConsoleWish, ProviderFace, provider_face
from tests.proctoring.lms_caller import ATTEMPT, EXAM, JANE, TOKEN, LmsCaller, sign_in
from xqueue_server.accounts.failed_logins import FailedLogins
from xqueue_server.files.local import LocalFiles
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage, callbacks
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.upkeep import learner_data
from xqueue_server.upkeep.exam_history import check_one

COURSE = str(EXAM["course_id"])
SECRET_KEY = b"k" * 32
LINK_KEY = b"l" * 32
HOME = Lms(
    name="edx",
    base_url="https://lms.example",
    origins=("https://lms.example",),
    backend="xqueue",
    client_id="lms-client",
    client_secret="the secret of the LMS",
    our_client_id="our-client",
    our_client_secret="our secret there",
    obfuscation_key="obfuscating",
)
OTHER = replace(
    HOME, name="other", client_id="other-client", client_secret="the secret of the other LMS"
)
PROCTOR = By(actor=Actor.PROCTOR, who="account jane", reason="looked away")


@pytest.fixture
def store(storage: Storage) -> ProctoringStore:
    store = ProctoringStore(storage, SECRET_KEY)
    with store.write() as session:
        session.lmses.add(HOME)
        session.lmses.add(OTHER)
    return store


@pytest.fixture
def opened() -> list[ConsoleWish]:
    """What the console was opened for."""
    return []


@pytest.fixture
def client(
    storage: Storage, store: ProctoringStore, opened: list[ConsoleWish], tmp_path: Path
) -> FlaskClient:
    def open_console(wish: ConsoleWish) -> Response:
        opened.append(wish)
        return Response("console", 302, headers={"Location": "/proctoring/console"})

    app = Flask("provider", static_folder=None)
    face = ProviderFace(
        store=store,
        base_url="https://xqueue.example",
        token_key=b"t" * 32,
        link_key=LINK_KEY,
        open_console=open_console,
        course_terms=lambda _session, _lms, _course: Terms(),
        retire=partial(learner_data.retire, storage, LocalFiles(tmp_path), secret_key=SECRET_KEY),
        guesses=FailedLogins(),
        address=lambda: "192.0.2.1",
        request_id=lambda: "r1",
    )
    app.register_blueprint(provider_face(face))
    return app.test_client()


@pytest.fixture
def lms(client: FlaskClient) -> LmsCaller:
    return LmsCaller(client, HOME)


@pytest.fixture
def other(client: FlaskClient) -> LmsCaller:
    return LmsCaller(client, OTHER)


# -- signing in ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [TOKEN, f"{TOKEN}/", "/proctoring/edx/oauth2/access_token"])
def test_a_token_is_given_for_the_credentials(client: FlaskClient, path: str) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": HOME.client_id,
        "client_secret": HOME.client_secret,
        "token_type": "jwt",
    }
    answer = client.post(path, data=form)
    assert answer.status_code == 200
    given = answer.get_json()
    assert given["expires_in"] > 5
    assert given["access_token"].count(".") == 2
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_id": "nobody", "client_secret": ""}, 401, "invalid_client"),
        ({"client_id": ""}, 400, "invalid_request"),
        ({"client_id": "a\0b"}, 400, "invalid_request"),
        ({"client_id": "a" * 1000}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_wrong_credentials_are_answered_as_oauth_has_it(
    client: FlaskClient, form: dict[str, str], status: int, error: str
) -> None:
    right = {
        "grant_type": "client_credentials",
        "client_id": HOME.client_id,
        "client_secret": HOME.client_secret,
    }
    answer = client.post(TOKEN, data=right | form)
    assert (answer.status_code, answer.get_json()) == (status, {"error": error})


def test_an_lms_without_a_secret_can_not_sign_in(
    client: FlaskClient, store: ProctoringStore
) -> None:
    with store.write() as session:
        session.lmses.replace(replace(HOME, client_secret=""))
    assert sign_in(client, HOME.client_id, "").status_code == 401


def test_guessing_is_slowed_down(client: FlaskClient) -> None:
    codes = [sign_in(client, HOME.client_id, f"guess {n}").status_code for n in range(11)]
    assert codes == [401] * 10 + [429]
    assert sign_in(client, OTHER.client_id, OTHER.client_secret).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "JWT",
        "JWT x",
        "Basic bGl2ZQ==",
        "JWT a.b.c",
        "JWT " + "x" * 10_000,
        "JWT eyJhbGciOiJub25lIn0.e30.",
    ],
)
def test_without_a_good_token_nothing_is_told(client: FlaskClient, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    answer = client.get("/proctoring/api/v1/config/", headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "not_signed_in")


def test_a_token_ends_with_its_time_and_with_the_secret(
    lms: LmsCaller, other: LmsCaller, store: ProctoringStore, clock: ManualClock
) -> None:
    with store.write() as session:
        session.lmses.replace(replace(OTHER, client_secret="a new secret, long enough"))
    assert other.ask("GET", "/config/").status_code == 401
    assert lms.ask("GET", "/config/").status_code == 200
    clock.advance(601)
    assert lms.ask("GET", "/config/").status_code == 401


def test_an_lms_can_not_make_tokens_with_its_own_secret(client: FlaskClient) -> None:
    key = OctKey.import_key(HOME.client_secret)
    claims = {"aud": "xqueue proctoring", "sub": OTHER.client_id, "exp": 4_000_000_000}
    token = jwt.encode({"alg": "HS256"}, claims, key)
    headers = {"Authorization": f"JWT {token}"}
    assert client.get("/proctoring/api/v1/config/", headers=headers).status_code == 401


# -- exams ---------------------------------------------------------------------------------------


def test_what_the_provider_offers(lms: LmsCaller) -> None:
    given = lms.ask("GET", "/config/").get_json()
    assert set(given) == {"name", "download_url", "rules", "instructions"}
    assert all(isinstance(label, str) for label in given["rules"].values())


def test_an_exam_is_made_once_and_found_again(lms: LmsCaller, store: ProctoringStore) -> None:
    first = lms.save()
    assert first.isalnum()
    assert first != "11"
    assert lms.save() == first  # the LMS has lost our answer
    assert lms.save(first, exam_name="Final", time_limit_mins=60, due_date=None) == first
    with store.read() as session:
        exam = session.exams.by_external_id("edx", first)
    assert (exam.exam_name, exam.time_limit_mins, exam.due_at) == ("Final", 60, None)
    assert (exam.clock_owner, exam.lms_exam_id, exam.course_id) == (ClockOwner.LMS, "11", COURSE)
    lms.save(first, is_active=False)
    assert lms.ask("GET", f"/exam/{first}/").get_json()["is_active"] is False
    assert lms.save(first, is_active=True) == first


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, ExamType.PROCTORED),
        ({"is_practice_exam": True}, ExamType.ONBOARDING),
        ({"is_proctored": False, "is_active": False}, ExamType.TIMED),
    ],
)
def test_kinds_of_exams(
    lms: LmsCaller, store: ProctoringStore, fields: dict[str, Any], kind: ExamType
) -> None:
    external_id = lms.save(**fields)
    with store.read() as session:
        assert session.exams.by_external_id("edx", external_id).exam_type is kind


def test_an_id_of_another_provider_is_exchanged_for_one_of_ours(lms: LmsCaller) -> None:
    """An LMS keeps an exam's id when the course changes its provider."""
    ours = lms.save("what-another-vendor-gave")
    assert ours != "what-another-vendor-gave"
    assert lms.save(ours) == ours


def test_rules_and_the_review_policy_are_kept_beside_what_staff_decided(
    lms: LmsCaller, store: ProctoringStore
) -> None:
    given = {"allow_notes": True, "allow_books": False, "bring_id": "Show your passport."}
    external_id = lms.save(rules=given, rule_summary="No phones")
    with store.write() as session:
        exam = session.exams.by_external_id("edx", external_id)
        terms = replace(
            exam.terms, readying=Readying.PROCTOR, rules=exam.terms.rules | {"ours": "Be kind."}
        )
        session.exams.change(exam.id, terms=terms)
    lms.save(external_id, rules={"bring_id": False})
    shown = lms.ask("GET", f"/exam/{external_id}/").get_json()
    assert shown["rules"] == {"allow_notes": "Notes on paper are allowed.", "ours": "Be kind."}
    attempt = lms.register(external_id)
    assert "proctor" in lms.attempt(external_id, attempt).get_json()["instructions"][0]


def test_content_that_our_own_exam_service_keeps_is_not_taken_from_it(
    lms: LmsCaller, store: ProctoringStore
) -> None:
    with store.write() as session:
        session.exams.add(
            NewExam(
                lms="edx",
                course_id=COURSE,
                content_id=str(EXAM["content_id"]),
                exam_name="Ours",
                exam_type=ExamType.PROCTORED,
                time_limit_mins=10,
                due_at=None,
                hide_after_due=False,
                is_active=True,
                clock_owner=ClockOwner.US,
                external_id="service-1",
            )
        )
    answer = lms.ask("POST", "/exam/", EXAM)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "taken")
    assert lms.ask("GET", "/exam/service-1/").status_code == 404
    assert lms.ask("POST", "/exam/service-1/attempt/", ATTEMPT).status_code == 404


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"id": "11"}, "id"),
        ({"id": True}, "id"),
        ({"course_id": None}, "course_id"),
        ({"course_id": "a" * 300}, "course_id"),
        ({"content_id": "a\0b"}, "content_id"),
        ({"exam_name": ["x"]}, "exam_name"),
        ({"exam_name": "\ud800"}, "exam_name"),
        ({"time_limit_mins": -1}, "time_limit_mins"),
        ({"time_limit_mins": 1e400}, "time_limit_mins"),
        ({"time_limit_mins": 10**30}, "time_limit_mins"),
        ({"due_date": "tomorrow"}, "due_date"),
        ({"due_date": 7}, "due_date"),
        ({"due_date": "0001-01-01T00:00:00+23:59"}, "due_date"),
        ({"is_active": "yes"}, "is_active"),
        ({"rules": ["x"]}, "rules"),
        ({"rules": {"": True}}, "rule"),
        ({"rules": {"k": "\0"}}, "k"),
        ({"rule_summary": "x" * 60_000}, "rule_summary"),
    ],
)
def test_what_an_exam_has_wrong_is_named(
    lms: LmsCaller, fields: dict[str, Any], names: str
) -> None:
    answer = lms.ask("POST", "/exam/", EXAM | fields)
    assert answer.status_code == 400
    assert names in answer.get_json()["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b"\xff", 400),
        (b"7", 400),
        (b'{"exam_name": "' + b"x" * 300_000 + b'"}', 413),
    ],
)
def test_a_body_that_is_no_object(lms: LmsCaller, body: bytes, status: int) -> None:
    answer = lms.ask("POST", "/exam/", data=body, content_type="application/json")
    assert (answer.status_code, answer.mimetype) == (status, "application/json")


def test_the_same_new_exam_saved_at_once_is_one(client: FlaskClient, lms: LmsCaller) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: lms.save(), range(8)))
    assert len(found) == 1


# -- attempts ------------------------------------------------------------------------------------


def test_the_way_of_an_attempt(lms: LmsCaller, store: ProctoringStore) -> None:
    exam = lms.save()
    attempt = lms.register(exam, time_limit_mins=45, review_policy_exception="May use a ruler")
    shown = lms.attempt(exam, attempt).get_json()
    assert shown["status"] == "created"
    assert shown["instructions"]
    assert set(shown) >= {"download_url", "rules"}
    assert shown["expires_at"] is None
    for status in ("started", "started", "submitted", "submitted"):
        answer = lms.tell(exam, attempt, status)
        assert (answer.status_code, answer.get_json()["status"]) == (200, status)
        shown = lms.attempt(exam, attempt).get_json()
        expires_at = datetime.fromisoformat(shown["expires_at"])
        assert expires_at - datetime.fromisoformat(shown["server_now"]) == timedelta(minutes=45)
    found = _attempt(store, attempt)
    assert (found.allowed_s, found.learner) == (45 * 60, Learner(obscured_id=JANE))
    assert found.exception == "May use a ruler"
    assert found.clock_owner is ClockOwner.LMS
    with store.read() as session:
        rows = session.attempts.history(found.id)
        names = session.names("edx", Learner(obscured_id=JANE))
    assert [row.change.action for row in rows] == ["register", "start", "submit"]
    assert {(row.change.who, row.change.request_id) for row in rows} == {("lms edx", "r1")}
    assert names is not None
    assert (names.full_name, names.email) == ("Jane Doe", "jane@example.com")


def test_an_attempt_in_error_and_what_can_not_follow(
    lms: LmsCaller, caplog: pytest.LogCaptureFixture
) -> None:
    exam = lms.save()
    attempt = lms.register(exam)
    assert lms.tell(exam, attempt, "error").get_json()["status"] == "error"
    with caplog.at_level(logging.WARNING, "proctoring_hooks"):
        refused = lms.tell(exam, attempt, "started")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "refused")
    assert "start" in refused.get_json()["message"]
    assert [record.action for record in caplog.records] == ["lms_refused"]  # type: ignore[attr-defined]


def test_what_the_lms_lets_its_learner_undo_is_refused_and_the_verdict_told_again(
    lms: LmsCaller, store: ProctoringStore
) -> None:
    exam = lms.save()
    attempt = lms.register(exam)
    for status in ("started", "submitted"):
        lms.tell(exam, attempt, status)
    review = Review(action=Action.FAIL, actor=Actor.PROCTOR, reviewed_by="jane")
    with store.write() as session:
        attempts.judge(session, _attempt(store, attempt).id, review, PROCTOR)
    assert lms.tell(exam, attempt, "submitted").status_code == 409
    with store.storage.read() as tx:
        assert [each.purpose for each in callbacks.latest(tx)] == ["reviewed", "reviewed"]
    assert _attempt(store, attempt).status == "rejected"


@pytest.mark.parametrize("status", ["verified", "nonsense", None, 7, ["started"], {}])
def test_an_lms_says_only_what_it_knows(lms: LmsCaller, status: Any) -> None:
    exam = lms.save()
    attempt = lms.register(exam)
    answer = lms.tell(exam, attempt, status)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")


def test_every_registration_has_an_id_of_its_own(lms: LmsCaller, store: ProctoringStore) -> None:
    exam = lms.save()
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: lms.register(exam), range(8)))
    assert len(found) == 8
    assert all(attempt.isalnum() for attempt in found)


@pytest.mark.parametrize("exam", ["None", "null", "0", "-1", "a%00b", "%ff", "x" * 500])
def test_an_exam_that_is_not_there(lms: LmsCaller, exam: str) -> None:
    assert lms.ask("POST", f"/exam/{exam}/attempt/", ATTEMPT).status_code == 404
    assert lms.ask("GET", f"/exam/{exam}/").status_code == 404
    assert lms.attempt(exam, exam).status_code == 404
    assert lms.attempt(lms.save(), exam).status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"user_id": ""},
        {"user_id": "17"},
        {"user_id": "A" * 40},
        {"user_id": 17},
        {"time_limit_mins": "x"},
        {"full_name": {}},
        {"lms_host": "h" * 400},
        {"review_policy_exception": "\0"},
    ],
)
def test_what_a_registration_has_wrong(lms: LmsCaller, fields: dict[str, Any]) -> None:
    answer = lms.ask("POST", f"/exam/{lms.save()}/attempt/", ATTEMPT | fields)
    assert answer.status_code == 400
    assert next(iter(fields)) in answer.get_json()["message"]


def test_an_exam_that_is_not_active_takes_no_attempts(lms: LmsCaller) -> None:
    exam = lms.save(is_active=False)
    answer = lms.ask("POST", f"/exam/{exam}/attempt/", ATTEMPT)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "inactive")


def test_removing_is_confirmed_and_then_it_is_gone(lms: LmsCaller) -> None:
    exam = lms.save()
    attempt = lms.register(exam)
    lms.tell(exam, attempt, "started")
    removed = lms.remove(exam, attempt)
    assert (removed.status_code, removed.get_json()) == (200, {"status": "deleted"})
    assert lms.remove(exam, attempt).status_code == 404
    assert lms.attempt(exam, attempt).status_code == 404
    assert lms.tell(exam, attempt, "started").status_code == 404


def test_another_lms_finds_nothing_of_it(
    lms: LmsCaller, other: LmsCaller, store: ProctoringStore
) -> None:
    exam = lms.save()
    attempt = lms.register(exam)
    theirs = other.save()
    assert theirs != exam
    assert other.ask("GET", f"/exam/{exam}/").status_code == 404
    assert other.ask("POST", f"/exam/{exam}/attempt/", ATTEMPT).status_code == 404
    for at in (exam, theirs):
        assert other.attempt(at, attempt).status_code == 404
        assert other.tell(at, attempt, "submitted").status_code == 404
        assert other.remove(at, attempt).status_code == 404
    assert other.save(exam, exam_name="taken over") == theirs  # its own, whatever id it names
    assert lms.ask("GET", f"/exam/{exam}/").get_json()["exam_name"] == "Midterm"
    other.ask("DELETE", f"/user/{JANE}/")
    with store.read() as session:
        assert session.names("edx", Learner(obscured_id=JANE)) is not None
    assert _attempt(store, attempt).status is Status.CREATED


def test_an_attempt_is_found_under_its_own_exam_only(lms: LmsCaller) -> None:
    exam, second = lms.save(), lms.save(id=12, content_id="block-v1:x+type@sequential+block@2")
    attempt = lms.register(exam)
    assert lms.attempt(second, attempt).status_code == 404


# -- the learner's link --------------------------------------------------------------------------


def test_the_link_opens_that_attempt_until_it_expires(
    lms: LmsCaller, store: ProctoringStore, clock: ManualClock
) -> None:
    exam = lms.save()
    attempt = lms.register(exam)
    url = lms.attempt(exam, attempt).get_json()["download_url"]
    assert url == lms.attempt(exam, attempt).get_json()["download_url"]
    assert url.startswith("https://xqueue.example/proctoring/attempt/")
    token = urlsplit(url).path.rpartition("/")[2]
    with store.read() as session:
        now = session.now
    opened = links.attempt_of_link(LINK_KEY, token, now=now)
    assert opened == _attempt(store, attempt).id
    end = now + timedelta(seconds=links.LIFETIME_S)
    assert links.attempt_of_link(LINK_KEY, token, now=end - timedelta(seconds=1)) == opened
    with pytest.raises(links.ExpiredLink):
        links.attempt_of_link(LINK_KEY, token, now=end + timedelta(days=1))
    number, expiry, signature = token.split(".")
    changed = (
        f"{int(number) + 1}.{expiry}.{signature}",
        f"{number}.{int(expiry) + 1}.{signature}",
        f"{number}.{expiry}.{signature[::-1]}",
        f"{number}.{expiry}",
        f"{token}\n",
        "",
    )
    for wrong in changed:
        with pytest.raises(links.BadLink):
            links.attempt_of_link(LINK_KEY, wrong, now=now)
    with pytest.raises(links.BadLink):
        links.attempt_of_link(b"m" * 32, token, now=now)


# -- onboarding ----------------------------------------------------------------------------------


def test_a_course_with_onboarding_asks_for_it_first(
    lms: LmsCaller, store: ProctoringStore, clock: ManualClock
) -> None:
    exam = lms.save()
    onboarding = lms.save(
        id=12, content_id="block-v1:x+type@sequential+block@onboarding", is_practice_exam=True
    )

    def asked() -> dict[str, Any]:
        answer = lms.ask("POST", f"/exam/{exam}/attempt/", ATTEMPT)
        assert answer.status_code == 200
        return dict(answer.get_json())

    assert asked() == {"status": "onboarding_missing"}
    attempt = lms.register(onboarding, is_sample_attempt=True)
    lms.tell(onboarding, attempt, "started")
    assert asked() == {"status": "onboarding_missing"}
    lms.tell(onboarding, attempt, "submitted")
    assert asked() == {"status": "onboarding_pending"}
    assert _statuses(lms, user_id=JANE)["status"] == "pending"
    _judge(store, attempt, Action.FAIL)
    assert asked() == {"status": "onboarding_failed"}
    second = lms.register(onboarding, is_sample_attempt=True)
    lms.tell(onboarding, second, "started")
    lms.tell(onboarding, second, "submitted")
    _judge(store, second, Action.PASS)
    shown = _statuses(lms, user_id=JANE)
    assert shown["status"] == "approved-in-course"
    ends = datetime.fromisoformat(shown["expiration_date"])
    assert len(asked()["id"]) == 32
    clock.advance(365 * 24 * 3600 + 1)
    again = LmsCaller(lms._client, HOME)  # its token is over, too
    answer = again.ask("POST", f"/exam/{exam}/attempt/", ATTEMPT)
    assert answer.get_json() == {"status": "onboarding_expired"}
    assert _statuses(again, user_id=JANE)["status"] == "expired"
    with store.read() as session:
        assert session.now > ends


def test_onboarding_counts_in_other_courses_and_can_be_waived(
    lms: LmsCaller, store: ProctoringStore
) -> None:
    elsewhere = lms.save(id=1, course_id="course-v1:edX+Other+1", is_practice_exam=True)
    onboarding = lms.save(id=2, content_id="block-v1:x+block@o", is_practice_exam=True)
    exam = lms.save()
    attempt = lms.register(elsewhere)
    for status in ("started", "submitted"):
        lms.tell(elsewhere, attempt, status)
    _judge(store, attempt, Action.PASS)
    assert _statuses(lms, user_id=JANE)["status"] == "approved-in-different-course"
    assert _statuses(lms)["results"] == []
    lms.register(onboarding)
    (told,) = _statuses(lms)["results"]
    assert (told["user_id"], told["status"]) == (JANE, "approved-in-different-course")
    lms.register(exam)
    stranger = {"user_id": "b" * 40}
    path = f"/exam/{exam}/attempt/"
    assert "id" not in lms.ask("POST", path, ATTEMPT | stranger).get_json()
    with store.write() as session:
        found = session.exams.by_external_id("edx", exam)
        session.exams.change(found.id, terms=replace(found.terms, needs_onboarding=False))
    assert "id" in lms.ask("POST", path, ATTEMPT | stranger).get_json()


def test_onboarding_statuses_come_in_pages(lms: LmsCaller) -> None:
    onboarding = lms.save(is_practice_exam=True)
    ids = [f"{n:040x}" for n in range(5)]
    for n, user_id in enumerate(ids):
        attempt = lms.register(onboarding, user_id=user_id)
        lms.tell(onboarding, attempt, "started")
        if n < 3:
            lms.tell(onboarding, attempt, "submitted")
    first = _statuses(lms, page_size="2")
    assert (first["count"], first["num_pages"], first["previous"]) == (5, 3, None)
    assert [each["user_id"] for each in first["results"]] == ids[:2]
    query = urlsplit(first["next"])
    assert query.path.endswith(f"/courses/{COURSE}/onboarding_statuses")
    following = lms.ask(
        "GET", f"{query.path.removeprefix('/proctoring/api/v1')}?{query.query}"
    ).get_json()
    assert [each["user_id"] for each in following["results"]] == ids[2:4]
    pending = _statuses(lms, status="pending")
    assert [each["user_id"] for each in pending["results"]] == ids[:3]
    for wrong in (
        {"page": "0"},
        {"page": "x"},
        {"page_size": "99999"},
        {"status": "fine"},
        {"user_id": "17"},
    ):
        answer = lms.ask("GET", f"/courses/{COURSE}/onboarding_statuses", query_string=wrong)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")


# -- retiring ------------------------------------------------------------------------------------


def test_a_retired_learner_leaves_no_name_and_no_words(
    lms: LmsCaller, other: LmsCaller, store: ProctoringStore
) -> None:
    exam = lms.save()
    attempt = lms.register(exam, review_policy_exception="Has a broken arm")
    bystander = lms.register(exam, user_id="b" * 40)
    namesake = other.register(other.save())
    for status in ("started", "submitted"):
        lms.tell(exam, attempt, status)
    review = Review(
        action=Action.FAIL,
        actor=Actor.PROCTOR,
        reviewed_by="jane",
        comments=(Comment(comment="Jane Doe looked away", status="Suspicious"),),
        link="https://video.example/1",
    )
    number = _attempt(store, attempt).id
    with store.write() as session:
        attempts.judge(session, number, review, PROCTOR)
    for _ in range(2):  # also of somebody of whom nothing is known any more
        answer = lms.ask("DELETE", f"/user/{JANE}/")
        assert (answer.status_code, answer.get_json()) == (200, True)
    with store.read() as session:
        assert session.names("edx", Learner(obscured_id=JANE)) is None
        assert session.names("edx", Learner(obscured_id="b" * 40)) is not None
        ((_, kept),) = session.records.reviews(number)
        rows = session.attempts.history(number)
        now = session.attempts.get(number)
        assert session.attempts.by_external_id("edx", bystander).status is Status.CREATED
        of_another = session.attempts.by_external_id("other", namesake).learner
        assert of_another == Learner(obscured_id=JANE), "another LMS's"
        assert session.names("other", of_another) is not None
    assert (now.learner, now.exception, now.lms_host) == (Learner(), "", "")
    assert (kept.comments, kept.link) == ((), None)
    assert {row.reason for row in rows} == {None}
    assert check_one(store, number).flaw is None
    assert (rows[-1].change.action, rows[-1].change.after) == ("erase", "rejected")
    assert lms.tell(exam, attempt, "submitted").status_code == 404
    running = lms.register(exam)
    lms.tell(exam, running, "started")
    of_running = _attempt(store, running).id
    assert lms.ask("DELETE", f"/user/{JANE}/").get_json() is True, "he is nobody's learner"
    with store.read() as session, pytest.raises(NotFound):
        session.attempts.get(of_running)


def test_a_learner_of_whom_something_is_being_sent_is_retired_when_the_lms_asks_again(
    lms: LmsCaller, store: ProctoringStore, clock: ManualClock
) -> None:
    exam = lms.save()
    attempt = lms.register(exam)
    by = By(actor=Actor.PROCTOR, who="account jane")
    with store.write() as session:
        attempts.act(session, _attempt(store, attempt).id, Action.READY, by)
        claim = "UPDATE callbacks SET claim_token = :t, next_at = next_at + 60000000"
        assert session.tx.run(text(claim), t=b"t" * 16) == 1
    answer = lms.ask("DELETE", f"/user/{JANE}/")
    assert (answer.status_code, answer.get_json()) == (409, False)
    clock.advance(61)
    answer = lms.ask("DELETE", f"/user/{JANE}/")
    assert (answer.status_code, answer.get_json()) == (200, True)


def test_an_id_that_is_not_obscured_retires_nobody(lms: LmsCaller) -> None:
    assert lms.ask("DELETE", "/user/17/").get_json() is False


# -- instructors ---------------------------------------------------------------------------------


def test_an_instructor_opens_the_console_once(
    lms: LmsCaller, client: FlaskClient, store: ProctoringStore, opened: list[ConsoleWish]
) -> None:
    exam = lms.save()
    attempt = lms.register(exam)
    link = _instructor_link(store, exam_id=exam, attempt_id=attempt)
    answer = client.get(link)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/proctoring/console")
    (wish,) = opened
    with store.read() as session:
        assert wish.exam_id == session.exams.by_external_id("edx", exam).id
    assert (wish.lms, wish.course_id) == ("edx", COURSE)
    assert wish.attempt_id == _attempt(store, attempt).id
    assert (wish.who.full_name, wish.who.email) == ("Ada", "ada@example.com")
    again = client.get(link)
    assert (again.status_code, again.mimetype) == (401, "text/plain")
    assert "used before" in again.text
    assert len(opened) == 1


def test_who_only_looks_at_a_link_does_not_use_it_up(
    client: FlaskClient, store: ProctoringStore, opened: list[ConsoleWish]
) -> None:
    link = _instructor_link(store)
    assert client.head(link).status_code == 405
    assert opened == []
    assert client.get(link).status_code == 302


def test_of_many_at_once_one_opens_it(
    client: FlaskClient, store: ProctoringStore, opened: list[ConsoleWish]
) -> None:
    link = _instructor_link(store)
    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(lambda _: client.get(link).status_code, range(8)))
    assert codes == [302] + [401] * 7
    assert len(opened) == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "other-client"},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 0},
        {"exp": 10.0**12},
        {"exp": float("inf")},
        {"jti": ""},
        {"jti": None},
        {"jti": 7},
        {"course_id": None},
        {"course_id": ["x"]},
        {"course_id": "a\0b"},
        {"user": None},
        {"user": {"full_name": "Ada"}},
    ],
)
def test_a_link_that_does_not_stand(
    client: FlaskClient, store: ProctoringStore, opened: list[ConsoleWish], claims: dict[str, Any]
) -> None:
    assert client.get(_instructor_link(store, **claims)).status_code == 401
    assert opened == []


def test_a_link_is_over_after_a_minute_and_some(
    client: FlaskClient, store: ProctoringStore, clock: ManualClock, opened: list[ConsoleWish]
) -> None:
    early, late = _instructor_link(store), _instructor_link(store)
    clock.advance(85)
    assert client.get(early).status_code == 302
    clock.advance(10)
    assert client.get(late).status_code == 401
    assert len(opened) == 1


@pytest.mark.parametrize("client_id", ["nobody", "other-client", "a%00b"])
def test_a_link_of_one_lms_opens_nothing_of_another(
    client: FlaskClient, store: ProctoringStore, opened: list[ConsoleWish], client_id: str
) -> None:
    link = _instructor_link(store).replace("lms-client", client_id)
    assert client.get(link).status_code == 401
    assert opened == []


def test_what_is_not_of_that_course_is_left_out(
    lms: LmsCaller,
    other: LmsCaller,
    client: FlaskClient,
    store: ProctoringStore,
    opened: list[ConsoleWish],
) -> None:
    elsewhere = lms.save(course_id="course-v1:edX+Other+1")
    theirs = other.save()
    for exam in (elsewhere, theirs, "nothing"):
        client.get(_instructor_link(store, exam_id=exam))
    assert [wish.exam_id for wish in opened] == [None] * 3


# -- builders ------------------------------------------------------------------------------------

_TOKENS = iter(range(10**9))


def _instructor_link(store: ProctoringStore, **claims: Any) -> str:
    with store.read() as session:
        now = session.now.timestamp()
    token = {
        "course_id": COURSE,
        "user": {"id": "c" * 40, "full_name": "Ada", "email": "ada@example.com"},
        "iss": HOME.client_id,
        "jti": f"token-{next(_TOKENS)}",
        "exp": now + 60,
    } | claims
    signed = jwt.encode({"alg": "HS256"}, token, OctKey.import_key(HOME.client_secret))
    return f"/proctoring/api/v1/instructor/{HOME.client_id}/?jwt={signed}"


def _attempt(store: ProctoringStore, external_id: str) -> Attempt:
    with store.read() as session:
        return session.attempts.by_external_id("edx", external_id)


def _judge(store: ProctoringStore, external_id: str, action: Action) -> None:
    review = Review(action=action, actor=Actor.PROCTOR, reviewed_by="jane")
    with store.write() as session:
        found = session.attempts.by_external_id("edx", external_id)
        attempts.judge(session, found.id, review, PROCTOR)


def _statuses(lms: LmsCaller, **query: str) -> dict[str, Any]:
    answer = lms.ask("GET", f"/courses/{COURSE}/onboarding_statuses", query_string=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())
