"""The exam service under /exams, with the addresses and shapes of edx-exams: the browser library of
Open edX (EXAMS_BASE_URL=https://host/exams) and Studio (EXAMS_SERVICE_URL=…/exams/api/v1) find here
what they expect there. Attempts that begin here have our clock.

A provider that we use finds edx-proctoring's callbacks under the same prefix. The library's HTTP
client asks for a CSRF token at the root of the host before it changes anything; it gets one, though
nothing here depends on it (see `exam_service_callers`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from proctoring_hooks.web import exam_service_access as access
from proctoring_hooks.web import exam_service_attempts as learners
from proctoring_hooks.web import exam_service_courses as courses
from proctoring_hooks.web import exam_service_pages as pages
from proctoring_hooks.web import exam_service_providers as providers
from proctoring_hooks.web.exam_service_errors import Problem, answer, bad_request, not_found
from proctoring_hooks.web.exam_service_once import HEADER as IDEMPOTENCY_KEY
from proctoring_hooks.web.exam_service_once import once
from proctoring_hooks.web.exam_service_store import ExamService
from proctoring_hooks.web.exam_service_time import MOST_A_SECOND, Rate, tell_time

PREFIX = "/exams"
API = f"{PREFIX}/api/v1"
PROCTORING = f"{PREFIX}/api/edx_proctoring"
CSRF = "/csrf/api/v1/token"
ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE"
ALLOWED_HEADERS = (
    "Accept, Accept-Language, Authorization, Content-Type, Use-Jwt-Cookie, X-CSRFToken, "
    f"X-Requested-With, {IDEMPOTENCY_KEY}"
)
PREFLIGHT_S = 600
LARGEST_ID = 10**18
ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

View = Callable[..., Response]


class CourseConverter(BaseConverter):
    """org+course+run, or org/course/run as old courses have it."""

    regex = r"[^/+]+(?:/|\+)[^/+]+(?:/|\+)[^/?]+"
    part_isolating = False


def exam_service(service: ExamService) -> Blueprint:
    routes = Blueprint("exam_service", __name__)
    routes.record_once(_add_converter)
    rate = Rate(MOST_A_SECOND, service.monotonic_s)
    add = partial(_add, routes, service)
    course, attempt, exam = "<exam_course:course_id>", "<int:attempt_id>", "<int:exam_id>"

    of_course = f"{API}/exams/course_id/{course}"
    add(f"{of_course}/allowances/<int:allowance_id>", courses.disallow, "DELETE")
    add(f"{of_course}/allowances", courses.allowances, "GET")
    add(f"{of_course}/allowances", courses.allow, "POST")
    add(of_course, courses.published, "GET")
    add(of_course, courses.publish, "PATCH")
    add(f"{API}/configs/course_id/{course}", courses.configuration, "GET")
    add(f"{API}/configs/course_id/{course}", courses.configure, "PATCH")
    add(f"{API}/provider", courses.providers, "GET", name="provider")
    add(f"{API}/providers", courses.providers, "GET")
    add(
        f"{API}/exam/provider_settings/course_id/{course}/exam_id/{exam}",
        courses.provider_settings,
        "GET",
    )
    add(f"{API}/instructor_view/course_id/{course}/attempts", courses.attempts_of_course, "GET")
    add(f"{API}/student/course_id/{course}/onboarding", courses.onboarding, "GET")

    add(f"{API}/exams/attempt", learners.begin, "POST")
    add(f"{API}/exams/attempt/latest", learners.latest, "GET")
    add(f"{API}/exams/attempt/{attempt}", learners.act, "PUT")
    add(f"{API}/exams/attempt/{attempt}", learners.delete, "DELETE")
    add(
        f"{API}/student/exam/attempt/course_id/{course}/content_id/<path:content_id>",
        learners.student_exam,
        "GET",
        with_slash=False,
    )
    add(f"{API}/access_tokens/exam_id/{exam}", access.access_token, "GET")
    add(f"{API}/.well-known/jwks.json", access.public_keys, "GET")
    add(f"{API}/time", lambda service: tell_time(service.time_s, rate), "POST", name="time")

    add(f"{PREFIX}/lti/start_proctoring/{attempt}", pages.get_ready, "GET")
    add(f"{PREFIX}/lti/end_assessment/{attempt}", pages.end, "GET", "POST")

    add(f"{PREFIX}/oauth2/access_token", providers.sign_in, "POST", is_once=False)
    of_provider = f"{PROCTORING}/v1/proctored_exam/attempt/<external_id>"
    add(f"{of_provider}/ready", providers.ready, "POST", is_once=False)
    add(f"{of_provider}/reviewed", providers.reviewed, "POST", is_once=False)
    add(
        f"{PROCTORING}/proctoring_review_callback",
        providers.software_secure_review,
        "POST",
        is_once=False,
    )
    add(f"{PREFIX}/health", _health, "GET")
    add(CSRF, _csrf_token, "GET")
    # What is nothing else; preflights of everything.
    add(CSRF, _nothing, "OPTIONS", name="csrf_preflight", with_slash=False)
    add(f"{PREFIX}/", _nothing, *ALL_METHODS, name="root", with_slash=False)
    add(f"{PREFIX}/<path:anything>", _nothing, *ALL_METHODS, name="nothing", with_slash=False)
    return routes


def _add_converter(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["exam_course"] = CourseConverter


def _add(
    routes: Blueprint,
    service: ExamService,
    rule: str,
    view: View,
    *methods: str,
    name: str = "",
    with_slash: bool = True,
    is_once: bool = True,
) -> None:
    """Clients are of two minds about the slash at the end; both are right."""
    name = name or f"{view.__name__.strip('_')}_{'_'.join(methods).lower()}"
    rules = {name: rule} | ({f"{name}_slash": f"{rule}/"} if with_slash else {})

    def serve(**parts: str | int) -> Response:
        return _served(service, partial(view, service, **parts), parts, is_once=is_once)

    for endpoint, each in rules.items():
        routes.add_url_rule(
            each,
            endpoint=endpoint,
            view_func=serve,
            methods=methods,
            provide_automatic_options=False,
        )


# -- around every request ------------------------------------------------------------------------


def _served(
    service: ExamService,
    view: Callable[[], Response],
    parts: Mapping[str, str | int],
    *,
    is_once: bool,
) -> Response:
    try:
        _check_address()
        if any(isinstance(part, int) and part > LARGEST_ID for part in parts.values()):
            raise not_found()
        response = once(service, view) if is_once else view()
    except Problem as problem:
        response = problem.response()
    except service.unavailable:
        response = answer(
            {"detail": "Temporarily unavailable. Please try again."},
            HTTPStatus.SERVICE_UNAVAILABLE,
            {"Retry-After": "2"},
        )
    return _for_pages(service, response)


def _check_address() -> None:
    if "\0" in request.path or any("\0" in value for value in request.args.values()):
        raise bad_request("An address can not have NUL in it.")


def _for_pages(service: ExamService, response: Response) -> Response:
    """Pages of an LMS that we serve may read it, with their cookies; no others."""
    origin = request.headers.get("Origin")
    response.headers.add("Vary", "Origin")
    if origin is not None and _is_known(service, origin):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
    return response


def _is_known(service: ExamService, origin: str) -> bool:
    try:
        with service.store.read() as session:
            return any(origin in lms.pages for lms in session.lmses.all())
    except service.unavailable:
        return False


def _nothing(_service: ExamService, **_anything: str) -> Response:
    if request.method != "OPTIONS":
        raise not_found()
    response = Response(status=HTTPStatus.NO_CONTENT)
    response.headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
    response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
    response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_S)
    return response


# -- small views ---------------------------------------------------------------------------------


def _health(service: ExamService) -> Response:
    try:
        with service.store.read() as session:
            is_well = session.now is not None
    except service.unavailable:
        is_well = False
    word = "OK" if is_well else "UNAVAILABLE"
    return answer(
        {"overall_status": word, "detailed_status": {"database_status": word}},
        HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE,
    )


def _csrf_token(_service: ExamService) -> Response:
    return answer({"csrfToken": secrets.token_urlsafe(32)})
