"""The LMSes that callbacks go to."""

from __future__ import annotations

from typing import Any

from flask import Response

from xqueue_server.accounts.access import SEE
from xqueue_server.storage import origins
from xqueue_server.storage.origins import Origin
from xqueue_server.web.api.answer import answer_unless_known, instant_or_none
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.route import Route
from xqueue_server.web.api.schema import INSTANT, TEXT, WHOLE, holding, nullable, one_of, record


def list_origins(call: ApiCall) -> Response:
    call.caller.require_everywhere(SEE)
    with call.services.storage.read() as tx:
        found = origins.all_origins(tx)
    return answer_unless_known(call.request, {"origins": [_document(o) for o in found]})


def _document(origin: Origin) -> dict[str, Any]:
    return {
        "origin": origin.origin,
        "breaker": "closed" if origin.open_since is None else "open",
        "failures": origin.failures,
        "open_since": instant_or_none(origin.open_since),
        "probe_at": instant_or_none(origin.probe_at),
        "pending": origin.pending,
        "dead": origin.dead,
        "oldest_pending_at": instant_or_none(origin.oldest_pending_at),
    }


ORIGIN = record(
    "Origin",
    origin=TEXT,
    breaker=one_of(("closed", "open")),
    failures=WHOLE,
    open_since=nullable(INSTANT),
    probe_at=nullable(INSTANT),
    pending=WHOLE,
    dead=WHOLE,
    oldest_pending_at=nullable(INSTANT),
)

ROUTES = (
    Route(
        method="GET",
        path="/origins",
        view=list_origins,
        about="The LMSes that callbacks go to, and whether they answer",
        who="viewer, operator or admin on all queues",
        answers={200: holding("origins", ORIGIN), 304: None},
    ),
)
