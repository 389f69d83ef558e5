"""Courses whose exams the LMS keeps itself, in edx-proctoring.

Pages of an LMS that has an exam service ask it, so us, about every course. Where the LMS's entry
says so (`Lms.forwards_exams`), we ask the LMS, as edx-exams does, and pages do the rest there.

A course is ours as long as it has a provider or an active exam here; then the LMS is not asked. It
is asked as ourselves, by the id that the learner's verified token has: his credentials stay here,
and he learns what the LMS would have told him. No answer is never taken for "no exam": a page would
show an exam's content to whoever comes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from flask import Response

from proctoring_hooks.exam import ClockOwner
from proctoring_hooks.publishing import PublishedExam
from proctoring_hooks.web.exam_service_callers import Caller
from proctoring_hooks.web.exam_service_errors import Problem, answer, bad_request
from proctoring_hooks.web.exam_service_store import ExamService, NotTold, ServiceSession, Told

AGAIN_S = 5
OK = (200,)
_OF_PATHS = (".", "..")


class KeptThere(Exception):
    """The LMS may have exams of this course: ask it, once no transaction is open."""

    def __init__(self, caller: Caller) -> None:
        super().__init__()
        self.caller = caller


def require_ours(session: ServiceSession, caller: Caller, course_id: str) -> None:
    """Raises: KeptThere, where the LMS's entry says so and nothing of the course is here."""
    lms = caller.lms
    if not lms.forwards_exams or session.service.course(lms.name, course_id).provider:
        return
    found = session.exams.of_course(lms.name, course_id, active_only=True)
    if not any(exam.clock_owner is ClockOwner.US for exam in found):
        raise KeptThere(caller)


# -- asking --------------------------------------------------------------------------------------


def student_exam(service: ExamService, caller: Caller, course_id: str, content_id: str) -> Response:
    """Without `active_attempt`, which this face answers at another address."""
    query = {"content_id": content_id, "is_learning_mfe": "true", "user_id": caller.user_id}
    path = f"/proctored_exam/attempt/course_id/{_in_path(course_id)}"
    told = _ask(service, caller, "GET", path, query=query)
    exam = told.document.get("exam") if isinstance(told.document, dict) else None
    if not isinstance(exam, dict):
        raise _untold()
    return answer({"exam": exam})


def active_attempt(service: ExamService, caller: Caller) -> Response:
    query = {"user_id": caller.user_id}
    told = _ask(service, caller, "GET", "/proctored_exam/active_attempt", query=query)
    if not isinstance(told.document, dict):
        raise _untold()
    return answer(told.document)


def provider_settings(service: ExamService, caller: Caller, exam_id: int) -> Response:
    """`exam_id` is the LMS's."""
    path = f"/proctored_exam/settings/exam_id/{exam_id}/"
    return _passed_on(_ask(service, caller, "GET", path, expected=(200, 400, 404)))


def onboarding(service: ExamService, caller: Caller, course_id: str, username: str) -> Response:
    """Of `username`, whom the caller may look at."""
    query = {"course_id": course_id, "username": username, "is_learning_mfe": "true"}
    path = "/user_onboarding/status"
    return _passed_on(_ask(service, caller, "GET", path, query=query, expected=(200, 404)))


def publish(
    service: ExamService, caller: Caller, course_id: str, exams: list[PublishedExam], given: Any
) -> Response:
    """`given` is what `exams` were read from."""
    body = [_registered(course_id, exam, item) for exam, item in zip(exams, given, strict=True)]
    path = f"/proctored_exam/exam_registration/course_id/{_in_path(course_id)}"
    return _passed_on(_ask(service, caller, "PATCH", path, body=body, expected=(200, 422)))


def _registered(course_id: str, exam: PublishedExam, item: Mapping[str, Any]) -> dict[str, Any]:
    """As edx-proctoring takes it. Studio sends the backend for it; here the course's is used."""
    backend = item.get("backend")
    return {
        "course_id": course_id,
        "content_id": exam.content_id,
        "exam_name": exam.exam_name,
        "time_limit_mins": exam.time_limit_mins,
        "due_date": exam.due_at.isoformat() if exam.due_at else None,
        "is_proctored": exam.exam_type.is_proctored,
        "is_practice_exam": exam.exam_type.is_practice,
        "is_active": exam.is_active,
        "hide_after_due": exam.hide_after_due,
    } | ({"backend": backend} if isinstance(backend, str) and backend else {})


def _in_path(course_id: str) -> str:
    """Raises: Problem 400: a course id that leads to another address of the LMS, where our token
    may do more than the caller."""
    if any(part in _OF_PATHS for part in course_id.split("/")):
        raise bad_request("There is no such course.")
    return course_id


def _ask(
    service: ExamService,
    caller: Caller,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    body: Any = None,
    expected: Collection[int] = OK,
) -> Told:
    """Raises: Problem 503."""
    try:
        return service.ask_lms(
            caller.lms, method, path, query=query or {}, body=body, expected=expected
        )
    except NotTold:
        raise _untold() from None


def _untold() -> Problem:
    """Whoever asks us for the LMS writes down why."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The LMS did not say whether there is an exam. Please try again; if it stays so, tell the "
        "operators of the exam service.",
        headers={"Retry-After": str(AGAIN_S)},
    )


def _passed_on(told: Told) -> Response:
    return answer(told.document, HTTPStatus(told.status))
