"""Answers of the exam service that are no success, in the words of Django's REST framework."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

MAX_BODY = 16 * 1024
MAX_PUBLISHED = 2 * 1024 * 1024
"""Of a list of a course's exams."""


class Problem(Exception):
    """Becomes the answer; the text is for people."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, errors
        self.headers = headers or {}

    def response(self) -> Response:
        document = {"detail": self.detail}
        if self.errors is not None:
            document["errors"] = self.errors
        return answer(document, self.status, self.headers)


def bad_request(detail: str, errors: Any = None) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail, errors=errors)


def forbidden(detail: str = "You do not have permission to perform this action.") -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, detail)


def not_found(detail: str = "Not found.") -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, detail)


def unauthenticated(detail: str = "Authentication credentials were not provided.") -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'JWT realm="api"'})


def answer(
    document: Any,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """JSON that nobody keeps; None: no body."""
    response = Response(
        "" if document is None else json.dumps(document),
        status=status,
        mimetype="application/json",
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


def content(limit: int = MAX_BODY) -> bytes:
    """The request's body. Raises: Problem 413."""
    request.max_content_length = limit
    try:
        return request.get_data()
    except RequestEntityTooLarge:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have {limit} bytes at most."
        ) from None


def given(limit: int = MAX_BODY) -> Any:
    """The JSON that was sent. Raises: Problem 400, 413, 415."""
    body = content(limit)
    if request.mimetype != "application/json":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON (application/json)."
        )
    return parsed(body)


def parsed(body: bytes) -> Any:
    """Raises: Problem 400: also for text that no database can take (halves of characters)."""
    try:
        found = json.loads(body)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise bad_request("JSON parse error") from None
    return found


def given_object() -> dict[str, Any]:
    """Raises: Problem 400, 413, 415."""
    found = given()
    if not isinstance(found, dict):
        raise bad_request("The body must be a JSON object.")
    return found
