"""Errors of the API as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from flask import Response, g
from werkzeug.exceptions import HTTPException

from xqueue_server.models.grader import Problem
from xqueue_server.web.api.answer import HEADERS

_PATHS = re.compile(r"/api(/.*)?|/openapi\.json", re.DOTALL)
CONTENT_TYPE = "application/problem+json"
CODES = {404: "not-found", 405: "method", 413: "too-large", 415: "media-type"}
UNAVAILABLE_RETRY_S = 2


def is_of_api(path: str) -> bool:
    """Whether a program has asked, and takes no page for an answer."""
    return _PATHS.fullmatch(path) is not None


class ApiError(Exception):
    """An answer that is not a success; raised by views, turned into a problem by the routes."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Problem] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s


def problem(error: ApiError) -> Response:
    document: dict[str, Any] = {
        "type": f"urn:xqueue:problem:{error.code}",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
    }
    if error.errors:
        document["errors"] = [{"where": e.where, "problem": e.problem} for e in error.errors]
    response = Response(
        json.dumps(document | {"request_id": g.request_id}),
        error.status,
        content_type=CONTENT_TYPE,
        headers=HEADERS,
    )
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="xqueue"'
    return response


def problem_of_http(error: HTTPException) -> Response:
    """For what the framework refuses by itself: a path or method that is not served."""
    code = error.code or 400
    detail = "Nothing is served here" if code == 404 else error.name
    response = problem(ApiError(code, CODES.get(code, "malformed"), detail))
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(allowed)
    return response


def internal_problem() -> Response:
    """A fault of ours."""
    detail = f"Internal error; the server's log has it under request {g.request_id}"
    return problem(ApiError(500, "internal", detail))


def unavailable() -> ApiError:
    return ApiError(
        503,
        "unavailable",
        "The queue is temporarily unavailable. Please try again.",
        retry_after_s=UNAVAILABLE_RETRY_S,
    )
