"""Submissions: finding them, seeing what became of one, and repairing it.

What the learner wrote is in no list and in no facts; only `/content` has it, and leaves a mark.
"""

from __future__ import annotations

from typing import Any

from flask import Response

from xqueue_server.accounts.access import REPAIR, SEE
from xqueue_server.models.scope import EVERYTHING
from xqueue_server.models.selection import Selection
from xqueue_server.models.submission import (
    LEAST_PRIORITY,
    MOST_PRIORITY,
    HoldReason,
    Submission,
    SubmissionState,
)
from xqueue_server.repair import regrading
from xqueue_server.storage import (
    Transaction,
    events,
    forgeable,
    lease_graders,
    results,
    selecting,
    submissions,
)
from xqueue_server.storage.results import Disposition, Result
from xqueue_server.submissions import holding, line, why_waiting
from xqueue_server.submissions.why_waiting import Reason, ReasonCode
from xqueue_server.web.api.answer import answer, answer_unless_known, instant, instant_or_none
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.operating.seeing import submission_for
from xqueue_server.web.api.operating.selections import FILTERS, from_query
from xqueue_server.web.api.paging import page_of
from xqueue_server.web.api.reading import SMALL_BYTES, Fields
from xqueue_server.web.api.route import PAGE, Route
from xqueue_server.web.api.schema import (
    ID,
    INSTANT,
    NUMBER,
    OBJECT,
    TEXT,
    WHOLE,
    YES_NO,
    Schema,
    extended,
    list_of,
    nullable,
    one_of,
    page,
    record,
)
from xqueue_server.workload import expected_wait

MAX_REASON_CHARS = regrading.MAX_REASON_CHARS


# -- seeing --------------------------------------------------------------------------------------


def list_submissions(call: ApiCall) -> Response:
    wanted = from_query(call, "limit", "cursor")
    asked = page_of(call)
    with call.services.storage.read() as tx:
        found = selecting.page(
            tx,
            wanted,
            call.caller.scope(tx, SEE),
            limit=asked.with_next,
            before=asked.before,
        )
        shown = [each.submission for each in found]
        marked = forgeable.among(tx, [each.id for each in shown])
        reasons = why_waiting.explain_all(tx, shown)
    return answer(
        asked.answer(
            "submissions",
            found,
            lambda each: submission_document(
                each.submission,
                problem=each.problem,
                is_forgeable=each.submission.id in marked,
                reason=reasons[each.submission.id],
            ),
            lambda each: each.submission.id,
        )
    )


def show_submission(call: ApiCall, submission_id: int) -> Response:
    with call.services.storage.read() as tx:
        found = submission_for(call, tx, submission_id)
        document = _in_full(tx, found)
        position = line.position(tx, submission_id)
    document["position"] = position
    document["expected_wait_s"] = (
        None
        if position is None
        else expected_wait.expected_wait_s(call.services.storage, found.queue, position)
    )
    return answer_unless_known(call.request, document)


def show_results(call: ApiCall, submission_id: int) -> Response:
    """In full, as graders sent them: the learner sees the same."""
    with call.services.storage.read() as tx:
        submission_for(call, tx, submission_id)
        found = results.of_submission(tx, submission_id)
    return answer_unless_known(call.request, {"results": [_result_document(r) for r in found]})


def show_content(call: ApiCall, submission_id: int) -> Response:
    with call.services.storage.write() as tx:
        submission_for(call, tx, submission_id, REPAIR)
        contents = submissions.contents_of(tx, submission_id)
        events.append(
            tx,
            subject=f"submission {submission_id}",
            submission_id=submission_id,
            actor=call.caller.actor,
            why="looked",
            request_id=call.request_id,
        )
    files = [{"name": f.name, "size_bytes": f.size_bytes} for f in contents.files]
    response = answer({"id": submission_id, "body": contents.body, "files": files})
    response.headers["Cache-Control"] = "no-store"
    return response


