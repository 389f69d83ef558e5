"""What Studio and course staff do with a course: publish its exams, choose a provider, grant
allowances, list attempts.

What was published here is served here, with a provider or without one (timed exams need none). Of
courses of which nothing is here, an LMS that keeps exams, too, is asked (see `exam_service_kept`);
else their content is answered as no exam, which pages show as they show any content.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from proctoring_hooks import publishing
from proctoring_hooks.clock import Allowance, AllowanceKind
from proctoring_hooks.exam import ClockOwner, Exam
from proctoring_hooks.incidents import Incident
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.publishing import BadExams, Errors
from proctoring_hooks.store import NotFound
from proctoring_hooks.web import exam_service_kept as kept
from proctoring_hooks.web.exam_service_callers import Caller, caller_of, require_user
from proctoring_hooks.web.exam_service_errors import (
    MAX_PUBLISHED,
    answer,
    bad_request,
    forbidden,
    given,
    given_object,
    not_found,
)
from proctoring_hooks.web.exam_service_shapes import (
    allowance_shape,
    exam_shape,
    instructor_shape,
)
from proctoring_hooks.web.exam_service_store import (
    ExamService,
    Person,
    ServiceSession,
    awaited_id,
    shown,
)

PAGE = 25
LARGEST_PAGE = 100
MOST_ALLOWANCES = 500
MOST_EXTRA_MINS = 7 * 24 * 60
INVALID = "Invalid data"
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


def staff_of(session: ServiceSession, course_id: str) -> Caller:
    """Raises: Problem 401, 403."""
    caller = caller_of(session, request)
    if not caller.is_staff_of(session, course_id):
        raise forbidden()
    return caller


def person_of_staff(session: ServiceSession, course_id: str) -> Caller:
    """For what names learners, or is theirs. Raises: Problem 401, 403: also for Studio."""
    return require_user(staff_of(session, course_id))


# -- exams ---------------------------------------------------------------------------------------


def publish(service: ExamService, course_id: str) -> Response:
    with service.store.read() as session:
        staff_of(session, course_id)  # before two megabytes are read
    body = given(MAX_PUBLISHED)
    try:
        exams = publishing.read_exams(body)
        with service.store.write() as session:
            caller = staff_of(session, course_id)
            kept.require_ours(session, caller, course_id)
            lms = caller.lms.name
            course = session.service.course(lms, course_id, lock=True)
            terms = replace(course.terms, provider=course.provider)
            publishing.publish(session, lms, course_id, exams, terms=terms, new_id=service.new_id)
    except BadExams as error:
        raise bad_request(INVALID, error.errors) from None
    except kept.KeptThere as there:
        return kept.publish(service, there.caller, course_id, exams, body)
    return answer({})


def published(service: ExamService, course_id: str) -> Response:
    with service.store.read() as session:
        lms = staff_of(session, course_id).lms.name
        return answer([exam_shape(exam) for exam in _ours(session, lms, course_id)])


def _ours(session: ServiceSession, lms: str, course_id: str) -> Sequence[Exam]:
    found = session.exams.of_course(lms, course_id, active_only=True)
    return [exam for exam in found if exam.clock_owner is ClockOwner.US]


# -- configuration -------------------------------------------------------------------------------


def configuration(service: ExamService, course_id: str) -> Response:
    with service.store.read() as session:
        caller = caller_of(session, request)
        course = session.service.course(caller.lms.name, course_id)
    return answer(
        {"provider": course.provider or None, "escalation_email": course.escalation_email or None}
    )


def configure(service: ExamService, course_id: str) -> Response:
    with service.store.write() as session:
        lms = staff_of(session, course_id).lms.name
        body = given_object()
        names = {provider.name for provider in session.providers()}
        provider, email = _configuration_of(body, names)
        course = session.service.course(lms, course_id, lock=True)
        session.service.set_course(
            lms, course_id, replace(course, provider=provider, escalation_email=email)
        )
        publishing.change_provider(session, lms, course_id, provider, new_id=service.new_id)
    return Response(status=204)


def _configuration_of(body: dict[str, Any], names: set[str]) -> tuple[str, str]:
    errors: Errors = {}
    provider, email = body.get("provider"), body.get("escalation_email")
    if "provider" not in body:
        errors["provider"] = ["This field is required."]
    elif provider is not None and not (isinstance(provider, str) and provider in names):
        errors["provider"] = ["Proctoring provider does not exist."]
    if email is not None and not (isinstance(email, str) and _EMAIL.fullmatch(email)):
        errors["escalation_email"] = ["Enter a valid email address."]
    elif provider is None and email is not None:
        errors["non_field_errors"] = ["Escalation email must be None when provider is None."]
    if errors:
        raise bad_request(INVALID, errors)
    return provider or "", email or ""


def providers(service: ExamService) -> Response:
    organization = request.args.get("org")
    with service.store.read() as session:
        caller_of(session, request)
        found = session.providers()
    return answer(
        [
            {
                "name": each.name,
                "verbose_name": shown(each, "verbose_name") or each.name,
                "lti_configuration_id": "",
            }
            for each in found
            if organization is None or shown(each, "org_key") in (None, organization)
        ]
    )


def provider_settings(service: ExamService, course_id: str, exam_id: int) -> Response:
    try:
        with service.store.read() as session:
            caller = require_user(caller_of(session, request))
            kept.require_ours(session, caller, course_id)
            exam = exam_of_course(session, caller, course_id, exam_id)
            course = session.service.course(caller.lms.name, course_id)
            found = [p for p in session.providers() if p.name == exam.terms.provider]
    except kept.KeptThere as there:
        return kept.provider_settings(service, there.caller, exam_id)
    support = _support(found[0]) if found else {}
    return answer(support | {"proctoring_escalation_email": course.escalation_email or None})


def onboarding(service: ExamService, course_id: str) -> Response:
    """We keep no onboarding profiles; an LMS may. `username`: of another, for staff."""
    try:
        with service.store.read() as session:
            caller = require_user(caller_of(session, request))
            username = request.args.get("username") or caller.person.username
            is_himself = username == caller.person.username
            if not username or not (is_himself or caller.is_staff_of(session, course_id)):
                raise forbidden()
            kept.require_ours(session, caller, course_id)
            raise not_found(f"No onboarding exam in {course_id}")
    except kept.KeptThere as there:
        return kept.onboarding(service, there.caller, course_id, username)


def _support(provider: Entry) -> dict[str, str | None]:
    return {
        "provider_tech_support_email": shown(provider, "tech_support_email"),
        "provider_tech_support_phone": shown(provider, "tech_support_phone"),
        "provider_tech_support_url": shown(provider, "tech_support_url"),
        "provider_name": shown(provider, "verbose_name") or provider.name,
    }


def exam_of_course(session: ServiceSession, caller: Caller, course_id: str, exam_id: int) -> Exam:
    """Raises: Problem 404."""
    exam = exam_of_lms(session, caller, exam_id)
    if exam.course_id != course_id:
        raise not_found("Exam does not exist in course")
    return exam


def exam_of_lms(session: ServiceSession, caller: Caller, exam_id: int) -> Exam:
    """Raises: Problem 404: also for another LMS's."""
    try:
        exam = session.exams.get(exam_id)
    except NotFound:
        raise not_found("Exam does not exist") from None
    if exam.lms != caller.lms.name or exam.clock_owner is not ClockOwner.US:
        raise not_found("Exam does not exist")
    return exam


