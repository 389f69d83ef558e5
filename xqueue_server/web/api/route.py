"""One route of the API: what serves it, and what its description says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import Response

from xqueue_server.web.api.schema import TEXT, WHOLE, Schema

View = Callable[..., Response]
"""(call, the parts of the path) -> the answer."""

JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A parameter after the question mark."""

    name: str
    about: str
    schema: Schema = field(default_factory=lambda: TEXT)
    is_repeatable: bool = False


PAGE = (
    Query(name="limit", about="At most so many, 1 to 500; 50 if left out", schema=WHOLE),
    Query(name="cursor", about="`next` of the page before"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    method: str
    path: str
    view: View
    about: str
    """What it does, in a sentence without a full stop."""
    who: str
    """The roles that may."""
    answers: Mapping[int, Schema | None]
    """Status of a success -> its body; None: empty."""
    query: tuple[Query, ...] = ()
    body: Schema | None = None
    content_type: str = JSON
    """Of the body and of the answer."""
    by_session: bool = False
    """Whether the session cookie of the XQueue protocol opens it."""
    answers_secret: bool = False
    """Whether its answer must not be kept anywhere."""
