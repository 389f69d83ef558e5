"""Regrades that were asked for, and what came of them. Asking is `bulk` and `submissions`."""

from __future__ import annotations

from typing import Any

from flask import Response

from xqueue_server.accounts.access import SEE
from xqueue_server.errors import NotFound
from xqueue_server.models.regrade import RegradeBatch, RegradeState
from xqueue_server.storage import regrades
from xqueue_server.web.api.answer import answer, answer_unless_known, instant
from xqueue_server.web.api.call import HIGHEST_ID, ApiCall
from xqueue_server.web.api.paging import page_of
from xqueue_server.web.api.route import PAGE, Route
from xqueue_server.web.api.schema import ID, INSTANT, TEXT, WHOLE, page, record


def list_regrades(call: ApiCall) -> Response:
    call.caller.require_everywhere(SEE)
    asked = page_of(call)
    with call.services.storage.read() as tx:
        found = regrades.latest_batches(tx, limit=asked.with_next, before=asked.before)
    return answer(asked.answer("regrades", found, _document, lambda batch: batch.id))


def show_regrade(call: ApiCall, batch_id: int) -> Response:
    call.caller.require_everywhere(SEE)
    if batch_id > HIGHEST_ID:
        raise NotFound(f"Regrade {batch_id} not found")
    with call.services.storage.read() as tx:
        found = regrades.get_batch(tx, batch_id)
    return answer_unless_known(call.request, _document(found))


def _document(batch: RegradeBatch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "requested_at": instant(batch.requested_at),
        "requested_by": batch.requested_by,
        "reason": batch.reason,
        "selection": batch.selection,
        "counts": {state.value: batch.counts.get(state, 0) for state in RegradeState},
        "lms_kept_old": batch.lms_kept_old,
    }


BATCH = record(
    "RegradeBatch",
    id=ID,
    requested_at=INSTANT,
    requested_by=TEXT,
    reason=TEXT,
    selection=TEXT,
    counts=record("RegradeCounts", **{state.value: WHOLE for state in RegradeState}),
    lms_kept_old=WHOLE,
)
WHO = "viewer, operator or admin on all queues"

ROUTES = (
    Route(
        method="GET",
        path="/regrades",
        view=list_regrades,
        about="Regrades that were asked for, newest first, and how far they are",
        who=WHO,
        query=PAGE,
        answers={200: page("regrades", BATCH)},
    ),
    Route(
        method="GET",
        path="/regrades/<int:batch_id>",
        view=show_regrade,
        about="One of them; its submissions: `GET /submissions?batch=`",
        who=WHO,
        answers={200: BATCH, 304: None},
    ),
)
