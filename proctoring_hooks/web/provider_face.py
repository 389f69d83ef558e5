"""The REST API of a proctoring provider, as edx-proctoring's REST backends call it: an LMS whose
backend has `{our address}/proctoring` as its base URL needs nothing else.

The LMS keeps exams, attempts and the clock, and tells us of them; what it is told in return goes
through the outbox. Its calls carry a JWT that it gets for its client id and secret, and reach what
is its own; everything else is not there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from proctoring_hooks import attempts, links
from proctoring_hooks.attempts import NotPossible
from proctoring_hooks.exam import Terms
from proctoring_hooks.lms import Lms
from proctoring_hooks.store import NotFound, Overtaken, Session, Store
from proctoring_hooks.transitions import Action, Actor, By, Refused
from proctoring_hooks.web import (
    provider_attempts,
    provider_exams,
    provider_learners,
    provider_tokens,
)
from proctoring_hooks.web.provider_bodies import (
    MAX_BODY,
    BadBody,
    TooLarge,
    is_storable,
    read_object,
)
from proctoring_hooks.web.provider_exams import Taken
from proctoring_hooks.web.provider_tokens import BadToken, Instructor

PREFIX = "/proctoring"
API = "/api/v1"
TOKEN_PATHS = ("/oauth2/access_token", "/edx/oauth2/access_token")
"""The second as one vendor's backend has it; both also with a slash at the end."""
NAME = "XQueue"
LONGEST_CLIENT_ID = 128
TRIES = 3
"""Two that save the same new exam at the same moment: the second finds it."""

log = logging.getLogger(__name__)


