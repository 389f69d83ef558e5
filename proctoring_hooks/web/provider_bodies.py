"""Reading what an LMS sends as JSON: each field checked, each mistake named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

MAX_BODY = 256 * 1024
"""A review policy may be long."""
LONGEST_TEXT = 50_000
LONGEST_ID = 255


class BadBody(Exception):
    """The text says which field is wrong and what it may be. For the caller: HTTP 400."""


class TooLarge(BadBody):
    """For the caller: HTTP 413."""


def read_object(request: Request) -> Mapping[str, Any]:
    """Raises: BadBody."""
    request.max_content_length = MAX_BODY
    try:
        given: Any = json.loads(request.get_data(cache=False))
    except RequestEntityTooLarge:
        raise TooLarge(f"The body may have {MAX_BODY} bytes at most") from None
    except (ValueError, RecursionError):
        raise BadBody("The body must be a JSON object") from None
    if not isinstance(given, Mapping):
        raise BadBody("The body must be a JSON object")
    return given


def text(given: Mapping[str, Any], name: str, *, most: int = LONGEST_TEXT) -> str:
    """ "" where it is missing or null.

    Raises:
        BadBody: also of what a database can not keep.
    """
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadBody(f"{name} must be a string")
    if len(value) > most:
        raise BadBody(f"{name} may have {most} characters at most")
    if not is_storable(value):
        raise BadBody(f"{name} has a character that no text has")
    return value


def is_storable(value: str) -> bool:
    """Not with NUL, nor with halves of surrogate pairs."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def required(given: Mapping[str, Any], name: str) -> str:
    """An id. Raises: BadBody."""
    value = text(given, name, most=LONGEST_ID)
    if not value:
        raise BadBody(f"{name} is missing")
    return value


def flag(given: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """Raises: BadBody."""
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise BadBody(f"{name} must be true or false")
    return value


def minutes(given: Mapping[str, Any], name: str) -> int:
    """Raises: BadBody."""
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
        raise BadBody(f"{name} must be a whole number of minutes, not negative")
    return value


def instant(given: Mapping[str, Any], name: str) -> datetime | None:
    """Raises: BadBody."""
    value = given.get(name)
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        if found is not None:
            found = found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise BadBody(f"{name} must be an instant in ISO 8601, or null")
    return found
