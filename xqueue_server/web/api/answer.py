"""Answers of the API: JSON that no browser takes for a page and no cache keeps."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from flask import Request, Response

HEADERS = {
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


def answer(document: Any, status: int = 200) -> Response:
    return Response(json.dumps(document), status, content_type="application/json", headers=HEADERS)


def nothing() -> Response:
    return Response("", 204, headers=HEADERS)


def answer_unless_known(request: Request, document: Any) -> Response:
    """With an ETag; 304 if the client has this very document."""
    response = answer(document)
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
    response.make_conditional(request)
    return response


def instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def instant_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)
