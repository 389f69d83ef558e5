"""One request to the API, with its caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Request, g

from xqueue_server.models.grader import NAME
from xqueue_server.web.api.body import as_object, read_json
from xqueue_server.web.api.caller import ApiCaller
from xqueue_server.web.api.once import Once
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.services import Services

HIGHEST_ID = 2**63 - 1
HIGHEST_VERSION = 2**31 - 1
MOST_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    request: Request
    services: Services
    caller: ApiCaller
    once: Once | None = None
    """Of a request that came with a key: it acts at most once."""

    @property
    def request_id(self) -> str:
        return str(g.request_id)

    def note(self, **facts: Any) -> None:
        """For the request's log line."""
        g.notes.update(facts)

    def document(self, most_bytes: int) -> dict[str, Any]:
        """The body as a JSON object; to be asked for before anything is done.

        Raises: ApiError; AnsweredBefore.
        """
        content = read_json(self.request, most_bytes)
        document = as_object(content)
        if self.once is not None:
            self.once.begin(content)
        return document

    def parameters(self, name: str) -> list[str]:
        """Every value of a query parameter."""
        return self.request.args.getlist(name)

    def text(self, name: str) -> str | None:
        """A query parameter, if it is there. Raises: ApiError 422."""
        given = self.request.args.get(name)
        if given is not None and not (given.isprintable() and len(given) <= MOST_TEXT):
            detail = f"{name} must be a text of at most {MOST_TEXT} printable characters"
            raise ApiError(422, "invalid", detail)
        return given

    def whole_number(self, name: str, default: int | None, *, most: int) -> int | None:
        """A query parameter from 1 to `most`. Raises: ApiError 422."""
        text = self.request.args.get(name)
        if text is None:
            return default
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
        if not 0 < number <= most:
            raise ApiError(422, "invalid", f"{name} must be a whole number from 1 to {most}")
        return number


def require_name(name: str, queue: str) -> str:
    """A grader's name out of a path. Raises: ApiError 404 for what can be none."""
    if not NAME.fullmatch(name):
        raise ApiError(404, "not-found", f"Queue {queue!r} has no such grader")
    return name


def require_version(version: int, queue: str, name: str) -> int:
    """Raises: ApiError 404 for what no database holds."""
    if not 0 < version <= HIGHEST_VERSION:
        raise ApiError(
            404, "not-found", f"Grader '{name}' of queue '{queue}' has no version {version}"
        )
    return version
