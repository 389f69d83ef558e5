"""The audit log: who changed what, from which state to which, why and when."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Response

from xqueue_server.accounts.access import SEE, SEE_GRADERS
from xqueue_server.models.account import Role
from xqueue_server.storage import Transaction, accounts, audit
from xqueue_server.storage.events import Event
from xqueue_server.web.admin.call import HIGHEST_ID, AdminCall, Forbidden
from xqueue_server.web.admin.route import Route

PAGE = 100
MOST_PEOPLE = 200
"""Beyond, everything is shown."""
MACHINES = frozenset({Role.LMS, Role.GRADER})
MOST_CHARS = 160
_SUBMISSION = re.compile(r"submission ([1-9]\d{0,18})")


def show(call: AdminCall) -> Response:
    """All of it is for administrators; of a queue or submission for whoever sees that; of one's
    own acts for everybody."""
    subject, actor = _text(call, "subject"), _text(call, "actor")
    event_id = call.parameter("id")
    is_number = event_id.isascii() and event_id.isdecimal() and len(event_id) < 20
    found_id = int(event_id) if is_number else None
    is_open = call.is_administrator and not (subject or actor or event_id)
    before = call.page_before()
    with call.storage.read() as tx:
        if not call.is_administrator:
            subject, actor = _narrowed(call, tx, subject, actor)
        actors = audit.actors(tx) if call.is_administrator else []
        people = _people(tx, actors)
        is_of_people = is_open and call.parameter("by") != "all" and len(people) <= MOST_PEOPLE
        if is_of_people:
            found = audit.page_of(tx, people, limit=PAGE, before=before)
        else:
            found = audit.page(
                tx,
                subject=subject,
                actor=actor,
                event_id=min(found_id, HIGHEST_ID) if found_id else None,
                limit=PAGE,
                before=before,
            )
    return call.page(
        "events.html",
        found=found,
        actors=actors,
        is_open=is_open,
        is_of_people=is_of_people,
        subject=subject or "",
        actor=actor or "",
        is_detail_hidden=not call.is_administrator,
        links={event.id: _links(event) for event in found},
        limit=PAGE,
    )


def _people(tx: Transaction, actors: Sequence[str]) -> list[str]:
    """Without LMSes, workers and our own processes, whose every step stands in the log."""
    machines = {
        f"account {account.name}"
        for account in accounts.all_accounts(tx)
        if account.grants and {grant.role for grant in account.grants} <= MACHINES
    }
    return [
        actor
        for actor in actors
        if actor.startswith(("account ", "operator ")) and actor not in machines
    ]


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
