"""Submissions: the list with its filters, and what can be done about one of them."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response

from xqueue_server.accounts.access import REPAIR, SEE
from xqueue_server.errors import Conflict, InvalidRequest
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.selection import Selection
from xqueue_server.models.submission import (
    LEAST_PRIORITY,
    MOST_PRIORITY,
    HoldReason,
    SubmissionState,
)
from xqueue_server.repair import bulk, regrading
from xqueue_server.storage import events, forgeable, queues, selecting, submissions
from xqueue_server.storage.selecting import Count, Selected
from xqueue_server.submissions import holding, line, why_waiting
from xqueue_server.submissions.why_waiting import Reason
from xqueue_server.web.admin.call import AdminCall, whole_number
from xqueue_server.web.admin.filters import filter_of
from xqueue_server.web.admin.next_steps import next_step
from xqueue_server.web.admin.paths import at
from xqueue_server.web.admin.route import Route

PAGE = 50
MANY = 1000
"""Counts on the page stop there."""


def show_list(call: AdminCall) -> Response:
    asked, count = filter_of(call.request), None
    found: list[Selected] = []
    reasons: dict[int, Reason] = {}
    marked: frozenset[int] = frozenset()
    with call.storage.read() as tx:
        seen, repaired = call.scope(tx, SEE), call.scope(tx, REPAIR)
        names = [q.name for q in queues.all_queues(tx) if seen.has_queue(q.name)]
        if asked.selection is not None:
            before = call.page_before()
            found = list(selecting.page(tx, asked.selection, seen, limit=PAGE, before=before))
            if before is None and len(found) < PAGE:
                count = Count(count=len(found), is_more=False)
            else:
                count = selecting.count(tx, asked.selection, seen, most=MANY)
            reasons = why_waiting.explain_all(tx, [each.submission for each in found])
            marked = forgeable.among(tx, [each.submission.id for each in found])
    return call.page(
        "submissions.html",
        status=200 if asked.problem is None else 422,
        filter=asked,
        found=found,
        count=count,
        reasons=reasons,
        steps={s.id: next_step(reasons[s.id], s) for s in (each.submission for each in found)},
        marked=marked,
        may_repair=not repaired.is_nothing,
        queues=names,
        states=list(SubmissionState),
        hold_reasons=list(HoldReason),
        callback_states=list(CallbackState),
        limit=PAGE,
    )


# -- actions -------------------------------------------------------------------------------------


def release(call: AdminCall, submission_id: int) -> Response:
    _require(call, submission_id)
    holding.release(call.storage, submission_id, actor=call.actor)
    return _done(call, submission_id, "is queued again, with all its attempts")


def give_up(call: AdminCall, submission_id: int) -> Response:
    _require(call, submission_id)
    if call.field("sure") != "yes":
        raise InvalidRequest("Giving up can not be undone: tick the box that says so first")
    holding.give_up(call.storage, submission_id, actor=call.actor)
    return _done(call, submission_id, "was given up; the LMS will be told so")


def regrade(call: AdminCall, submission_id: int) -> Response:
    _require(call, submission_id)
    with call.storage.read() as tx:
        scope = call.scope(tx, REPAIR)
    done = bulk.regrade(
        call.storage,
        Selection(ids=frozenset({submission_id})),
        scope,
        reason=call.field("reason"),
        confirmed=1,
        actor=call.actor,
    )
    if not done.count:
        why = done.skipped[0].why if done.skipped else "it is not graded"
        raise Conflict(f"Nothing was regraded: {why}")
    return _done(call, submission_id, f"is graded anew, as regrade {done.batch_id}")


def cancel_regrade(call: AdminCall, submission_id: int) -> Response:
    _require(call, submission_id)
    with call.storage.write() as tx:
        regrading.cancel(tx, submission_id, actor=call.actor)
    return _done(call, submission_id, "keeps its old grade; the regrade was cancelled")


def prioritise(call: AdminCall, submission_id: int) -> Response:
    _require(call, submission_id)
    priority = whole_number(
        call.field("priority"), "The priority", least=LEAST_PRIORITY, most=MOST_PRIORITY
    )
    line.prioritise(call.storage, submission_id, priority, actor=call.actor)
    return _done(call, submission_id, f"has priority {priority}")


def show_code(call: AdminCall, submission_id: int) -> Response:
    """What the learner sent, on demand, and on record."""
    with call.storage.write() as tx:
        found = call.require_submission(tx, submission_id, REPAIR, SEE)
        contents = submissions.contents_of(tx, submission_id)
        events.append(
            tx,
            subject=f"submission {submission_id}",
            submission_id=submission_id,
            actor=call.actor,
            why="code seen",
        )
    call.note(submission_id=submission_id)
    return call.page("code.html", submission=found, contents=contents)


def _require(call: AdminCall, submission_id: int) -> None:
    with call.storage.read() as tx:
        call.require_submission(tx, submission_id, REPAIR, SEE)
    call.note(submission_id=submission_id)


def _done(call: AdminCall, submission_id: int, what: str) -> Response:
    return call.done(f"Submission {submission_id} {what}.", at("submissions", submission_id))


_PATH = "/submissions/<int:submission_id>"
ROUTES: Sequence[Route] = (
    Route(method="GET", path="/submissions", view=show_list, roles=SEE),
    Route(method="POST", path=f"{_PATH}/release", view=release, roles=REPAIR),
    Route(method="POST", path=f"{_PATH}/give-up", view=give_up, roles=REPAIR),
    Route(method="POST", path=f"{_PATH}/regrade", view=regrade, roles=REPAIR),
    Route(method="POST", path=f"{_PATH}/cancel-regrade", view=cancel_regrade, roles=REPAIR),
    Route(method="POST", path=f"{_PATH}/priority", view=prioritise, roles=REPAIR),
    Route(method="POST", path=f"{_PATH}/code", view=show_code, roles=REPAIR),
)
