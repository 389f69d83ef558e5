"""Reading one table of workers.toml, with errors that name the place and the key."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from grader_worker.errors import SettingsError

Table = Mapping[str, Any]
T = TypeVar("T")


def refuse_unknown(table: Table, known: Collection[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise SettingsError(f"{where}: unknown key {key!r}{nearest(key, known)}")


def nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def required(table: Table, key: str, kind: type[T], where: str) -> T:
    value = optional(table, key, kind, where)
    if value is None or value == "":
        raise SettingsError(f"{where}: {key} is missing")
    return value


def optional(table: Table, key: str, kind: type[T], where: str) -> T | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise SettingsError(f"{where}: {key} must be a {kind.__name__}")
    return value


def nonempty(table: Table, key: str, where: str) -> str | None:
    value = optional(table, key, str, where)
    if value is not None and not value.strip():
        raise SettingsError(f"{where}: {key} is empty")
    return value


def above_zero(table: Table, name: str, where: str) -> float:
    value = table[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingsError(f"{where}: {name} must be a number")
    if value <= 0 or not math.isfinite(value):
        raise SettingsError(f"{where}: {name} must be above zero")
    return value


def yes_or_no(table: Table, key: str, where: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise SettingsError(f"{where}: {key} must be true or false")
    return value


def table_of(value: object, where: str) -> Table:
    if not isinstance(value, dict):
        raise SettingsError(f"{where} must be a table")
    return value
