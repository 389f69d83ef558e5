"""Reading request bodies within limits."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from flask import Request
from werkzeug.exceptions import HTTPException

from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.forms import BROKEN_STREAM, CHUNK, is_whole


def read_bytes(request: Request, most_bytes: int) -> bytes:
    """Raises: ApiError 413 beyond the limit (at once where the length is announced), 400."""
    if (request.content_length or 0) <= most_bytes:
        try:
            content = _read_past(request, most_bytes)
        except (HTTPException, *BROKEN_STREAM):
            raise ApiError(400, "malformed", "The request body can not be read") from None
        if not is_whole(request, len(content)):
            raise ApiError(400, "malformed", "The request body ends before its Content-Length")
        if len(content) <= most_bytes:
            return content
    raise ApiError(413, "too-large", f"The body is larger than {most_bytes} bytes")


def _read_past(request: Request, most_bytes: int) -> bytes:
    """The body, or one byte more than it may have. Not by the framework's own limit, which cuts
    a chunked body short without a word."""
    content = bytearray()
    while chunk := request.stream.read(min(CHUNK, most_bytes + 1 - len(content))):
        content += chunk
    return bytes(content)


def read_json(request: Request, most_bytes: int) -> bytes:
    """A body that says that it is JSON. Raises: ApiError 400, 413, 415."""
    if request.mimetype != "application/json":
        raise ApiError(415, "media-type", "The body must be sent as Content-Type: application/json")
    return read_bytes(request, most_bytes)


def as_object(content: bytes) -> dict[str, Any]:
    """The JSON object that these bytes are. Raises: ApiError 400."""
    try:
        document = json.loads(content, parse_constant=_refuse)
        has_half_a_pair = _has_half_a_pair(content, document)
    except (ValueError, RecursionError):
        raise ApiError(400, "malformed", "The body is not JSON") from None
    if has_half_a_pair:
        raise ApiError(400, "malformed", "The body has half of a surrogate pair in a text")
    if not isinstance(document, dict):
        raise ApiError(400, "malformed", "The body is not a JSON object")
    return document


def _has_half_a_pair(content: bytes, document: Any) -> bool:
    """JSON can write what UTF-8, and so the database, can not."""
    if b"\\ud" not in content.lower():
        return False
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
