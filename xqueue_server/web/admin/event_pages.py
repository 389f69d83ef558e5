"""The audit log: who changed what, from which state to which, why and when."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Response

from xqueue_server.access import SEE, SEE_GRADERS
from xqueue_server.storage import Transaction, audit
from xqueue_server.storage.events import Event
from xqueue_server.web.admin.call import HIGHEST_ID, AdminCall, Forbidden
from xqueue_server.web.admin.route import Route

PAGE = 100
MOST_CHARS = 160
_SUBMISSION = re.compile(r"submission ([1-9]\d{0,18})")


def show(call: AdminCall) -> Response:
    """All of it is for administrators; of a queue or submission for whoever sees that; of one's
    own acts for everybody."""
    subject, actor = _text(call, "subject"), _text(call, "actor")
    event_id = call.parameter("id")
    found_id = int(event_id) if event_id.isascii() and event_id.isdecimal() else None
    with call.storage.read() as tx:
        if not call.is_administrator:
            subject, actor = _narrowed(call, tx, subject, actor)
        found = audit.page(
            tx,
            subject=subject,
            actor=actor,
            event_id=min(found_id, HIGHEST_ID) if found_id else None,
            limit=PAGE,
            before=call.page_before(),
        )
    return call.page(
        "events.html",
        found=found,
        subject=subject or "",
        actor=actor or "",
        is_detail_hidden=not call.is_administrator,
        links={event.id: _links(event) for event in found},
        limit=PAGE,
    )


def _text(call: AdminCall, name: str) -> str | None:
    text = call.parameter(name)
    return text[:MOST_CHARS] if text and text.isprintable() else None


def _narrowed(
    call: AdminCall, tx: Transaction, subject: str | None, actor: str | None
) -> tuple[str | None, str | None]:
    """What of the log somebody may see who is not an administrator of everything.

    Raises: NotFound, Forbidden.
    """
    if actor == call.actor or (subject is None and actor is None):
        return subject, call.actor
    if subject is not None and subject.startswith("queue "):
        call.require_queue(tx, subject.removeprefix("queue "), SEE_GRADERS, SEE_GRADERS)
        return subject, actor
    numbered = _SUBMISSION.fullmatch(subject or "")
    if numbered:
        call.require_submission(tx, int(numbered[1]), SEE, SEE)
        return subject, actor
    raise Forbidden("The whole audit log needs the role admin on all queues")


def _links(event: Event) -> tuple[str, ...]:
    """The path of the page about an event's subject, if there is one."""
    kind, _, name = event.subject.partition(" ")
    pages = {
        "submission": ("submissions", name),
        "callback": ("callbacks", name),
        "queue": ("queues", name),
        "account": ("accounts", name),
        "fault": ("faults", name),
        "host": ("workers",),
    }
    return pages.get(kind, ())


ROUTES: Sequence[Route] = (Route(method="GET", path="/events", view=show, roles=SEE_GRADERS),)