class Guesses(Protocol):
    """Counts wrong secrets."""

    def wait_s(self, name: str, address: str) -> int: ...

    def record(self, name: str, address: str) -> None: ...

    def forgive(self, name: str, address: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleWish:
    """Which part of the console an instructor comes for."""

    lms: str
    course_id: str
    who: Instructor
    exam_id: int | None = None
    attempt_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFace:
    """What the blueprint needs."""

    store: Store
    base_url: str
    """Public address of this server, without a slash at its end."""
    token_key: bytes = field(repr=False)
    link_key: bytes = field(repr=False)
    open_console: Callable[[ConsoleWish], Response]
    """Begins a session at the console for whom the LMS has sent, and goes there."""
    course_terms: Callable[[Session, str, str], Terms]
    """Of (session, LMS, course): what an exam begins with."""
    retire: Callable[[Lms, str], bool]
    """Erase all that is stored of the learner with this obscured id, be there anything or not.
    False: it could not be done now."""
    guesses: Guesses
    address: Callable[[], str]
    """Of the client that asks."""
    request_id: Callable[[], str]


def provider_face(face: ProviderFace) -> Blueprint:
    routes = Blueprint("proctoring_provider", __name__, url_prefix=PREFIX)

    def add(rule: str, method: str, view: Callable[..., Response]) -> None:
        routes.add_url_rule(
            rule,
            endpoint=f"{method} {rule}".replace(".", "-"),
            view_func=view,
            methods=[method],
            strict_slashes=False,
            provide_automatic_options=False,
        )

    def serve(rule: str, method: str, view: Callable[..., Response]) -> None:
        """For an LMS that has shown its token."""

        def answer(**ids: str) -> Response:
            return view(face, _caller(face), **ids)

        add(f"{API}{rule}", method, answer)

    for path in TOKEN_PATHS:
        add(path, "POST", lambda: _token(face))
        add(f"{path}/", "POST", lambda: _token(face))
    serve("/config/", "GET", _config)
    serve("/exam/", "POST", _save_exam)
    serve("/exam/<exam_id>/", "POST", _save_exam)
    serve("/exam/<exam_id>/", "GET", _show_exam)
    serve("/exam/<exam_id>/attempt/", "POST", _register)
    serve("/exam/<exam_id>/attempt/<attempt_id>/", "GET", _show_attempt)
    serve("/exam/<exam_id>/attempt/<attempt_id>/", "PATCH", _change_attempt)
    serve("/exam/<exam_id>/attempt/<attempt_id>/", "DELETE", _remove_attempt)
    serve("/user/<user_id>/", "DELETE", _retire)
    serve("/courses/<path:course_id>/onboarding_statuses", "GET", _onboarding_statuses)
    add(f"{API}/instructor/<client_id>/", "GET", lambda client_id: _instructor(face, client_id))
    add(links.PATH.removeprefix(PREFIX), "GET", _which_attempt)
    for kind, answered in _ANSWERS.items():
        routes.register_error_handler(kind, answered)
    return routes


# -- tokens --------------------------------------------------------------------------------------


def _token(face: ProviderFace) -> Response:
    """RFC 6749, section 4.4: the form of a client-credentials grant, or the credentials by Basic
    authentication; errors as in section 5.2."""
    request.max_content_length = MAX_BODY
    client_id, client_secret = _credentials()
    if request.form.get("grant_type") != "client_credentials":
        return _json({"error": "unsupported_grant_type"}, HTTPStatus.BAD_REQUEST)
    if not client_id or len(client_id) > LONGEST_CLIENT_ID or not is_storable(client_id):
        return _json({"error": "invalid_request"}, HTTPStatus.BAD_REQUEST)
    wait_s = face.guesses.wait_s(client_id, face.address())
    if wait_s:
        response = _json({"error": "slow_down"}, HTTPStatus.TOO_MANY_REQUESTS)
        response.headers["Retry-After"] = str(wait_s)
        return response
    with face.store.read() as session:
        lms = provider_tokens.lms_of_credentials(session, client_id, client_secret)
        now = session.now
    if lms is None:
        face.guesses.record(client_id, face.address())
        log.warning("wrong client credentials", extra={"action": "lms_not_signed_in"})
        response = _json({"error": "invalid_client"}, HTTPStatus.UNAUTHORIZED)
        response.headers["WWW-Authenticate"] = "Basic"
        return response
    face.guesses.forgive(client_id, face.address())
    return _json(
        {
            "access_token": provider_tokens.issue(face.token_key, lms, now=now),
            "expires_in": provider_tokens.LIFETIME_S,
            "token_type": "JWT",
            "scope": "",
        }
    )


def _credentials() -> tuple[str, str]:
    basic = request.authorization
    if basic is not None and basic.type == "basic":
        return basic.username or "", basic.password or ""
    return request.form.get("client_id", ""), request.form.get("client_secret", "")


def _caller(face: ProviderFace) -> Lms:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() not in ("jwt", "bearer"):
        raise BadToken(f"Send the token of {PREFIX}{TOKEN_PATHS[0]} as Authorization: JWT …")
    with face.store.read() as session:
        return provider_tokens.lms_of_token(session, face.token_key, token.strip())


def _by(face: ProviderFace, lms: Lms) -> By:
    return By(actor=Actor.LMS, who=f"lms {lms.name}", request_id=face.request_id())


# -- the provider itself -------------------------------------------------------------------------


def _config(face: ProviderFace, _lms: Lms) -> Response:
    return _json(
        {
            "name": NAME,
            "download_url": f"{face.base_url}{links.PATH}",  # each attempt has its own
            "rules": provider_exams.RULES,
            "instructions": [],
        }
    )


def _which_attempt() -> Response:
    return _text("Open your exam in the course: its page has the link to that of your attempt.")


# -- exams ---------------------------------------------------------------------------------------


def _save_exam(face: ProviderFace, lms: Lms, **_known_as: str) -> Response:
    body = read_object(request)
    new = provider_exams.read(lms, body)
    for remaining in reversed(range(TRIES)):
        try:
            with face.store.write() as session:
                terms = face.course_terms(session, lms.name, new.course_id)
                exam = provider_exams.save(session, new, body, terms)
            return _json({"id": exam.external_id})
        except Overtaken:
            if not remaining:
                raise
    raise AssertionError("the last try returns or raises")


def _show_exam(face: ProviderFace, lms: Lms, exam_id: str) -> Response:
    with face.store.read() as session:
        exam = provider_exams.find(session, lms.name, exam_id)
    return _json(provider_exams.shown(exam))


# -- attempts ------------------------------------------------------------------------------------


def _register(face: ProviderFace, lms: Lms, exam_id: str) -> Response:
    """200, and nothing else, is a success to the LMS."""
    body = read_object(request)
    with face.store.write() as session:
        exam = provider_exams.find(session, lms.name, exam_id)
        registered = provider_attempts.register(session, exam, body, _by(face, lms))
    if registered.attempt is None:
        return _json({"status": registered.refusal})
    return _json({"id": registered.attempt.external_id, "status": registered.attempt.status})


def _show_attempt(face: ProviderFace, lms: Lms, exam_id: str, attempt_id: str) -> Response:
    with face.store.read() as session:
        attempt = provider_attempts.find(session, lms, exam_id, attempt_id)
        exam = session.exams.get(attempt.exam_id)
        now = session.now
    link = links.attempt_link(face.link_key, face.base_url, attempt.id, now=now)
    return _json(provider_attempts.shown(exam, attempt, link=link, now=now))


def _change_attempt(face: ProviderFace, lms: Lms, exam_id: str, attempt_id: str) -> Response:
    """The LMS has done it already and does not look at the answer's code: a refusal is logged."""
    action = provider_attempts.action_of(read_object(request))
    with face.store.write() as session:
        attempt = provider_attempts.find(session, lms, exam_id, attempt_id)
        told = provider_attempts.take(session, attempt, action, _by(face, lms))
    if told.refused is not None:
        log.warning(
            "an LMS did to an attempt what is not possible here",
            extra={
                "action": "lms_refused",
                "lms": lms.name,
                "attempt_id": attempt.id,
                "why": str(told.refused),
            },
        )
        raise told.refused
    return _json({"id": told.attempt.external_id, "status": told.attempt.status})


def _remove_attempt(face: ProviderFace, lms: Lms, exam_id: str, attempt_id: str) -> Response:
    with face.store.write() as session:
        attempt = provider_attempts.find(session, lms, exam_id, attempt_id)
        attempts.act(session, attempt.id, Action.RESET, _by(face, lms))
    return _json({"status": "deleted"})


# -- learners ------------------------------------------------------------------------------------


def _retire(face: ProviderFace, lms: Lms, user_id: str) -> Response:
    """true, also of somebody of whom nothing is known: nothing is known of him afterwards. false
    makes the LMS's retirement fail, so that it is asked for again."""
    if not provider_attempts.OBSCURED_ID.fullmatch(user_id):
        return _json(False, HTTPStatus.BAD_REQUEST)
    if not face.retire(lms, user_id):
        log.warning(
            "a learner could not be retired now",
            extra={"action": "learner_not_retired", "lms": lms.name},
        )
        return _json(False, HTTPStatus.CONFLICT)
    log.info("a learner was retired", extra={"action": "learner_retired", "lms": lms.name})
    return _json(True)


def _onboarding_statuses(face: ProviderFace, lms: Lms, course_id: str) -> Response:
    asked = provider_learners.read(request.args)
    if not is_storable(course_id):
        raise NotFound("No such course")
    url = f"{face.base_url}{quote(request.path, safe='/+:@')}"
    with face.store.read() as session:
        return _json(provider_learners.statuses(session, lms, course_id, asked, url=url))


# -- instructors ---------------------------------------------------------------------------------


def _instructor(face: ProviderFace, client_id: str) -> Response:
    """A person's browser, sent by the LMS: no token of ours, but one that the LMS has signed."""
    if request.method != "GET":  # HEAD: who only looks whether the link is good must not use it up
        return _text("Open this link with GET.", HTTPStatus.METHOD_NOT_ALLOWED)
    try:
        lms, taken = _instructor_pass(face, client_id, request.args.get("jwt", ""))
    except BadToken as error:
        return _text(str(error), HTTPStatus.UNAUTHORIZED)
    with face.store.read() as session:
        wish = _wish(session, lms, taken)
    log.info(
        "an LMS sent an instructor",
        extra={"action": "console_opened", "lms": lms.name, "course": wish.course_id},
    )
    return face.open_console(wish)


def _instructor_pass(
    face: ProviderFace, client_id: str, token: str
) -> tuple[Lms, provider_tokens.InstructorPass]:
    """Raises: BadToken."""
    with face.store.write() as session:
        lms = session.lms_by_client_id(client_id) if is_storable(client_id) else None
        if lms is None:
            raise BadToken("No LMS is known here by that name")
        return lms, provider_tokens.take_instructor_pass(session, lms, token)


def _wish(session: Session, lms: Lms, taken: provider_tokens.InstructorPass) -> ConsoleWish:
    """Exam and attempt as far as they are that course's; else the course as a whole."""
    exam_id = attempt_id = None
    try:
        if taken.exam is not None:
            exam = provider_exams.find(session, lms.name, taken.exam)
            exam_id = exam.id if exam.course_id == taken.course_id else None
        if exam_id is not None and taken.exam is not None and taken.attempt is not None:
            attempt_id = provider_attempts.find(session, lms, taken.exam, taken.attempt).id
    except NotFound:
        pass
    return ConsoleWish(
        lms=lms.name,
        course_id=taken.course_id,
        who=taken.instructor,
        exam_id=exam_id,
        attempt_id=attempt_id,
    )


# -- answers -------------------------------------------------------------------------------------


def _json(document: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(
        json.dumps(document),
        status=status,
        mimetype="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def _text(message: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """For a person."""
    return Response(
        f"{message}\n",
        status=status,
        mimetype="text/plain",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def _problem(status: HTTPStatus, code: str, message: str) -> Response:
    return _json({"code": code, "message": message}, status)


def _answer(status: HTTPStatus, code: str) -> Callable[[Exception], Response]:
    return lambda error: _problem(status, code, str(error))


def _not_possible(error: NotPossible) -> Response:
    return _problem(HTTPStatus.CONFLICT, error.code, str(error))


def _http_error(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or 500)
    if isinstance(error, RequestEntityTooLarge):
        return _problem(status, "too_large", f"The body may have {MAX_BODY} bytes at most")
    return _problem(status, "http", error.name)


_ANSWERS: dict[type[Exception], Callable[[Any], Response]] = {
    BadToken: _answer(HTTPStatus.UNAUTHORIZED, "not_signed_in"),
    BadBody: _answer(HTTPStatus.BAD_REQUEST, "bad_request"),
    TooLarge: _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"),
    NotFound: _answer(HTTPStatus.NOT_FOUND, "not_found"),
    Refused: _answer(HTTPStatus.CONFLICT, "refused"),
    Taken: _answer(HTTPStatus.CONFLICT, "taken"),
    Overtaken: _answer(HTTPStatus.CONFLICT, "overtaken"),
    NotPossible: _not_possible,
    HTTPException: _http_error,
}