def submission_document(
    found: Submission, *, problem: str, is_forgeable: bool, reason: Reason
) -> dict[str, Any]:
    """Without keys and contents."""
    return {
        "id": found.id,
        "queue": found.queue,
        "state": found.state,
        "course": found.course,
        "problem": problem,
        "learner": found.learner,
        "priority": found.priority,
        "attempt": found.attempt,
        "regrading": found.is_regrade,
        "forgeable": is_forgeable,
        "submitted_by": found.submitted_by,
        "arrived_at": instant(found.arrived_at),
        "available_at": instant_or_none(found.available_at),
        "leased_by": found.leased_by,
        "lease_until": instant_or_none(found.lease_until),
        "held_reason": found.held_reason,
        "held_at": instant_or_none(found.held_at),
        "ended_at": instant_or_none(found.ended_at),
        "reason": reason.as_object(),
    }


def _in_full(tx: Transaction, found: Submission) -> dict[str, Any]:
    has_contents = submissions.has_contents(tx, found.id)
    contents = submissions.contents_of(tx, found.id) if has_contents else None
    return _document(tx, found) | {
        "callback_url": found.callback_url,
        "platform_failures": found.platform_failures,
        "held_detail": found.held_detail,
        "body_bytes": None if contents is None else len(contents.body.encode()),
        "files": [] if contents is None else [f.size_bytes for f in contents.files],
        "graders": [
            {
                "attempt": g.attempt,
                "grader": g.grader,
                "version": g.version,
                "isolation": g.isolation,
                "at": instant(g.at),
            }
            for g in lease_graders.of_submission(tx, found.id)
        ],
    }


def _document(tx: Transaction, found: Submission) -> dict[str, Any]:
    return submission_document(
        found,
        problem=_problem_of(tx, found.id),
        is_forgeable=found.id in forgeable.among(tx, [found.id]),
        reason=why_waiting.explain(tx, found.id),
    )


def _problem_of(tx: Transaction, submission_id: int) -> str:
    """ "" where the callback URL does not tell, or the contents are no longer kept."""
    found = selecting.page(tx, Selection(ids=frozenset({submission_id})), EVERYTHING, limit=1)
    return found[0].problem if found else ""


def _result_document(result: Result) -> dict[str, Any]:
    return {
        "id": result.id,
        "disposition": result.disposition,
        "sent_by": result.sent_by,
        "received_at": instant(result.received_at),
        "forgeable": result.forgeable,
        "body": result.body,
    }


# -- repairing -----------------------------------------------------------------------------------


def release_submission(call: ApiCall, submission_id: int) -> Response:
    Fields(call.document(SMALL_BYTES), ()).check()
    found = _repairable(call, submission_id)
    holding.release(call.services.storage, submission_id, actor=call.caller.actor)
    call.services.dispatcher.nudge(found.queue)
    return _as_it_is(call, submission_id)


def give_up_submission(call: ApiCall, submission_id: int) -> Response:
    """Irreversible: the LMS takes the first reply for good."""
    Fields(call.document(SMALL_BYTES), ()).check()
    _repairable(call, submission_id)
    holding.give_up(call.services.storage, submission_id, actor=call.caller.actor)
    return _as_it_is(call, submission_id)


def regrade_submission(call: ApiCall, submission_id: int) -> Response:
    fields = Fields(call.document(SMALL_BYTES), ("reason",))
    found = _repairable(call, submission_id)
    reason = fields.text("reason", most=MAX_REASON_CHARS)
    fields.check()
    request = regrading.Request(
        reason=reason, selection=f"id={submission_id}", actor=call.caller.actor
    )
    regrading.regrade_one(call.services.storage, submission_id, request)
    call.services.dispatcher.nudge(found.queue)
    return _as_it_is(call, submission_id)


def prioritise_submission(call: ApiCall, submission_id: int) -> Response:
    fields = Fields(call.document(SMALL_BYTES), ("priority",))
    _repairable(call, submission_id)
    priority = fields.whole("priority", LEAST_PRIORITY, MOST_PRIORITY)
    fields.check()
    line.prioritise(call.services.storage, submission_id, priority, actor=call.caller.actor)
    return _as_it_is(call, submission_id)


def _repairable(call: ApiCall, submission_id: int) -> Submission:
    with call.services.storage.read() as tx:
        found = submission_for(call, tx, submission_id, REPAIR)
    call.note(submission_id=submission_id)
    return found


