"""The console's pages: the exams of a course, the attempts at one, and one attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response

from proctoring_hooks.exam import ClockOwner, Exam
from proctoring_hooks.grades import GradeState
from proctoring_hooks.history import Row
from proctoring_hooks.incidents import Incident
from proctoring_hooks.reviews import Review
from proctoring_hooks.statuses import BEFORE_START, IN_PROGRESS, JUDGED, Status
from xqueue_server.storage.proctoring import browsing, pages
from xqueue_server.storage.proctoring.pages import Wanted
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.web.proctoring.console_actions import (
    GRAVE,
    LONGEST_REASON,
    LONGEST_WARNING,
    MOST_MINUTES,
    SEVERITIES,
    key_of,
    offered,
)
from xqueue_server.web.proctoring.console_call import TYPED, ConsoleCall, Refusal, is_auto_pass

PAGE = 100
MOST_HELD = 50
CHOSEN = ("minutes", "severity")
"""Of an attempt's forms, beside what is typed; a tick is to be made anew."""
GROUPS = {
    "waiting": BEFORE_START,
    "writing": IN_PROGRESS,
    "to judge": frozenset({Status.SUBMITTED, Status.TIMED_OUT, Status.SECOND_REVIEW_REQUIRED}),
    "judged": JUDGED,
    "failed technically": frozenset({Status.ERROR}),
}


# -- exams ---------------------------------------------------------------------------------------


def show_exams(call: ConsoleCall) -> Response:
    proctor = call.proctor
    lms, course_id = proctor.lms or call.parameter("lms"), call.parameter("course")
    with call.services.storage.read() as tx:
        found = pages.exams_of(
            tx, proctor.sees, lms=lms or None, course_id=proctor.course_id or course_id or None
        )
        counts = pages.counts_of(tx, [exam.id for exam in found])
    courses: dict[tuple[str, str], list[Exam]] = {}
    for exam in found:
        courses.setdefault((exam.lms, exam.course_id), []).append(exam)
    only = next(iter(courses)) if len(courses) == 1 else None
    return call.page(
        "console_exams.html",
        courses=courses,
        only=only,
        counts=counts,
        is_auto_pass=is_auto_pass,
        is_cut=len(found) == pages.MOST_EXAMS,
    )


# -- attempts ------------------------------------------------------------------------------------


def show_exam(call: ConsoleCall, exam_id: int) -> Response:
    group, text = call.parameter("group"), call.parameter("learner")
    number = call.parameter("page")
    page = int(number) if number.isascii() and number.isdecimal() and len(number) < 5 else 0
    with call.services.proctoring.read() as session:
        exam = call.exam(session, exam_id)
        may_judge = call.may_judge(exam)
        wanted = Wanted(
            statuses=_statuses(group),
            is_flagged=True if call.parameter("flagged") else None,
            learners=_learners(session, exam, text, may_judge) if text else None,
        )
        found = pages.attempts_page(session.tx, exam_id, wanted, limit=PAGE, page=page)
        names = call.names(session.tx, exam, found)
        counts = pages.counts_of(session.tx, [exam_id])[exam_id]
        held = pages.held_of_exam(session.tx, exam_id, limit=MOST_HELD)
    if found or held or text:
        call.looked(f"exam {exam_id}")
    return call.page(
        "console_exam.html",
        exam=exam,
        found=found,
        names=names,
        counts=counts,
        held=held,
        may_judge=may_judge,
        is_auto=is_auto_pass(exam),
        groups=list(GROUPS),
        group=group,
        statuses=list(Status),
        flagged=bool(call.parameter("flagged")),
        learner=text,
        number=page,
        limit=PAGE,
        most=LONGEST_REASON,
    )


def _statuses(group: str) -> frozenset[Status] | None:
    if group in GROUPS:
        return GROUPS[group]
    return frozenset({Status(group)}) if group in set(Status) else None


def _learners(session: ProctoringSession, exam: Exam, text: str, may_judge: bool) -> Sequence[str]:
    """By an id of his, whole; those who may see names find by a part of them, too."""
    named = pages.learners_called(session.tx, exam.lms, exam.id, text) if may_judge else ()
    return [text[:64], *named]


# -- one attempt ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of the timeline."""

    at: datetime
    what: str
    by: str = ""
    detail: str = ""
    is_grave: bool = False


