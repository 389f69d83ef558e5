"""One act on all submissions that a filter matches: first how many, then, if confirmed, the act."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Response

from xqueue_server.accounts.access import REPAIR, SEE_GRADERS
from xqueue_server.errors import Conflict, InvalidRequest, NotFound
from xqueue_server.models.fault import Fault
from xqueue_server.models.selection import to_fields
from xqueue_server.repair import bulk
from xqueue_server.repair.bulk import Act, Done, Preview
from xqueue_server.storage import faults, regrades, selecting
from xqueue_server.web.admin.call import HIGHEST_ID, AdminCall, whole_number
from xqueue_server.web.admin.filters import Filter, filter_of, read_filter
from xqueue_server.web.admin.paths import at
from xqueue_server.web.admin.route import Route
from xqueue_server.web.admin.shown import plural

LONGEST_S = 20.0
"""Of one request; what is left then is done by pressing the button again."""
SHOWN_SKIPPED = 3
MOST = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    title: str
    effect: str
    done: str


WORDS = {
    Act.RELEASE: Words(
        title="Release",
        effect="Held submissions go back to their queues, with all their attempts. Mend their "
        "grader first, or they are held again.",
        done="released",
    ),
    Act.REGRADE: Words(
        title="Grade anew",
        effect="Graded submissions go back to their queues, after all work that learners wait "
        "for. The old grade counts until a new one is there. An LMS that has taken a grade keeps "
        "it: what has changed can then be downloaded and uploaded there as an override.",
        done="queued to be graded anew",
    ),
    Act.REPLAY: Words(
        title="Send again",
        effect="Dead messages are sent to their LMSes again at once. An LMS takes the first reply "
        "to a submission for good; one that it has taken already is ignored there.",
        done="to be sent again",
    ),
    Act.GIVE_UP: Words(
        title="Give up",
        effect="The learners of held submissions are told that there is no grade. This can not be "
        "undone: the attempt is spent, and the LMS ignores a later grade.",
        done="given up",
    ),
    Act.CANCEL_REGRADE: Words(
        title="Cancel the regrades",
        effect="What is being graded anew keeps its old grade.",
        done="no longer regraded",
    ),
}


def ask(call: AdminCall, act: str) -> Response:
    continued = _continued(call, call.parameter("continue"))
    return _confirmation(call, _act(act), filter_of(call.request), continued=continued)


def do(call: AdminCall, act: str) -> Response:
    chosen, asked = _act(act), read_filter(call.fields)
    confirmed, continued = _confirmed(call), _continued(call, call.field("continue"))
    if chosen is Act.GIVE_UP:
        _require_sure(call)
    try:
        done = _done(call, chosen, asked, confirmed, continued)
    except (Conflict, InvalidRequest) as error:
        return _confirmation(
            call, chosen, asked, continued=continued, problem=f"{error}.", status=409
        )
    return _told(call, WORDS[chosen].done, done, _where_next(done, asked))


def _where_next(done: Done, asked: Filter) -> str:
    if done.batch_id is None:
        return asked.href()
    if done.is_complete:
        return at("regrades", done.batch_id)
    return at("bulk", Act.REGRADE, **asked.given, **{"continue": done.batch_id})


def _done(call: AdminCall, act: Act, asked: Filter, confirmed: int, continued: int | None) -> Done:
    if asked.selection is None:
        raise InvalidRequest(asked.problem or "This filter can not be used")
    with call.storage.read() as tx:
        scope = call.scope(tx, REPAIR)
    if act is Act.REGRADE:
        return bulk.regrade(
            call.storage,
            asked.selection,
            scope,
            reason=call.field("reason"),
            confirmed=confirmed,
            actor=call.actor,
            batch_id=continued,
            is_over=time_limit(),
        )
    return _ACTS[act](
        call.storage,
        asked.selection,
        scope,
        confirmed=confirmed,
        actor=call.actor,
        is_over=time_limit(),
    )


_ACTS: dict[Act, Callable[..., Done]] = {
    Act.RELEASE: bulk.release,
    Act.REPLAY: bulk.replay,
    Act.GIVE_UP: bulk.give_up,
    Act.CANCEL_REGRADE: bulk.cancel_regrades,
}


def time_limit() -> Callable[[], bool]:
    until = time.monotonic() + LONGEST_S
    return lambda: time.monotonic() > until


def _confirmation(
    call: AdminCall,
    act: Act,
    asked: Filter,
    *,
    continued: int | None = None,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    if asked.selection is None:
        raise InvalidRequest(asked.problem or "This filter can not be used")
    with call.storage.read() as tx:
        scope = call.scope(tx, REPAIR)
        some = selecting.page(tx, asked.selection, scope, limit=1)
    count = 0
    if some:
        count = bulk.matching(call.storage, act, asked.selection, scope, batch_id=continued)
    preview: Preview | None = None
    if act is Act.REGRADE and count:
        preview = bulk.preview_regrade(call.storage, asked.selection, scope, batch_id=continued)
    return call.page(
        "bulk.html",
        status=status,
        act=act,
        words=WORDS[act],
        filter=asked,
        fields=to_fields(asked.selection),
        count=count,
        preview=preview,
        continued=continued,
        problem=problem,
    )


def _told(call: AdminCall, what: str, done: Done, to: str) -> Response:
    for queue in done.queues:
        call.services.dispatcher.nudge(queue)
    text = f"{plural(done.count, 'submission')} {what}."
    if done.skipped_count:
        why = "; ".join(each.why for each in done.skipped[:SHOWN_SKIPPED])
        text += f" {plural(done.skipped_count, 'other')} skipped: {why}."
    if not done.is_complete:
        text += " Time was over before the end: do it again for the rest."
    if done.batch_id is not None:
        text += f" It is regrade {done.batch_id}."
    return call.done(text, to)


# -- what a fault holds --------------------------------------------------------------------------


def ask_fault(call: AdminCall, fault_id: int) -> Response:
    return _fault_confirmation(call, _fault(call, fault_id))


def release_fault(call: AdminCall, fault_id: int) -> Response:
    fault = _fault(call, fault_id)
    try:
        done = bulk.release_fault(
            call.storage,
            fault.id,
            confirmed=_confirmed(call),
            actor=call.actor,
            anyway=call.field("anyway") == "yes",
            is_over=time_limit(),
        )
    except Conflict as error:
        return _fault_confirmation(call, fault, problem=f"{error}.", status=409)
    return _told(call, WORDS[Act.RELEASE].done, done, at("faults", fault.id))


def _fault_confirmation(
    call: AdminCall, fault: Fault, *, problem: str | None = None, status: int = 200
) -> Response:
    return call.page(
        "bulk_fault.html",
        status=status,
        fault=fault,
        count=bulk.held_by_fault(call.storage, fault.id),
        broken=bulk.why_still_broken(call.storage, fault),
        problem=problem,
    )


def _fault(call: AdminCall, fault_id: int) -> Fault:
    """Raises: NotFound, Forbidden."""
    with call.storage.read() as tx:
        fault = faults.find(tx, fault_id) if fault_id <= HIGHEST_ID else None
    if fault is None or not call.may(SEE_GRADERS, fault.queue):
        raise NotFound(f"There is no fault {fault_id}, or it is not yours to see")
    call.require(REPAIR, fault.queue)
    return fault


# -- reading -------------------------------------------------------------------------------------


def _act(text: str) -> Act:
    if text not in set(Act):
        raise NotFound("There is no such act")
    return Act(text)


def _confirmed(call: AdminCall) -> int:
    return whole_number(call.field("confirmed"), "The confirmed number", least=0, most=MOST)


def _continued(call: AdminCall, text: str) -> int | None:
    """The regrade to go on with. Raises: NotFound, if somebody else has asked for it."""
    if not text:
        return None
    batch_id = whole_number(text, "The regrade", least=1, most=HIGHEST_ID)
    with call.storage.read() as tx:
        if regrades.get_batch(tx, batch_id).requested_by != call.actor:
            raise NotFound(f"Regrade {batch_id} not found")
    return batch_id


def _require_sure(call: AdminCall) -> None:
    if call.field("sure") != "yes":
        raise InvalidRequest("Giving up can not be undone: tick the box that says so first")


ROUTES: Sequence[Route] = (
    Route(method="GET", path="/bulk/<act>", view=ask, roles=REPAIR),
    Route(method="POST", path="/bulk/<act>", view=do, roles=REPAIR),
    Route(method="GET", path="/faults/<int:fault_id>/release", view=ask_fault, roles=REPAIR),
    Route(method="POST", path="/faults/<int:fault_id>/release", view=release_fault, roles=REPAIR),
)
