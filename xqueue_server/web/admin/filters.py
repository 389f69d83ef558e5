"""A selection of submissions as the address of a page has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Request

from xqueue_server.errors import InvalidRequest
from xqueue_server.models.selection import FIELDS, Selection, parse
from xqueue_server.web.admin.paths import at


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    given: Mapping[str, str]
    """As it was written, whether or not it can be used; empty ones left out."""
    selection: Selection | None
    problem: str | None
    """Why there is no selection."""

    def get(self, name: str) -> str:
        return self.given.get(name, "")

    def clock(self, name: str) -> str:
        """A moment as a form has it, in UTC."""
        moment = getattr(self.selection, name, None)
        return "" if moment is None else moment.replace(tzinfo=None).isoformat()

    def href(self, **changed: object) -> str:
        return at("submissions", **(dict(self.given) | changed))


def filter_of(request: Request) -> Filter:
    """Of the query; several values of one name (checkboxes) count as a list."""
    given = {}
    for name in FIELDS:
        values = [v.strip() for v in request.args.getlist(name) if v.strip()]
        if values:
            given[name] = ",".join(values)
    return read_filter(given)


def read_filter(given: Mapping[str, str]) -> Filter:
    named = {name: given[name] for name in FIELDS if given.get(name)}
    try:
        return Filter(given=named, selection=parse(named), problem=None)
    except InvalidRequest as error:
        return Filter(given=named, selection=None, problem=str(error))
