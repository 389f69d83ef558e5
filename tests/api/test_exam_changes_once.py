"""Every request that changes an exam or an attempt acts once under one Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam
from proctoring_hooks.grades import GradeState, Standing
from proctoring_hooks.transitions import Action
from proctoring_hooks.web import exam_service
from tests.api.callers import Site
from tests.proctoring.conftest import COURSE, EXAM, LMS
from tests.proctoring.sitting import LEARNER, registered, started
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.web.api.exams.routes import EXAM_ROUTES

WHY = {"reason": "fire alarm"}
BODIES: dict[str, Any] = {
    "PATCH /exams/<int:exam_id>": {"grace_s": 9},
    "POST /exams/<int:exam_id>/claims": {"kind": "problem", "value": "p"},
    "POST /exams/<int:exam_id>/claims/remove": {"kind": "problem", "value": "q"},
    "PUT /exams/<int:exam_id>/allowances/<user_id>": {"kind": "time_multiplier", "value": 2},
    "DELETE /exams/<int:exam_id>/allowances/<user_id>": None,
    "POST /exams/<int:exam_id>/accept-flagged": WHY,
    "POST /attempts/<int:attempt_id>/extend": WHY | {"minutes": 5},
    "POST /attempts/<int:attempt_id>/terminate": WHY,
    "POST /attempts/<int:attempt_id>/resume": WHY,
    "POST /attempts/<int:attempt_id>/ready": WHY,
    "POST /attempts/<int:attempt_id>/reset": WHY,
    "POST /attempts/<int:attempt_id>/review": {"verdict": "pass"},
    "POST /attempts/<int:attempt_id>/incidents": {
        "incident_id": "a",
        "kind": "phone",
        "severity": 0.5,
    },
    "POST /attempts/<int:attempt_id>/mark": WHY | {"factor": 0.5},
    "POST /attempts/<int:attempt_id>/accept": WHY,
    "POST /submissions/<int:submission_id>/accept": WHY,
    "POST /submissions/<int:submission_id>/refuse": WHY,
}
CHANGING = [f"{r.method} {r.path}" for r in EXAM_ROUTES if r.method != "GET" and r.path != "/time"]
HARMLESS = {"DELETE /exams/<int:exam_id>/allowances/<user_id>"}
"""Has no body and needs no key: what is gone is gone."""


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


def _started(store: ProctoringStore, exam: Exam) -> Attempt:
    return started(store, exam)


def _acted(*actions: Action) -> Callable[[ProctoringStore, Exam], Attempt]:
    def make(store: ProctoringStore, exam: Exam) -> Attempt:
        attempt = started(store, exam)
        with store.write() as session:
            for action in actions:
                attempt = attempts.act(session, attempt.id, action, LEARNER).attempt
        return attempt

    return make


MAKE: dict[str, Callable[[ProctoringStore, Exam], Attempt]] = {
    "resume": _acted(Action.ERROR),
    "review": _acted(Action.SUBMIT),
    "ready": registered,
}


def test_every_route_is_tried() -> None:
    assert sorted(CHANGING) == sorted(BODIES)


@pytest.mark.parametrize("route", CHANGING)
def test_a_change_that_is_sent_twice_is_done_once_and_answered_alike(
    site: Site, store: ProctoringStore, exam: Exam, route: str
) -> None:
    attempt = MAKE.get(route.rpartition("/")[2], _started)(store, exam)
    submission_id = site.desk.submit()
    with store.write() as session:
        flagged = (Standing.LATE, GradeState.FLAGGED)
        session.grades.add(submission_id, exam.id, attempt.id, *flagged, factor=1.0)
    chief = site.password(site.account("chief", Role.ADMIN, queue=ALL_QUEUES))
    if route.endswith("claims/remove"):
        claim = {"kind": "problem", "value": "q"}
        assert chief.call("POST", f"/exams/{exam.id}/claims", json=claim).status_code == 200
    method, _, path = route.partition(" ")
    parts = {
        "<int:exam_id>": exam.id,
        "<int:attempt_id>": attempt.id,
        "<int:submission_id>": submission_id,
        "<user_id>": 17,
    }
    for name, value in parts.items():
        path = path.replace(name, str(value))

    def send() -> Any:
        headers = {"Idempotency-Key": "k1"}
        return chief.call(method, path, json=BODIES[route], headers=headers)

    first = send()
    assert first.status_code in (200, 201, 204), first.get_data(as_text=True)
    done = _events(store, exam, attempt)
    again = send()
    assert (again.status_code, again.get_data()) == (first.status_code, first.get_data())
    assert _events(store, exam, attempt) == done
    assert again.headers.get("Idempotency-Replayed") == (None if route in HARMLESS else "true")


def _events(store: ProctoringStore, exam: Exam, attempt: Attempt) -> list[Any]:
    """All that a second time would add to."""
    with store.read() as session:
        found = session.attempts.even_removed(attempt.id)
        return [
            found.version,
            found.expires_at,
            len(session.attempts.history(attempt.id)),
            len(session.records.incidents(attempt.id)),
            session.exams.get(exam.id),
        ]


def test_every_change_of_the_exam_service_goes_through_its_keys(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of providers are known by the review itself, or change nothing the second time."""
    asked: list[str] = []

    def seen(service: Any, view: Callable[[], Any]) -> Any:
        asked.append(exam_service.request.path)
        return view()

    monkeypatch.setattr(exam_service, "once", seen)
    app: Flask = site.server.app
    without = set()
    for rule in app.url_map.iter_rules():
        methods = (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}
        if not rule.rule.startswith("/exams/") or not methods or "anything" in rule.rule:
            continue
        path = rule.rule.replace("<exam_course:course_id>", COURSE)
        for name in ("<int:attempt_id>", "<int:allowance_id>", "<int:exam_id>", "<external_id>"):
            path = path.replace(name, "1")
        before = len(asked)
        app.test_client().open(path, method=min(methods), json={})
        if len(asked) == before:
            without.add(path.rstrip("/").rpartition("/")[2])
    assert without == {"access_token", "ready", "reviewed", "proctoring_review_callback"}
