"""Faults of graders, for those who can repair them."""

from __future__ import annotations

from typing import Any

from flask import Response

from xqueue_server.accounts.access import REPAIR
from xqueue_server.errors import NotFound
from xqueue_server.models.fault import Fault, FaultKind
from xqueue_server.models.grader import NAME
from xqueue_server.repair import bulk
from xqueue_server.storage import faults, forgeable
from xqueue_server.web.api.answer import answer, instant
from xqueue_server.web.api.call import HIGHEST_ID, ApiCall
from xqueue_server.web.api.caller import READER
from xqueue_server.web.api.operating.bulk import MOST_CONFIRMED, done_document, time_is_over
from xqueue_server.web.api.paging import page_of
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.reading import SMALL_BYTES, Fields


def list_faults(call: ApiCall) -> Response:
    grader, kind = call.request.args.get("grader"), call.request.args.get("kind")
    if grader is not None and not NAME.fullmatch(grader):
        raise ApiError(422, "invalid", "grader must be a grader's name")
    if kind is not None and kind not in set(FaultKind):
        raise ApiError(422, "invalid", f"kind must be one of {', '.join(FaultKind)}")
    asked = page_of(call)
    with call.services.storage.read() as tx:
        found = faults.latest(
            tx,
            queues=call.caller.chosen_queues(tx, READER, call.parameters("queue")),
            grader=grader,
            kind=None if kind is None else FaultKind(kind),
            limit=asked.with_next,
            before=asked.before or call.whole_number("before", None, most=HIGHEST_ID),
        )
    return answer(asked.answer("faults", found, _document, lambda fault: fault.id))


def show_fault(call: ApiCall, fault_id: int) -> Response:
    with call.services.storage.read() as tx:
        fault = faults.find(tx, fault_id) if fault_id <= HIGHEST_ID else None
        if fault is None or not call.caller.account.may(READER, fault.queue):
            raise NotFound("No such fault")
        held = faults.submissions_of(tx, fault_id)
        marked = forgeable.among(tx, [s.submission_id for s in held])
    submissions = [
        {
            "id": s.submission_id,
            "state": s.state,
            "forgeable": s.submission_id in marked,
            "at": instant(s.at),
        }
        for s in held
    ]
    return answer(_document(fault) | {"detail": fault.detail, "submissions": submissions})


def release_fault(call: ApiCall, fault_id: int) -> Response:
    """Put all that it holds back to the queue, to be graded by the version in use now."""
    fields = Fields(call.document(SMALL_BYTES), ("confirmed_count", "anyway"))
    confirmed = fields.whole("confirmed_count", 0, MOST_CONFIRMED)
    anyway = fields.yes_no("anyway", False)
    fields.check()
    storage, caller = call.services.storage, call.caller
    with storage.read() as tx:
        fault = faults.find(tx, fault_id) if fault_id <= HIGHEST_ID else None
        if fault is None or not caller.account.may(READER, fault.queue):
            raise NotFound("No such fault")
        caller.require(tx, REPAIR, fault.queue)
    done = bulk.release_fault(
        storage,
        fault_id,
        confirmed=confirmed,
        actor=caller.actor,
        anyway=anyway,
        is_over=time_is_over(),
    )
    for queue in done.queues:
        call.services.dispatcher.nudge(queue)
    return answer(done_document(done))


def _document(fault: Fault) -> dict[str, Any]:
    return {
        "id": fault.id,
        "queue": fault.queue,
        "grader": fault.grader,
        "version": fault.version,
        "kind": fault.kind,
        "signature": fault.signature,
        "count": fault.count,
        "first_at": instant(fault.first_at),
        "last_at": instant(fault.last_at),
    }
