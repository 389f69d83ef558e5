"""Answers held against the published description of the API."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from openapi_schema_validator import OAS31Validator
from werkzeug.test import TestResponse

from xqueue_server.web.api.openapi import describe
from xqueue_server.web.api.routes import BASE, ROUTES

DESCRIPTION = describe(BASE, ROUTES)


def check(method: str, path: str, response: TestResponse) -> None:
    """Fails unless this answer of a route is one that the description has. `path` is without
    `/api/v1`; paths and methods that no route has are not looked at."""
    operation = _operation(method, path)
    if operation is None:
        return
    described = operation["responses"].get(str(response.status_code))
    if described is None:
        assert response.status_code >= 400, f"{method} {path}: {response.status} is undescribed"
        described = DESCRIPTION["components"]["responses"]["Problem"]
    content = described.get("content")
    if content is None:
        assert response.get_data() == b"", f"{method} {path}: a body where none is described"
        return
    assert response.mimetype in content, f"{method} {path}: {response.mimetype}"
    if response.is_json:
        _check_document(f"{method} {path}", content[response.mimetype]["schema"], response)


def _check_document(where: str, schema: dict[str, Any], response: TestResponse) -> None:
    problems = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in _validator(json.dumps(schema)).iter_errors(response.get_json())
    ]
    assert not problems, f"{where} {response.status_code}: {problems}"


@cache
def _validator(schema: str) -> OAS31Validator:
    components = {"schemas": _strict(DESCRIPTION["components"]["schemas"])}
    return OAS31Validator({**_strict(json.loads(schema)), "components": components})


def _strict(schema: Any) -> Any:
    """Clients must bear with keys that they do not know; here every key must be described."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and found.get("type") == "object":
        found["additionalProperties"] = False
    return found


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for template, operations in _templates():
        if template.fullmatch(BASE + path) and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    return None


@cache
def _templates() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    return [
        (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), operations)
        for path, operations in DESCRIPTION["paths"].items()
    ]
