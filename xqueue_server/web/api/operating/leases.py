"""Leases that are held at the moment. Their keys are shown to nobody."""

from __future__ import annotations

from typing import Any

from flask import Response

from xqueue_server.accounts.access import SEE
from xqueue_server.storage import held_leases
from xqueue_server.storage.held_leases import HeldLease
from xqueue_server.web.api.answer import answer, instant, instant_or_none
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.paging import page_of
from xqueue_server.web.api.route import PAGE, Query, Route
from xqueue_server.web.api.schema import ID, INSTANT, TEXT, WHOLE, nullable, page, record


def list_leases(call: ApiCall) -> Response:
    asked = page_of(call)
    with call.services.storage.read() as tx:
        scope = call.caller.scope(tx, SEE)
        for queue in call.parameters("queue"):
            call.caller.require(tx, SEE, queue)
        found = held_leases.latest(
            tx,
            scope,
            queues=call.parameters("queue"),
            limit=asked.with_next,
            before=asked.before,
        )
    return answer(asked.answer("leases", found, _document, lambda lease: lease.submission_id))


def _document(lease: HeldLease) -> dict[str, Any]:
    return {
        "submission_id": lease.submission_id,
        "queue": lease.queue,
        "attempt": lease.attempt,
        "by": lease.leased_by,
        "since": instant_or_none(lease.leased_at),
        "until": instant(lease.lease_until),
    }


LEASE = record(
    "Lease",
    submission_id=ID,
    queue=TEXT,
    attempt=WHOLE,
    by=TEXT,
    since=nullable(INSTANT),
    until=INSTANT,
)

ROUTES = (
    Route(
        method="GET",
        path="/leases",
        view=list_leases,
        about="Submissions that are being graded, newest first",
        who="viewer, operator or admin",
        query=(Query(name="queue", about="Only of this queue", is_repeatable=True), *PAGE),
        answers={200: page("leases", LEASE)},
    ),
)
