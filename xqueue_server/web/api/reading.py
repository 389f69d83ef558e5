"""Reading the fields of a JSON body, naming everything that can not be used at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar

from xqueue_server.models.grader import Problem
from xqueue_server.web.api.problem import ApiError

Value = TypeVar("Value")
SMALL_BYTES = 16 * 1024


class Fields:
    """Fields of a document. What is wrong is collected; `check` raises it all together."""

    def __init__(self, document: Mapping[str, Any], known: Collection[str]) -> None:
        self._document = document
        self._problems = [
            Problem(where=str(key)[:64], problem="is no key of this request")
            for key in sorted(document.keys() - set(known), key=str)
        ]

    def has(self, name: str) -> bool:
        return name in self._document

    def wrong(self, where: str, problem: str) -> None:
        self._problems.append(Problem(where=where, problem=problem))

    def check(self) -> None:
        """Raises: ApiError 422."""
        if self._problems:
            detail = "; ".join(str(problem) for problem in self._problems)
            raise ApiError(422, "invalid", detail, errors=self._problems)

    def raw(self, name: str) -> Any:
        return self._document.get(name)

    def text(self, name: str, *, most: int, is_needed: bool = True) -> str:
        """Printable; "" if it may be absent and is."""
        value = self._document.get(name)
        if value is None and not is_needed:
            return ""
        if isinstance(value, str) and 0 < len(value) <= most and value.isprintable():
            return value
        self.wrong(name, f"must be a text of 1 to {most} printable characters")
        return ""

    def words(self, name: str, *, most: int) -> str:
        """Text of people, several lines of it allowed; needed."""
        value = self._document.get(name)
        if isinstance(value, str) and value.strip() and len(value) <= most:
            return value.strip()
        self.wrong(name, f"must be a text of 1 to {most} characters")
        return ""

    def whole(self, name: str, least: int, most: int) -> int:
        value = self._document.get(name)
        if type(value) is int and least <= value <= most:
            return value
        self.wrong(name, f"must be a whole number from {least} to {most}")
        return least

    def number(self, name: str, least: float, most: float) -> float:
        value: Any = self._document.get(name)
        if type(value) in (int, float) and least <= value <= most:  # no NaN, nothing infinite
            return float(value)
        self.wrong(name, f"must be a number from {least:g} to {most:g}")
        return least

    def yes_no(self, name: str, default: bool | None = None) -> bool:
        value = self._document.get(name, default)
        if isinstance(value, bool):
            return value
        self.wrong(name, "must be true or false")
        return False

    def choice(self, name: str, values: Collection[str]) -> str:
        value = self._document.get(name)
        if isinstance(value, str) and value in values:
            return value
        self.wrong(name, f"must be one of {', '.join(values)}")
        return ""

    def moment(self, name: str, *, is_needed: bool = True) -> datetime | None:
        value = self._document.get(name)
        if value is None and not is_needed:
            return None
        moment = moment_of(value)
        if moment is None:
            self.wrong(name, "must be ISO 8601 with an offset, like 2026-11-20T18:00:00+00:00")
        return moment

    def texts(self, name: str, *, most: int, most_chars: int) -> list[str]:
        value = self._document.get(name)
        if (
            isinstance(value, list)
            and 0 < len(value) <= most
            and all(isinstance(v, str) and 0 < len(v) <= most_chars for v in value)
        ):
            return value
        self.wrong(name, f"must be a list of 1 to {most} texts")
        return []


def moment_of(value: Any) -> datetime | None:
    """An aware moment that a database can hold; None: it is none."""
    try:
        moment = datetime.fromisoformat(value)
        is_of_this_time = 1970 < moment.year < 9999  # in UTC it may be of the next year
        return moment if moment.tzinfo and is_of_this_time else None
    except (TypeError, ValueError, OverflowError):
        return None
