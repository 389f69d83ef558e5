"""The record of who changed what."""

from __future__ import annotations

import re
from typing import Any

from flask import Response

from xqueue_server.accounts.access import ADMINISTER, SEE
from xqueue_server.storage import Transaction, audit
from xqueue_server.storage.events import Event
from xqueue_server.web.api.answer import answer, instant
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.operating.seeing import callback_for, submission_for
from xqueue_server.web.api.paging import page_of
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.route import PAGE, Query, Route
from xqueue_server.web.api.schema import ID, INSTANT, TEXT, nullable, page, record

NUMBERED = re.compile(r"(submission|callback) ([1-9]\d{0,18})")
MAX_CHARS = 160


def list_events(call: ApiCall) -> Response:
    subject, actor = call.request.args.get("subject"), call.request.args.get("actor")
    for name, value in (("subject", subject), ("actor", actor)):
        if value is not None and not (value.isprintable() and 0 < len(value) <= MAX_CHARS):
            raise ApiError(422, "invalid", f"{name} must have 1 to {MAX_CHARS} characters")
    asked = page_of(call)
    with call.services.storage.read() as tx:
        _require_subject(call, tx, subject)
        found = audit.page(
            tx, subject=subject, actor=actor, limit=asked.with_next, before=asked.before
        )
    return answer(asked.answer("events", found, event_document, lambda event: event.id))


def _require_subject(call: ApiCall, tx: Transaction, subject: str | None) -> None:
    """Whoever sees a thing sees what was done to it; the whole record is for administrators.

    Raises: ApiError 403, 404.
    """
    numbered = NUMBERED.fullmatch(subject or "")
    if subject is not None and subject.startswith("queue "):
        call.caller.require(tx, SEE, subject.removeprefix("queue "))
    elif numbered and numbered[1] == "submission":
        submission_for(call, tx, int(numbered[2]))
    elif numbered:
        callback_for(call, tx, int(numbered[2]))
    elif subject != f"account {call.caller.account.name}":
        call.caller.require_everywhere(ADMINISTER)


def event_document(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": instant(event.at),
        "subject": event.subject,
        "submission_id": event.submission_id,
        "actor": event.actor,
        "from_state": event.from_state,
        "to_state": event.to_state,
        "why": event.why,
        "detail": event.detail,
        "request_id": event.request_id,
    }


EVENT = record(
    "Event",
    id=ID,
    at=INSTANT,
    subject=TEXT,
    submission_id=nullable(ID),
    actor=TEXT,
    from_state=nullable(TEXT),
    to_state=nullable(TEXT),
    why=TEXT,
    detail=nullable(TEXT),
    request_id=nullable(TEXT),
)

ROUTES = (
    Route(
        method="GET",
        path="/events",
        view=list_events,
        about="Who changed what, newest first",
        who="admin on all queues; with `subject` whoever sees it",
        query=(
            Query(name="subject", about='Exactly this one: "submission 7", "queue q", "account a"'),
            Query(name="actor", about="Exactly this one"),
            *PAGE,
        ),
        answers={200: page("events", EVENT)},
    ),
)
