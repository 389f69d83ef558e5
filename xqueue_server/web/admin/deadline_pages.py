"""Deadlines: when many submissions will come at once, and how many workers that asks for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from flask import Response

from xqueue_server.accounts.access import REPAIR, SEE
from xqueue_server.errors import InvalidRequest, NotFound
from xqueue_server.storage import deadlines, queues
from xqueue_server.web.admin.call import HIGHEST_ID, AdminCall, whole_number
from xqueue_server.web.admin.paths import at
from xqueue_server.web.admin.route import Route

MOST_SUBMISSIONS = 10_000_000
MOST_NOTE_CHARS = 1000
MOST_COURSE_CHARS = 255


def show(call: AdminCall) -> Response:
    with call.storage.read() as tx:
        seen, repaired = call.scope(tx, SEE), call.scope(tx, REPAIR)
        found = [d for d in deadlines.all_deadlines(tx) if seen.has_queue(d.queue)]
        names = [q.name for q in queues.all_queues(tx) if repaired.has_queue(q.name)]
    ahead = [d for d in found if d.at > call.now]
    past = [d for d in reversed(found) if d.at <= call.now][:20]
    return call.page("deadlines.html", ahead=ahead, past=past, queues=names, repaired=repaired)


def add(call: AdminCall) -> Response:
    deadline_at = _moment(call.field("at"), "The deadline")
    opens_at = _moment(call.field("opens"), "The opening") if call.field("opens") else None
    if opens_at is not None and opens_at >= deadline_at:
        raise InvalidRequest("The opening must be before the deadline")
    expected = whole_number(
        call.field("submissions"), "The number of submissions", least=1, most=MOST_SUBMISSIONS
    )
    queue = call.field("queue")
    with call.storage.write() as tx:
        call.require_queue(tx, queue, REPAIR, SEE)
        deadline_id = deadlines.add(
            tx,
            queue=queue,
            at=deadline_at,
            opens_at=opens_at,
            submissions=expected,
            course=_short(call.field("course"), "The course", MOST_COURSE_CHARS),
            note=_short(call.field("note"), "The note", MOST_NOTE_CHARS),
            actor=call.actor,
        )
    return call.done(f"Added deadline {deadline_id} of queue {queue}.", at("deadlines"))


def remove(call: AdminCall, deadline_id: int) -> Response:
    with call.storage.write() as tx:
        known = deadlines.all_deadlines(tx) if deadline_id <= HIGHEST_ID else []
        found = next((d for d in known if d.id == deadline_id), None)
        if found is None or not call.may(SEE, found.queue):
            raise NotFound(f"There is no deadline {deadline_id}, or it is not yours to see")
        call.require(REPAIR, found.queue)
        deadlines.remove(tx, deadline_id, actor=call.actor)
    return call.done(f"Removed deadline {deadline_id} of queue {found.queue}.", at("deadlines"))


def _moment(text: str, what: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{what} must be like 2026-11-20T18:00 (UTC)") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not 1970 < moment.year < 9999:
        raise InvalidRequest(f"{what} must be like 2026-11-20T18:00 (UTC)")
    return moment


def _short(text: str, what: str, most: int) -> str:
    if len(text) > most or not text.isprintable():
        raise InvalidRequest(f"{what} has at most {most} printable characters")
    return text


ROUTES: Sequence[Route] = (
    Route(method="GET", path="/deadlines", view=show, roles=SEE),
    Route(method="POST", path="/deadlines", view=add, roles=REPAIR),
    Route(method="POST", path="/deadlines/<int:deadline_id>/remove", view=remove, roles=REPAIR),
)
