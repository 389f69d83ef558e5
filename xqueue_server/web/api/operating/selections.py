"""Which submissions a request means: query parameters, or an object of texts in a body."""

from __future__ import annotations

from typing import Any

from xqueue_server.errors import InvalidRequest
from xqueue_server.models import selection
from xqueue_server.models.selection import Selection
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.reading import Fields
from xqueue_server.web.api.route import Query
from xqueue_server.web.api.schema import TEXT, changes

ABOUT = {
    "queue": "Queues, separated by commas",
    "state": "States, separated by commas",
    "course": "Courses, separated by commas",
    "problem": "A usage id, or an address that holds one",
    "learner": "The user as in the callback URL",
    "since": "Arrived then or later",
    "until": "Arrived before",
    "held_reason": "Held for this reason",
    "callback": "With a callback in this state",
    "account": "Submitted by this account",
    "id": "Ids, separated by commas",
    "batch": "Regraded in this batch",
    "regrade": "With a regrade in this state",
    "mark": "forgeable",
}


def from_query(call: ApiCall, *beside: str) -> Selection:
    """`beside`: parameters that are no filters. Raises: ApiError 422."""
    given = {
        name: ",".join(call.parameters(name)) for name in call.request.args if name not in beside
    }
    try:
        return selection.parse(given)
    except InvalidRequest as error:
        raise ApiError(422, "invalid", str(error)) from None


def from_body(fields: Fields, name: str) -> Selection:
    """An empty object would mean everything: that has to be said with a filter, e.g. a queue.
    What is wrong is noted in `fields`."""
    given: Any = fields.raw(name)
    if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
        fields.wrong(name, "must be an object of texts, the filters of GET /submissions")
        return Selection()
    try:
        found = selection.parse(given)
    except InvalidRequest as error:
        fields.wrong(name, str(error))
        return Selection()
    if found.is_everything:
        fields.wrong(name, "must have a filter")
    return found


FILTERS = tuple(Query(name=name, about=ABOUT[name]) for name in selection.FIELDS)
SELECTION = changes("Selection", **dict.fromkeys(selection.FIELDS, TEXT))