def _as_it_is(call: ApiCall, submission_id: int) -> Response:
    with call.services.storage.read() as tx:
        document = _document(tx, submission_for(call, tx, submission_id))
    return answer(document)


# -- routes --------------------------------------------------------------------------------------

SEERS = "viewer, operator or admin"
REPAIRERS = "operator or admin"
REASON = record("Reason", code=one_of(ReasonCode), sentence=TEXT, next_step=TEXT)
SUBMISSION = record(
    "Submission",
    id=ID,
    queue=TEXT,
    state=one_of(SubmissionState),
    course=TEXT,
    problem=TEXT,
    learner=TEXT,
    priority=WHOLE,
    attempt=WHOLE,
    regrading=YES_NO,
    forgeable=YES_NO,
    submitted_by=TEXT,
    arrived_at=INSTANT,
    available_at=nullable(INSTANT),
    leased_by=nullable(TEXT),
    lease_until=nullable(INSTANT),
    held_reason=nullable(one_of(HoldReason)),
    held_at=nullable(INSTANT),
    ended_at=nullable(INSTANT),
    reason=REASON,
)
GRADED_WITH = record(
    "GradedWith",
    attempt=WHOLE,
    grader=TEXT,
    version=WHOLE,
    isolation=nullable(TEXT),
    at=INSTANT,
)
IN_FULL = extended(
    SUBMISSION,
    "SubmissionInFull",
    callback_url=TEXT,
    platform_failures=WHOLE,
    held_detail=nullable(TEXT),
    body_bytes=nullable(WHOLE),
    files=list_of(WHOLE),
    graders=list_of(GRADED_WITH),
    position=nullable(WHOLE),
    expected_wait_s=nullable(NUMBER),
)
RESULT = record(
    "Result",
    id=ID,
    disposition=one_of(Disposition),
    sent_by=TEXT,
    received_at=INSTANT,
    forgeable=YES_NO,
    body=TEXT,
)
CONTENT = record(
    "SubmissionContent",
    id=ID,
    body=TEXT,
    files=list_of(record("LearnersFile", name=TEXT, size_bytes=WHOLE)),
)
NOTHING: Schema = OBJECT

ROUTES = (
    Route(
        method="GET",
        path="/submissions",
        view=list_submissions,
        about="Submissions that match, newest first",
        who=SEERS,
        query=(*FILTERS, *PAGE),
        answers={200: page("submissions", SUBMISSION)},
    ),
    Route(
        method="GET",
        path="/submissions/<int:submission_id>",
        view=show_submission,
        about="One submission: how it stands, why it waits, its place in the line",
        who=SEERS,
        answers={200: IN_FULL, 304: None},
    ),
    Route(
        method="GET",
        path="/submissions/<int:submission_id>/results",
        view=show_results,
        about="What graders answered, in full",
        who=SEERS,
        answers={200: record("Results", results=list_of(RESULT)), 304: None},
    ),
    Route(
        method="GET",
        path="/submissions/<int:submission_id>/content",
        view=show_content,
        about="What the learner wrote; whoever looks is recorded",
        who=REPAIRERS,
        answers={200: CONTENT},
    ),
    Route(
        method="POST",
        path="/submissions/<int:submission_id>/release",
        view=release_submission,
        about="Put a held submission back to its queue, with all its attempts",
        who=REPAIRERS,
        body=NOTHING,
        answers={200: SUBMISSION},
    ),
    Route(
        method="POST",
        path="/submissions/<int:submission_id>/give-up",
        view=give_up_submission,
        about="Tell the learner that a held submission will not be graded; irreversible",
        who=REPAIRERS,
        body=NOTHING,
        answers={200: SUBMISSION},
    ),
    Route(
        method="POST",
        path="/submissions/<int:submission_id>/regrade",
        view=regrade_submission,
        about="Grade a graded submission anew",
        who=REPAIRERS,
        body=record("RegradeReason", reason=TEXT),
        answers={200: SUBMISSION},
    ),
    Route(
        method="POST",
        path="/submissions/<int:submission_id>/prioritise",
        view=prioritise_submission,
        about="Give a queued or held submission another priority in its queue",
        who=REPAIRERS,
        body=record("Priority", priority=WHOLE),
        answers={200: SUBMISSION},
    ),
)
