"""JSON Schemas (those of OpenAPI 3.1) in few words.

A record with a title becomes a named schema of the published document.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
YES_NO: Schema = {"type": "boolean"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
ANYTHING: Schema = {}
OBJECT: Schema = {"type": "object"}
BYTES: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
ID: Schema = {"type": "integer", "minimum": 1}


def one_of(values: type[StrEnum] | Iterable[str]) -> Schema:
    return {"type": "string", "enum": [str(value) for value in values]}


def nullable(schema: Schema) -> Schema:
    if "enum" in schema:
        return schema | {"type": [schema["type"], "null"], "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str) and "title" not in schema:
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def map_of(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def record(title: str, /, *, optional: Collection[str] = (), **properties: Schema) -> Schema:
    """An object with these keys; `optional` are those that may be absent."""
    required = [name for name in properties if name not in optional]
    return {
        "title": title,
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
    }


def extended(base: Schema, title: str, /, **properties: Schema) -> Schema:
    """The same record with more keys."""
    return {
        **base,
        "title": title,
        "properties": base["properties"] | properties,
        "required": [*base.get("required", ()), *properties],
    }


def changes(title: str, /, **properties: Schema) -> Schema:
    """A body in which every key may be left out."""
    return record(title, optional=tuple(properties), **properties)


def holding(name: str, schema: Schema) -> Schema:
    """An object with one list."""
    return {"type": "object", "properties": {name: list_of(schema)}, "required": [name]}


def page(name: str, schema: Schema) -> Schema:
    """A page of a list, and the cursor of the next one."""
    return {
        "type": "object",
        "properties": {name: list_of(schema), "next": nullable(TEXT)},
        "required": [name, "next"],
    }
