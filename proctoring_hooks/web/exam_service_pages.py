"""The two addresses that the browser library sends a learner to: to get ready for a proctored exam,
and to end it. It has no other way to end one.

A browser brings the LMS's cookies to an address, whoever sent it there. So ending an exam takes a
page of the LMS as the one that sent it (Referer), or a press on a button of ours.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Response, request
from markupsafe import escape

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import ClockOwner, Exam
from proctoring_hooks.store import NotFound
from proctoring_hooks.transitions import Action, Actor, By, Refused
from proctoring_hooks.web.exam_service_callers import (
    Caller,
    caller_of_token,
    cookie_token,
)
from proctoring_hooks.web.exam_service_errors import Problem, content
from proctoring_hooks.web.exam_service_shapes import exam_url
from proctoring_hooks.web.exam_service_store import ExamService, ServiceSession

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action {}; frame-ancestors 'none'"


def get_ready(service: ExamService, attempt_id: int) -> Response:
    """On to the page where the learner gets ready; changes nothing."""
    with service.store.read() as session:
        _caller, exam, attempt = _own_attempt(session, attempt_id)
        where = service.page_of(exam, attempt)
    if where is None:
        return _page(
            "Nothing to prepare",
            "<p>This exam has no page to get ready on. Go back to it; it starts when your proctor "
            "lets it.</p>",
        )
    return _redirect(where)


def end(service: ExamService, attempt_id: int) -> Response:
    """Submits, and sends the learner back to the exam; asks first, if another page sent him."""
    if request.method == "POST":
        content()
    with service.store.write() as session:
        caller, exam, attempt = _own_attempt(session, attempt_id)
        right = _form_token(service.token_key, caller, attempt)
        if request.method == "POST":
            sent = request.form.get("token", "")
            is_meant = hmac.compare_digest(right.encode(), sent.encode("utf-8", "replace"))
        else:
            is_meant = _came_from(caller)
        if not is_meant:
            return _question(caller, exam, right)
        by = By(actor=Actor.LEARNER, who="learner", request_id=service.request_id())
        with suppress(Refused):  # it has ended, or has not begun: the exam's page says so
            attempts.act(session, attempt.id, Action.SUBMIT, by)
        return _redirect(exam_url(caller.lms, exam))


def _own_attempt(session: ServiceSession, attempt_id: int) -> tuple[Caller, Exam, Attempt]:
    """Raises: Problem 401, 404."""
    token = cookie_token(request)
    if token is None:
        raise _problem(HTTPStatus.UNAUTHORIZED, "Sign in to the course first, then come back.")
    try:
        caller = caller_of_token(session, token)
    except Problem:
        raise _problem(
            HTTPStatus.UNAUTHORIZED, "Your sign-in has expired: open the course again."
        ) from None
    try:
        attempt = session.attempts.get(attempt_id)
    except NotFound:
        attempt = None
    if attempt is None or not caller.owns(attempt) or attempt.clock_owner is not ClockOwner.US:
        raise _problem(HTTPStatus.NOT_FOUND, "You have no such attempt.")
    return caller, session.exams.get(attempt.exam_id), attempt


def _came_from(caller: Caller) -> bool:
    """Sent by a page of the LMS; not by a picture, or a frame, that a learner has put into one."""
    if request.headers.get("Sec-Fetch-Dest", "document") != "document":
        return False
    parts = urlsplit(request.headers.get("Referer", ""))
    return f"{parts.scheme}://{parts.netloc}" in caller.lms.pages


def _form_token(key: bytes, caller: Caller, attempt: Attempt) -> str:
    said = f"end attempt {attempt.id} of {caller.user_id} at {caller.lms.name}"
    return hmac.new(key, said.encode(), hashlib.sha256).hexdigest()


def _question(caller: Caller, exam: Exam, token: str) -> Response:
    lms = urlsplit(caller.lms.base_url)  # where the browser goes on to when the form has been sent
    return _page(
        "End your exam?",
        f"<p>{escape(exam.exam_name)}: once it has ended you can not go on with it.</p>"
        f'<form method="post"><input type="hidden" name="token" value="{escape(token)}">'
        "<button>Yes, end my exam</button></form>",
        form_action=f"'self' {lms.scheme}://{lms.netloc}",
    )


class _PageProblem(Problem):
    def response(self) -> Response:
        return _page(self.detail, "", self.status)


def _problem(status: HTTPStatus, text: str) -> Problem:
    return _PageProblem(status, text)


def _redirect(where: str) -> Response:
    response = _page("On to your exam", f'<p><a href="{escape(where)}">Go on</a></p>')
    response.status_code = HTTPStatus.FOUND
    response.headers["Location"] = where
    return response


def _page(
    title: str,
    body: str,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    form_action: str = "'none'",
) -> Response:
    response = Response(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        "<style>body{font:1.1rem/1.5 sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem}"
        "button{font:inherit;padding:.5rem 1rem}</style>"
        f"<title>{escape(title)}</title><h1>{escape(title)}</h1>{body}</html>",
        status=status,
        mimetype="text/html",
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = POLICY.format(form_action)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