def show_attempt(
    call: ConsoleCall, attempt_id: int, *, refusal: Refusal | None = None, deed_name: str = ""
) -> Response:
    """`refusal`: of the form that was sent just now, and for what; its fields are filled again.

    Raises: NotFound.
    """
    with call.services.proctoring.read() as session:
        attempt = call.attempt(session, attempt_id)
        exam = session.exams.get(attempt.exam_id)
        rows = session.attempts.history(attempt_id)
        incidents = session.records.incidents(attempt_id)
        reviews = session.records.reviews_with_times(attempt_id)
        submissions = pages.submissions_of(session.tx, attempt_id)
        messages = browsing.messages_of(session.tx, attempt_id)
        name = call.names(session.tx, exam, [attempt]).get(attempt_id)
        base_url = session.lms(attempt.lms).base_url
    call.looked(f"attempt {attempt_id}")
    holds_back = any(each.state is not GradeState.RELEASED for each in submissions)
    seen = len(incidents) + len(reviews)
    deeds = (
        offered(attempt, holds_back=holds_back, may_remove=call.may_remove(attempt))
        if call.may_judge(attempt)
        else []
    )
    response = call.page(
        "console_attempt.html",
        exam=exam,
        attempt=attempt,
        name=name,
        steps=_steps(rows, incidents, reviews),
        reviews=reviews,
        submissions=submissions,
        messages=messages,
        deeds=deeds,
        keys={deed: key_of(call, attempt, deed, seen) for deed in deeds},
        seen=seen,
        grave=GRAVE,
        refusal=refusal,
        refused=deed_name,
        typed={name: call.field(name) for name in (*TYPED, *CHOSEN)} if refusal else {},
        is_auto=is_auto_pass(exam),
        is_theirs=attempt.clock_owner is ClockOwner.LMS,
        lms_page=f"{base_url}/courses/{attempt.course_id}/instructor#view-special_exams",
        severities=list(SEVERITIES),
        most=LONGEST_REASON,
        most_warning=LONGEST_WARNING,
        most_minutes=MOST_MINUTES,
    )
    if refusal is not None:
        response.status_code = refusal.status
    return response


def _steps(
    rows: Sequence[Row],
    incidents: Sequence[Incident],
    reviews: Sequence[tuple[datetime, str, Review]],
) -> list[Step]:
    """Newest first."""
    found = [*map(_of_row, rows), *map(_of_incident, incidents)]
    found += [_of_review(*each) for each in reviews]
    # what happened at one instant stays in its order, the last first
    return sorted(found, key=lambda step: step.at)[::-1]


def _of_row(row: Row) -> Step:
    change = row.change
    is_move = change.after != change.before
    facts = json.loads(change.facts)
    moved = (
        f"{change.before or 'new'} → {change.after}" if is_move else _unmoved(change.action, facts)
    )
    minutes = facts.get("minutes")
    said = [f"{minutes:+d} min" if minutes else "", row.reason or ""]
    return Step(
        at=change.at,
        what=moved.replace("_", " "),
        by=_by(change.actor, change.who),
        detail=" · ".join(each for each in said if each),
        is_grave=change.action in ("terminate", "reset"),
    )


def _unmoved(action: str, facts: Mapping[str, Any]) -> str:
    """What happened, where the status stayed."""
    match action:
        case "extend":
            return "more time" if facts["minutes"] > 0 else "less time"
        case "mark":
            flagged = "flagged; " if facts.get("is_flagged") else ""
            return f"{flagged}marks count {facts['mark_factor']:.0%}"
        case "resume":
            return "may go on" if "ready_to_resume" in facts else "gone on with in a new attempt"
        case _:
            return action


_WHO = {"auto-pass": "auto-pass: nobody has looked", "page": "the learner’s page"}


def _by(actor: str, who: str) -> str:
    if who in _WHO:
        return _WHO[who]
    if who.startswith(f"{actor} "):
        return who
    return actor if who in ("", actor) else f"{actor}: {who}"


def _of_incident(incident: Incident) -> Step:
    counted = [f"severity {incident.severity:g}"]
    if incident.strike:
        counted.append(f"strike {incident.strike}")
    counted += [each.replace("_", " ") for each in incident.consequences]
    return Step(
        at=incident.happened_at,
        what=f"Incident: {incident.kind}",
        by=_by(incident.source, incident.reported_by),
        detail=" · ".join([*counted, *([incident.detail] if incident.detail else [])]),
        is_grave=True,
    )


def _of_review(at: datetime, effect: str, review: Review) -> Step:
    verdict = review.action.replace("_", " ")
    waits = " (counts once submitted)" if effect == "keep" else ""
    noted = " (noted beside a person’s decision)" if effect == "note" else ""
    is_auto = review.actor == "system" and not review.reviewed_by and review.action == "pass"
    said = [
        each.comment if each.start_s is None else f"{each.comment} (at {each.start_s:g} s)"
        for each in review.comments
    ]
    return Step(
        at=at,
        what=f"Review: {verdict}{waits}{noted}",
        by="auto-pass: nobody has looked" if is_auto else _by(review.actor, _reviewer(review)),
        detail="\n".join(said),
    )


def _reviewer(review: Review) -> str:
    """To people an address says more than the id of somebody whom an LMS has sent."""
    return review.reviewer_email or review.reviewed_by
