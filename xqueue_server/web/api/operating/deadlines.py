"""Deadlines: when many submissions will come at once."""

from __future__ import annotations

from typing import Any

from flask import Response

from xqueue_server.accounts.access import REPAIR, SEE
from xqueue_server.storage import deadlines
from xqueue_server.storage.course_grants import MOST_CHARS as MOST_COURSE_CHARS
from xqueue_server.storage.deadlines import Deadline
from xqueue_server.web.api.answer import (
    answer,
    instant,
    instant_or_none,
    nothing,
)
from xqueue_server.web.api.call import HIGHEST_ID, ApiCall
from xqueue_server.web.api.paging import page_of
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.reading import SMALL_BYTES, Fields
from xqueue_server.web.api.route import PAGE, Query, Route
from xqueue_server.web.api.schema import ID, INSTANT, TEXT, WHOLE, nullable, page, record

MOST_SUBMISSIONS = 10_000_000
MAX_NOTE_CHARS = 1000


def list_deadlines(call: ApiCall) -> Response:
    """Past ones too: they teach."""
    asked = page_of(call)
    with call.services.storage.read() as tx:
        seen = set(call.caller.chosen_queues(tx, SEE, call.parameters("queue")))
        found = [d for d in deadlines.all_deadlines(tx) if d.queue in seen]
    found = asked.of_all(found, lambda deadline: deadline.id)
    return answer(asked.answer("deadlines", found, _document, lambda deadline: deadline.id))


def add_deadline(call: ApiCall) -> Response:
    fields = Fields(
        call.document(SMALL_BYTES), ("queue", "course", "at", "opens_at", "submissions", "note")
    )
    at = fields.moment("at")
    opens_at = fields.moment("opens_at", is_needed=False)
    submissions = fields.whole("submissions", 1, MOST_SUBMISSIONS)
    course = fields.text("course", most=MOST_COURSE_CHARS, is_needed=False)
    note = fields.text("note", most=MAX_NOTE_CHARS, is_needed=False)
    if at and opens_at and opens_at >= at:
        fields.wrong("opens_at", "must be before at")
    with call.services.storage.write() as tx:
        queue = call.caller.require(tx, REPAIR, fields.raw("queue"))
        fields.check()
        assert at is not None
        deadline_id = deadlines.add(
            tx,
            queue=queue,
            at=at,
            opens_at=opens_at,
            submissions=submissions,
            course=course,
            note=note,
            actor=call.caller.actor,
        )
        made = next(d for d in deadlines.of_queue(tx, queue) if d.id == deadline_id)
    return answer(_document(made), 201)


def remove_deadline(call: ApiCall, deadline_id: int) -> Response:
    with call.services.storage.write() as tx:
        found = next((d for d in deadlines.all_deadlines(tx) if d.id == deadline_id), None)
        may_see = found is not None and call.caller.account.may(SEE, found.queue)
        if deadline_id > HIGHEST_ID or found is None or not may_see:
            raise ApiError(404, "not-found", f"Deadline {deadline_id} not found")
        call.caller.require(tx, REPAIR, found.queue)
        deadlines.remove(tx, deadline_id, actor=call.caller.actor)
    return nothing()


def _document(deadline: Deadline) -> dict[str, Any]:
    return {
        "id": deadline.id,
        "queue": deadline.queue,
        "course": deadline.course,
        "at": instant(deadline.at),
        "opens_at": instant_or_none(deadline.opens_at),
        "submissions": deadline.submissions,
        "source": deadline.source,
        "note": deadline.note,
        "created_by": deadline.created_by,
        "created_at": instant(deadline.created_at),
    }


DEADLINE = record(
    "Deadline",
    id=ID,
    queue=TEXT,
    course=TEXT,
    at=INSTANT,
    opens_at=nullable(INSTANT),
    submissions=WHOLE,
    source=TEXT,
    note=TEXT,
    created_by=TEXT,
    created_at=INSTANT,
)

ROUTES = (
    Route(
        method="GET",
        path="/deadlines",
        view=list_deadlines,
        about="Deadlines, the latest told first, past ones too",
        who="viewer, operator or admin",
        query=(Query(name="queue", about="Only of this queue", is_repeatable=True), *PAGE),
        answers={200: page("deadlines", DEADLINE)},
    ),
    Route(
        method="POST",
        path="/deadlines",
        view=add_deadline,
        about="Tell a deadline; the number of workers follows it",
        who="operator or admin",
        body=record(
            "NewDeadline",
            optional=("course", "opens_at", "note"),
            queue=TEXT,
            course=TEXT,
            at=INSTANT,
            opens_at=nullable(INSTANT),
            submissions=WHOLE,
            note=TEXT,
        ),
        answers={201: DEADLINE},
    ),
    Route(
        method="DELETE",
        path="/deadlines/<int:deadline_id>",
        view=remove_deadline,
        about="Remove a deadline, and what it teaches",
        who="operator or admin",
        answers={204: None},
    ),
)
