"""One submission: where it stands, what happened to it, its results as the learner sees them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Response
from markupsafe import Markup

from xqueue_server.accounts.access import REPAIR, SEE
from xqueue_server.errors import NotFound
from xqueue_server.instant import SECOND_US
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.lms_interface import grade_in
from xqueue_server.models.selection import Selection
from xqueue_server.models.submission import SubmissionState
from xqueue_server.storage import results, selecting
from xqueue_server.storage.results import Result
from xqueue_server.storage.timings import Timing
from xqueue_server.submissions import timeline
from xqueue_server.submissions.timeline import Story
from xqueue_server.web.admin.call import AdminCall
from xqueue_server.web.admin.next_steps import next_step
from xqueue_server.web.admin.rendering import render
from xqueue_server.web.admin.route import Route
from xqueue_server.web.admin.security import REPLY_POLICY

MOST_REPLY_CHARS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    name: str
    seconds: float
    begin: float
    """As a share of the whole, from 0 to 1."""
    share: float


def show(call: AdminCall, submission_id: int) -> Response:
    with call.storage.read() as tx:
        found = call.require_submission(tx, submission_id, SEE, SEE)
        selection = Selection(ids=frozenset({submission_id}))
        (row,) = selecting.page(tx, selection, call.scope(tx, SEE), limit=1)
        story = timeline.story(tx, submission_id)
        repaired = call.scope(tx, REPAIR)
    is_forgeable = any(g.is_forgeable for g in story.graders)
    return call.page(
        "submission.html",
        submission=found,
        row=row,
        story=story,
        step=next_step(story.reason, found),
        may=_acts(story) if repaired.covers(found.queue, found.course) else frozenset(),
        results=list(reversed(story.results)),
        grades={result.id: grade_in(result.body) for result in story.results},
        bars=[(each, _bar(each)) for each in story.timings],
        is_forgeable=is_forgeable or any(r.forgeable for r in story.results),
        steps=list(reversed(story.steps)),
    )


def _acts(story: Story) -> frozenset[str]:
    """What can be done about it in its present state."""
    acts, found = {"code"}, story.submission
    if found.state is SubmissionState.HELD:
        acts |= {"release", "give-up", "priority"}
    if found.state is SubmissionState.GRADED:
        acts.add("regrade")
    if found.is_regrade:
        acts.add("cancel-regrade")
    if found.state is SubmissionState.QUEUED:
        acts.add("priority")
    if any(sending.callback.state is CallbackState.DEAD for sending in story.sendings):
        acts.add("replay")
    return frozenset(acts)


# -- phases --------------------------------------------------------------------------------------


def _bar(timed: Timing) -> list[Phase]:
    """Waiting, preparing, running, reporting, delivering; what is not known is not told apart."""
    service_us, prepare_us, run_us = timed.service_us, timed.prepare_us or 0, timed.run_us or 0
    parts = [
        ("waiting", timed.wait_us),
        ("preparing", prepare_us),
        ("running", run_us),
        (
            "reporting" if prepare_us or run_us else "grading",
            max(0, service_us - prepare_us - run_us),
        ),
        ("delivering", timed.deliver_us or 0),
    ]
    whole = sum(us for _, us in parts) or 1
    bar, begin = [], 0.0
    for name, us in parts:
        share = us / whole
        bar.append(Phase(name=name, seconds=us / SECOND_US, begin=begin, share=share))
        begin += share
    return bar


# -- the reply -----------------------------------------------------------------------------------


def show_reply(call: AdminCall, submission_id: int, result_id: int) -> Response:
    """What the grader wrote for the learner, as a page that may do nothing (see `REPLY_POLICY`)."""
    with call.storage.read() as tx:
        call.require_submission(tx, submission_id, SEE, SEE)
        given = {r.id: r for r in results.of_submission(tx, submission_id)}
    if result_id not in given:
        raise NotFound(f"Submission {submission_id} has no result {result_id}")
    body = render("reply.html", message=_message(given[result_id]))
    response = Response(body, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = REPLY_POLICY
    return response


def _message(result: Result) -> Markup | str:
    """The LMS shows `msg` as it is; what is no grade is shown as text."""
    try:
        reply = json.loads(result.body)
    except (ValueError, RecursionError):
        reply = None
    message = reply.get("msg") if isinstance(reply, dict) else None
    if isinstance(message, str):
        return Markup(message[:MOST_REPLY_CHARS])  # noqa: S704 - its page runs and loads nothing
    return result.body[:MOST_REPLY_CHARS]


ROUTES: Sequence[Route] = (
    Route(method="GET", path="/submissions/<int:submission_id>", view=show, roles=SEE),
    Route(
        method="GET",
        path="/submissions/<int:submission_id>/reply/<int:result_id>",
        view=show_reply,
        roles=SEE,
    ),
)
