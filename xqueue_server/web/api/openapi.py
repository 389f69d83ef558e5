"""The description of the API (OpenAPI 3.1), made of the table of routes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib import metadata
from typing import Any

from flask import Flask, Response, request

from xqueue_server.web.api.answer import HEADERS
from xqueue_server.web.api.once import HEADER
from xqueue_server.web.api.problem import CONTENT_TYPE
from xqueue_server.web.api.route import JSON, Query, Route
from xqueue_server.web.api.schema import TEXT, WHOLE, Schema, list_of, record

PATH = "/openapi.json"
PART = re.compile(r"<(?:(int):)?(\w+)>")
PROBLEM = record(
    "Problem",
    optional=("errors",),
    type=TEXT,
    title=TEXT,
    status=WHOLE,
    detail=TEXT,
    errors=list_of(record("ProblemOfField", where=TEXT, problem=TEXT)),
    request_id=TEXT,
)

KEY = {
    "name": HEADER,
    "in": "header",
    "description": "The same key with the same request within a day gets the same answer, and "
    "nothing is done a second time",
    "schema": TEXT | {"minLength": 1, "maxLength": 255},
}


def add_description(app: Flask, base: str, routes: Sequence[Route]) -> None:
    """Serve it; it says nothing of anybody, so nobody needs to sign in."""
    content = json.dumps(describe(base, routes), ensure_ascii=False).encode()
    etag = hashlib.sha256(content).hexdigest()[:32]

    def openapi() -> Response:
        response = Response(content, content_type=JSON, headers=HEADERS)
        response.headers["Cache-Control"] = "public, no-cache"
        response.set_etag(etag)
        response.make_conditional(request)
        return response

    app.add_url_rule(PATH, "openapi", openapi)


def describe(base: str, routes: Sequence[Route]) -> dict[str, Any]:
    named: dict[str, Schema] = {}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = base + PART.sub(r"{\2}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, named)
    problem = {CONTENT_TYPE: {"schema": _hoisted(PROBLEM, named)}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "XQueue server",
            "version": _version(),
            "description": "Lists are pages: `next` is the `cursor` of the next one, null at the "
            "end. Instants are ISO 8601 in UTC. Errors are RFC 9457 problems. What the account has "
            "nothing to do with is answered as what does not exist: 404.",
        },
        "security": [{"token": []}, {"account": []}],
        "paths": paths,
        "components": {
            "schemas": named,
            "responses": {"Problem": {"description": "A problem", "content": problem}},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "account": {"type": "http", "scheme": "basic"},
                "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
            },
        },
    }


def _operation(route: Route, named: dict[str, Schema]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.view.__name__,
        "summary": route.about,
        "description": f"Who: {route.who}",
        "parameters": [
            *_parts(route.path),
            *(_parameter(q) for q in route.query),
            *([KEY] if route.method == "POST" and not route.answers_secret else []),
        ],
        "responses": {
            **{str(status): _answer(route, status, named) for status in route.answers},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if route.by_session:
        operation["security"] = [{"token": []}, {"account": []}, {"session": []}]
    if route.body is not None:
        content = {route.content_type: {"schema": _hoisted(route.body, named)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parts(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": WHOLE if kind == "int" else TEXT,
        }
        for kind, name in PART.findall(path)
    ]


def _parameter(query: Query) -> dict[str, Any]:
    schema = list_of(query.schema) if query.is_repeatable else query.schema
    return {"name": query.name, "in": "query", "description": query.about, "schema": schema}


def _answer(route: Route, status: int, named: dict[str, Schema]) -> dict[str, Any]:
    schema = route.answers[status]
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if schema is not None:
        kind = "application/octet-stream" if "contentMediaType" in schema else JSON
        answer["content"] = {kind: {"schema": _hoisted(schema, named)}}
    return answer


def _hoisted(schema: Any, named: dict[str, Schema]) -> Any:
    """The schema with its records put under their names."""
    if isinstance(schema, list):
        return [_hoisted(each, named) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found: Schema = {
        key: {name: _hoisted(each, named) for name, each in value.items()}
        if key == "properties"
        else _hoisted(value, named)
        for key, value in schema.items()
    }
    title = found.get("title")
    if title is None:
        return found
    if named.setdefault(title, found) != found:
        raise ValueError(f"two different schemas are called {title}")
    return {"$ref": f"#/components/schemas/{title}"}


def _version() -> str:
    try:
        return metadata.version("xqueue-grader")
    except metadata.PackageNotFoundError:
        return "0"
