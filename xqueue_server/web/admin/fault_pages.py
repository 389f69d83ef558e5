"""Faults of graders: what is wrong, whom it holds, and setting it right for all of them."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response

from xqueue_server.accounts.access import PUBLISH, REPAIR, SEE, SEE_GRADERS
from xqueue_server.errors import NotFound
from xqueue_server.models.fault import FaultKind
from xqueue_server.repair import bulk
from xqueue_server.storage import faults, forgeable, graders, queues
from xqueue_server.web.admin.call import HIGHEST_ID, AdminCall
from xqueue_server.web.admin.route import Route

PAGE = 50


def show_list(call: AdminCall) -> Response:
    kind = call.parameter("kind") if call.parameter("kind") in set(FaultKind) else None
    with call.storage.read() as tx:
        seen = call.scope(tx, SEE_GRADERS)
        names = [q.name for q in queues.all_queues(tx) if seen.has_queue(q.name)]
        asked = call.parameter("queue")
        found = faults.latest(
            tx,
            queues=[name for name in names if asked in ("", name)],
            kind=FaultKind(kind) if kind else None,
            limit=PAGE,
            before=call.page_before(),
        )
    return call.page(
        "faults.html",
        found=found,
        queues=names,
        queue=asked,
        kinds=list(FaultKind),
        kind=kind,
        limit=PAGE,
    )


def show_one(call: AdminCall, fault_id: int) -> Response:
    with call.storage.read() as tx:
        fault = faults.find(tx, fault_id) if fault_id <= HIGHEST_ID else None
        if fault is None or not call.may(SEE_GRADERS, fault.queue):
            raise NotFound(f"There is no fault {fault_id}, or it is not yours to see")
        hit = faults.submissions_of(tx, fault_id)
        marked = forgeable.among(tx, [s.submission_id for s in hit])
        grader = graders.find(tx, fault.queue, fault.grader) if fault.grader else None
        versions = graders.versions_of(tx, fault.queue, grader.name) if grader else []
    return call.page(
        "fault.html",
        fault=fault,
        hit=hit,
        held=bulk.held_by_fault(call.storage, fault_id),
        marked=marked,
        grader=grader,
        versions=versions,
        may_see=call.may(SEE, fault.queue),
        may_repair=call.may(REPAIR, fault.queue),
        may_publish=call.may(PUBLISH, fault.queue),
    )


ROUTES: Sequence[Route] = (
    Route(method="GET", path="/faults", view=show_list, roles=SEE_GRADERS),
    Route(method="GET", path="/faults/<int:fault_id>", view=show_one, roles=SEE_GRADERS),
)