# -- attempts ------------------------------------------------------------------------------------


def attempts_of_course(service: ExamService, course_id: str) -> Response:
    """Of one exam (`exam_id`), page by page (`limit`, `offset`)."""
    exam_id = _number("exam_id", None, most=1 << 62)
    limit = min(_number("limit", PAGE, most=1 << 31) or PAGE, LARGEST_PAGE)
    offset = _number("offset", 0, most=1 << 31)
    with service.store.read() as session:
        caller = person_of_staff(session, course_id)
        exam = exam_of_course(session, caller, course_id, exam_id)
        count = session.service.count_of_exam(exam.id)
        found = session.service.attempts_of_exam(exam.id, limit=limit, offset=offset)
        ids = [attempt.learner.user_id for attempt in found]
        people = session.service.people(caller.lms.name, ids)
        results = [
            instructor_shape(
                exam,
                attempt,
                username=people.get(attempt.learner.user_id, Person()).username,
                gravest=_gravest(session.records.incidents(attempt.id)),
            )
            for attempt in found
        ]
    service.looked(f"exam {exam.id}", caller.who)
    after, before = offset + limit, max(0, offset - limit)
    return answer(
        {
            "count": count,
            "next": _page(service, exam.id, limit, after) if after < count else None,
            "previous": _page(service, exam.id, limit, before) if offset > 0 else None,
            "results": results,
        }
    )


