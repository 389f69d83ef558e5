"""Exam access tokens: to whom they are granted, and whether an LMS can check them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import KeySet
from werkzeug.test import TestResponse

from proctoring_hooks import attempts
from proctoring_hooks.exam import Exam, ExamType
from proctoring_hooks.transitions import Action, Actor, By
from tests.proctoring.conftest import MakeExam
from tests.proctoring.exam_pages import BASE, SERVED, Page, application, now_s, person
from xqueue_server.instant import ManualClock, to_datetime
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore


@pytest.fixture
def client(storage: Storage, store: ProctoringStore, clock: ManualClock) -> FlaskClient:
    with store.write() as session:
        session.lmses.replace(SERVED)
    return application(storage, store, clock).test_client()


@pytest.fixture
def jane(client: FlaskClient, clock: ManualClock) -> Page:
    return Page(client, clock, person(17, "jane"))


def _asked(page: Page, exam: Exam) -> TestResponse:
    return page.get(f"/api/v1/access_tokens/exam_id/{exam.id}/")


def _due(clock: ManualClock, **length: float) -> Any:
    return to_datetime(int(now_s(clock) * 1e6)) + timedelta(**length)


def test_a_token_is_for_one_learner_one_exam_and_a_minute(
    client: FlaskClient, jane: Page, make_exam: MakeExam, clock: ManualClock
) -> None:
    exam = make_exam(exam_type=ExamType.TIMED)
    jane.begun(exam)
    given = _asked(jane, exam).json
    assert set(given) == {"exam_access_token", "exam_access_token_expiration"}
    assert given["exam_access_token_expiration"] == 60
    published = client.get("/exams/api/v1/.well-known/jwks.json").json
    assert [set(key) & {"d", "p", "q"} for key in published["keys"]] == [set()]
    decoded = jwt.decode(
        given["exam_access_token"],
        KeySet.import_key_set(published),
        ["RS512"],
    )
    now = int(now_s(clock))
    assert decoded.claims == {
        "lms_user_id": 17,
        "course_id": exam.course_id,
        "content_id": exam.content_id,
        "iss": BASE,
        "iat": now,
        "exp": now + 60,
        "version": "1.0.0",
    }
    assert client.get("/exams/api/v1/.well-known/jwks.json").json == published


def test_two_servers_that_start_at_once_have_one_key(
    storage: Storage, store: ProctoringStore, clock: ManualClock, client: FlaskClient
) -> None:
    other = application(storage, store, clock).test_client()
    path = "/exams/api/v1/.well-known/jwks.json"
    assert client.get(path).json == other.get(path).json


def test_it_ends_when_time_is_over(jane: Page, make_exam: MakeExam, clock: ManualClock) -> None:
    exam = make_exam(exam_type=ExamType.TIMED)
    jane.begun(exam)
    clock.advance(3600 - 42.5)
    assert _asked(jane, exam).json["exam_access_token_expiration"] == 42
    clock.advance(42)
    assert _asked(jane, exam).status_code == 403
    clock.advance(60)
    assert _asked(jane, exam).status_code == 403


def test_before_the_due_date_only_who_writes_the_exam_sees_it(
    client: FlaskClient, jane: Page, make_exam: MakeExam, store: ProctoringStore, clock: ManualClock
) -> None:
    exam = make_exam(due_at=_due(clock, hours=5))
    refused = _asked(jane, exam)
    assert (refused.status_code, refused.json) == (
        403,
        {"detail": "Exam access token not granted"},
    )
    attempt_id = jane.begun(exam, start_clock="false")
    granted = []
    for action in (None, "ready", "start", "stop", "start", "submit"):
        if action == "ready":
            provider = By(actor=Actor.PROVIDER, who="provider p")
            with store.write() as session:
                attempts.act(session, attempt_id, Action.READY, provider)
        elif action is not None:
            assert jane.act(attempt_id, action).status_code == 200
        granted.append(_asked(jane, exam).status_code)
    assert granted == [403, 403, 200, 403, 200, 403]
    staff = Page(client, clock, person(2, "boss", administrator=True))
    assert _asked(staff, exam).status_code == 200


@pytest.mark.parametrize(
    ("hides", "judged", "status"),
    [
        (False, None, 200),
        (False, "verify", 200),
        (False, "reject", 403),
        (True, None, 403),
        (True, "verify", 403),
    ],
)
def test_after_the_due_date_what_was_submitted_may_be_seen_unless_it_is_hidden(
    client: FlaskClient,
    jane: Page,
    make_exam: MakeExam,
    clock: ManualClock,
    hides: bool,
    judged: str | None,
    status: int,
) -> None:
    exam = make_exam(exam_type=ExamType.TIMED, due_at=_due(clock, hours=1), hide_after_due=hides)
    attempt_id = jane.begun(exam)
    jane.act(attempt_id, "submit")
    if judged:
        staff = Page(client, clock, person(2, "boss", administrator=True))
        assert staff.act(attempt_id, judged).status_code == 200
    clock.advance(3600)
    assert _asked(jane, exam).status_code == status


def test_after_the_due_date_who_never_began_may_see_it(
    jane: Page, make_exam: MakeExam, clock: ManualClock
) -> None:
    exam = make_exam(exam_type=ExamType.TIMED, due_at=_due(clock, hours=1))
    clock.advance(3600)
    assert _asked(jane, exam).status_code == 200
    assert jane.get("/api/v1/access_tokens/exam_id/999").status_code == 404
