"""Repairing many submissions at once. A person has seen how many, and says that number."""

from __future__ import annotations

from time import monotonic
from typing import Any

from flask import Response

from xqueue_server.accounts.access import REPAIR
from xqueue_server.errors import NotFound
from xqueue_server.models.scope import Scope
from xqueue_server.models.selection import Selection
from xqueue_server.repair import bulk
from xqueue_server.repair.bulk import Act, Done
from xqueue_server.storage import events, regrades
from xqueue_server.web.api.answer import answer
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.operating.selections import SELECTION, from_body
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.reading import Fields
from xqueue_server.web.api.route import Route
from xqueue_server.web.api.schema import (
    ID,
    TEXT,
    WHOLE,
    YES_NO,
    list_of,
    nullable,
    one_of,
    record,
)

MAX_BYTES = 256 * 1024
MAX_REASON_CHARS = 500
MOST_CONFIRMED = 10_000_000
LASTS_AT_MOST_S = 20.0
"""Then the rest is left for the next request: proxies and people do not wait longer."""


def preview_bulk(call: ApiCall) -> Response:
    fields = Fields(call.document(MAX_BYTES), ("action", "selection"))
    act = fields.choice("action", tuple(Act))
    selection = from_body(fields, "selection")
    fields.check()
    storage, scope = call.services.storage, _repairable(call)
    document: dict[str, Any] = {"action": act, "count": 0, "graded_by": None}
    if act == Act.REGRADE:
        preview = bulk.preview_regrade(storage, selection, scope)
        document["count"] = preview.count
        document["graded_by"] = [
            {
                "grader": each.grader,
                "version": each.version,
                "lms_has_it": each.lms_has_it,
                "count": each.count,
            }
            for each in preview.graded_by
        ]
    else:
        document["count"] = bulk.matching(storage, Act(act), selection, scope)
    return answer(document)


def repair_many(call: ApiCall) -> Response:
    fields = Fields(
        call.document(MAX_BYTES), ("action", "selection", "confirmed_count", "reason", "batch_id")
    )
    act = fields.choice("action", tuple(Act))
    selection = from_body(fields, "selection")
    confirmed = fields.whole("confirmed_count", 0, MOST_CONFIRMED)
    is_needed = act == Act.REGRADE
    reason = fields.text("reason", most=MAX_REASON_CHARS, is_needed=is_needed)
    batch_id = fields.whole("batch_id", 1, 2**63 - 1) if fields.has("batch_id") else None
    if batch_id is not None and act != Act.REGRADE:
        fields.wrong("batch_id", "goes with regrade")
    fields.check()
    scope = _repairable(call)
    if batch_id is not None:
        _require_own_batch(call, batch_id)
    if reason and act != Act.REGRADE:
        with call.services.storage.write() as tx:
            detail = f"{act}: {reason}"
            events.append(
                tx, subject="submissions", actor=call.caller.actor, why="reason", detail=detail
            )
    done = _do(call, Act(act), selection, scope, confirmed, reason, batch_id)
    for queue in done.queues:
        call.services.dispatcher.nudge(queue)
    call.note(bulk=act, count=done.count)
    return answer(done_document(done))


def _require_own_batch(call: ApiCall, batch_id: int) -> None:
    """Nobody adds to what another has asked for. Raises: NotFound."""
    name = f"account {call.caller.account.name}"
    with call.services.storage.read() as tx:
        by = regrades.get_batch(tx, batch_id).requested_by
    if by != name and not by.startswith(f"{name} by "):
        raise NotFound(f"Regrade {batch_id} not found")


def _do(
    call: ApiCall,
    act: Act,
    selection: Selection,
    scope: Scope,
    confirmed: int,
    reason: str,
    batch_id: int | None,
) -> Done:
    storage = call.services.storage
    terms: dict[str, Any] = {
        "confirmed": confirmed,
        "actor": call.caller.actor,
        "is_over": time_is_over(),
    }
    match act:
        case Act.RELEASE:
            return bulk.release(storage, selection, scope, **terms)
        case Act.GIVE_UP:
            return bulk.give_up(storage, selection, scope, **terms)
        case Act.REPLAY:
            return bulk.replay(storage, selection, scope, **terms)
        case Act.CANCEL_REGRADE:
            return bulk.cancel_regrades(storage, selection, scope, **terms)
        case Act.REGRADE:
            return bulk.regrade(
                storage, selection, scope, reason=reason, batch_id=batch_id, **terms
            )


def time_is_over() -> bulk.IsOver:
    until = monotonic() + LASTS_AT_MOST_S
    return lambda: monotonic() >= until


def _repairable(call: ApiCall) -> Scope:
    with call.services.storage.read() as tx:
        scope = call.caller.scope(tx, REPAIR)
    if scope.is_nothing:
        raise ApiError(403, "forbidden", "This needs the role operator on a queue or a course")
    return scope


def done_document(done: Done) -> dict[str, Any]:
    return {
        "count": done.count,
        "skipped_count": done.skipped_count,
        "skipped": [{"submission_id": s.submission_id, "why": s.why} for s in done.skipped],
        "complete": done.is_complete,
        "batch_id": done.batch_id,
    }


DONE = record(
    "BulkDone",
    count=WHOLE,
    skipped_count=WHOLE,
    skipped=list_of(record("Skipped", submission_id=ID, why=TEXT)),
    complete=YES_NO,
    batch_id=nullable(ID),
)
GRADED_BY = record(
    "GradedBy", grader=nullable(TEXT), version=nullable(WHOLE), lms_has_it=YES_NO, count=WHOLE
)

ROUTES = (
    Route(
        method="POST",
        path="/submissions/bulk/preview",
        view=preview_bulk,
        about="To how many submissions something would be done now",
        who="operator or admin",
        body=record("BulkQuestion", action=one_of(Act), selection=SELECTION),
        answers={
            200: record(
                "BulkPreview",
                action=one_of(Act),
                count=WHOLE,
                graded_by=nullable(list_of(GRADED_BY)),
            )
        },
    ),
    Route(
        method="POST",
        path="/submissions/bulk",
        view=repair_many,
        about="Release, give up, regrade, replay or cancel regrades of all that match; "
        "refused if more match than were confirmed",
        who="operator or admin",
        body=record(
            "BulkRepair",
            optional=("reason", "batch_id"),
            action=one_of(Act),
            selection=SELECTION,
            confirmed_count=WHOLE,
            reason=TEXT,
            batch_id=ID,
        ),
        answers={200: DONE},
    ),
)