def _gravest(incidents: Sequence[Incident]) -> Incident | None:
    return max(incidents, key=lambda each: each.severity, default=None)


def _page(service: ExamService, exam_id: int, limit: int, offset: int) -> str:
    query = {"exam_id": exam_id, "limit": limit} | ({"offset": offset} if offset else {})
    return f"{service.base_url}{request.path}?{urlencode(query)}"


def _number(name: str, default: int | None, *, most: int) -> int:
    text = request.args.get(name)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch(r"[0-9]{1,18}", text) or int(text) > most:
        raise bad_request(f"{name} must be a whole number.")
    return int(text)


# -- allowances ----------------------------------------------------------------------------------


def allowances(service: ExamService, course_id: str) -> Response:
    with service.store.read() as session:
        caller = person_of_staff(session, course_id)
        lms = caller.lms.name
        exams = {exam.id: exam for exam in _ours(session, lms, course_id)}
        found = session.service.allowances_of(list(exams))
        people = session.service.people(lms, [each.user_id for each in found])
    for exam_id in sorted({each.exam_id for each in found}):
        service.looked(f"exam {exam_id}", caller.who)
    return answer(
        [allowance_shape(exams[each.exam_id], each, people.get(each.user_id)) for each in found]
    )


def allow(service: ExamService, course_id: str) -> Response:
    """All of the list, or nothing. Learners who have not been here yet find theirs waiting."""
    with service.store.write() as session:
        caller = person_of_staff(session, course_id)
        body = given()
        exams = {exam.id: exam for exam in _ours(session, caller.lms.name, course_id)}
        if not isinstance(body, list) or len(body) > MOST_ALLOWANCES:
            raise bad_request(
                INVALID,
                {"non_field_errors": [f"Expected a list of at most {MOST_ALLOWANCES} items."]},
            )
        errors = [_errors_of(item, exams) for item in body]
        if any(errors):
            raise bad_request(INVALID, errors)
        for item in body:
            _allow(session, caller, item)
    return answer(None)


def _errors_of(item: Any, exams: dict[int, Exam]) -> Errors:
    if not isinstance(item, dict):
        return {"non_field_errors": ["Invalid data. Expected a dictionary."]}
    errors: Errors = {}
    if not _name_of(item):
        errors["username"] = ["username or email must be provided"]
    exam_id, minutes = item.get("exam_id"), item.get("extra_time_mins")
    if not isinstance(exam_id, int) or isinstance(exam_id, bool) or exam_id not in exams:
        errors["exam_id"] = ["There is no such exam in this course."]
    if (
        not isinstance(minutes, int)
        or isinstance(minutes, bool)
        or not 0 <= minutes <= MOST_EXTRA_MINS
    ):
        errors["extra_time_mins"] = [f"A whole number from 0 to {MOST_EXTRA_MINS} is required."]
    return errors


def _name_of(item: dict[str, Any]) -> str:
    for field in ("username", "email"):
        value = item.get(field)
        if isinstance(value, str) and 0 < len(value.strip()) <= 320:
            return value.strip()
    return ""


def _allow(session: ServiceSession, caller: Caller, item: dict[str, Any]) -> None:
    name, lms = _name_of(item), caller.lms.name
    user_id = session.service.person_named(lms, name)
    if user_id is None:
        user_id = awaited_id(name)
        awaited = Person(email=name) if "@" in name else Person(username=name)
        session.learners.tell(lms, user_id, **asdict(awaited))
    allowance = Allowance(
        kind=AllowanceKind.ADDITIONAL_MINUTES, value=float(item["extra_time_mins"])
    )
    session.exams.allow(item["exam_id"], user_id, allowance, who=caller.who)


def disallow(service: ExamService, course_id: str, allowance_id: int) -> Response:
    with service.store.write() as session:
        caller = person_of_staff(session, course_id)
        found = session.service.allowance(allowance_id)
        if found is None:
            raise not_found("Allowance does not exist")
        exam_of_course(session, caller, course_id, found.exam_id)
        session.exams.allow(found.exam_id, found.user_id, None, who=caller.who)
    return Response(status=204)
