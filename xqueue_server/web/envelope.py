"""The shape of every answer on the wire: HTTP 200 and `{"return_code", "content"}` as text/html.

The content type is part of the contract: a client that asks its library for text/html JSON would
fail on application/json (facts: xqueue clients).
"""

from __future__ import annotations

import json
from typing import Any

from flask import Response

CONTENT_TYPE = "text/html; charset=utf-8"


def success(content: Any) -> Response:
    return _answer(0, content)


def failure(message: str) -> Response:
    return _answer(1, message)


def _answer(return_code: int, content: Any) -> Response:
    body = json.dumps({"return_code": return_code, "content": content})
    response = Response(body, 200, content_type=CONTENT_TYPE)
    # Names that clients chose are in there; a browser must not take them for markup.
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def page(title: str, status: int) -> Response:
    """A small HTML page, for what is not answered in the envelope."""
    body = f"<!doctype html>\n<html lang=en><title>{title}</title>\n<h1>{title}</h1></html>\n"
    return Response(body, status, content_type=CONTENT_TYPE)
