"""Attempts: seeing them, acting on them, judging them, and what was seen during them."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response

from proctoring_hooks import accepting, attempts, reporting
from proctoring_hooks.incidents import NewIncident, Source
from proctoring_hooks.reviews import LONGEST_TEXT, MOST_COMMENTS, Comment, Review
from proctoring_hooks.statuses import Status
from proctoring_hooks.transitions import Action, Actor, By, Effect
from xqueue_server.accounts.access import JUDGE, REPAIR, SEE_EXAMS
from xqueue_server.errors import Conflict
from xqueue_server.models.account import Role
from xqueue_server.storage.proctoring import browsing
from xqueue_server.storage.proctoring.browsing import AttemptFilter
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.storage.proctoring.story import story_of
from xqueue_server.web.api.answer import answer, instant
from xqueue_server.web.api.call import HIGHEST_ID, ApiCall
from xqueue_server.web.api.exams.documents import (
    ATTEMPT,
    INCIDENT,
    OUTCOME,
    TIMELINE,
    attempt_document,
    incident_document,
    timeline_document,
    with_now,
)
from xqueue_server.web.api.exams.exams import MAX_REASON_CHARS, WHO_ACTS, WHO_SEES, WHO_SETS
from xqueue_server.web.api.exams.seeing import attempt_for, by_proctor, exam_for, looked, may
from xqueue_server.web.api.paging import page_of
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.reading import SMALL_BYTES, Fields
from xqueue_server.web.api.route import PAGE, Query, Route
from xqueue_server.web.api.schema import (
    ID,
    INSTANT,
    NUMBER,
    TEXT,
    WHOLE,
    YES_NO,
    list_of,
    nullable,
    one_of,
    page,
    record,
)

MAX_BYTES = 256 * 1024
MAX_ID_CHARS = 128
MOST_MINUTES = 7 * 24 * 60
HIGHEST_VERSION = 2**31 - 1
VERDICTS = {
    "pass": Action.PASS,
    "fail": Action.FAIL,
    "require_second_review": Action.REQUIRE_SECOND_REVIEW,
}


# -- seeing --------------------------------------------------------------------------------------


def list_attempts(call: ApiCall) -> Response:
    asked, given = page_of(call), call.request.args
    status, flagged = given.get("status"), given.get("flagged")
    if status is not None and status not in set(Status):
        raise ApiError(422, "invalid", f"status must be one of {', '.join(Status)}")
    if flagged not in (None, "true", "false"):
        raise ApiError(422, "invalid", "flagged must be true or false")
    wanted = AttemptFilter(
        lms=call.text("lms"),
        course=call.text("course"),
        exam_id=call.whole_number("exam", None, most=HIGHEST_ID),
        learner=call.text("learner"),
        status=None if status is None else Status(status),
        flagged=None if flagged is None else flagged == "true",
    )
    with call.services.proctoring.read() as session:
        found = browsing.attempts_page(
            session.tx,
            call.caller.scope(session.tx, SEE_EXAMS),
            wanted,
            limit=asked.with_next,
            before=asked.before,
        )
        now = session.now
    looked(call, *(f"exam {each.exam_id}" for each in found))
    return answer(
        asked.answer("attempts", found, lambda a: attempt_document(a, now), lambda a: a.id)
        | {"server_now": instant(now)}
    )


def show_attempt(call: ApiCall, attempt_id: int) -> Response:
    with call.services.proctoring.read() as session:
        found = attempt_for(call, session, attempt_id)
        now = session.now
    looked(call, f"attempt {attempt_id}")
    return answer(attempt_document(found, now))


def show_attempt_timeline(call: ApiCall, attempt_id: int) -> Response:
    """Who may judge is shown the learner's name."""
    with call.services.proctoring.read() as session:
        found = attempt_for(call, session, attempt_id)
        in_full = may(call, session, found.course_id, JUDGE)
        story = story_of(session, attempt_id)
        name = session.names(found.lms, found.learner) if in_full else None
    looked(call, f"attempt {attempt_id}")
    return answer(timeline_document(story, name, in_full=in_full))


# -- acting --------------------------------------------------------------------------------------


def extend_attempt(call: ApiCall, attempt_id: int) -> Response:
    fields = Fields(call.document(SMALL_BYTES), ("minutes", "reason"))
    minutes = fields.whole("minutes", -MOST_MINUTES, MOST_MINUTES)
    reason = fields.text("reason", most=MAX_REASON_CHARS)
    if minutes == 0:
        fields.wrong("minutes", "must not be 0")
    fields.check()
    with call.services.proctoring.write() as session:
        attempt_for(call, session, attempt_id, JUDGE)
        done = attempts.extend(session, attempt_id, minutes, by_proctor(call, reason))
        now = session.now
    call.note(attempt_id=attempt_id)
    return answer({"effect": "change", "attempt": attempt_document(done, now)})


def _acting(
    action: Action, roles: frozenset[Role], actor: Actor = Actor.PROCTOR
) -> Callable[..., Response]:
    def view(call: ApiCall, attempt_id: int) -> Response:
        fields = Fields(call.document(SMALL_BYTES), ("reason", "version"))
        reason = fields.text("reason", most=MAX_REASON_CHARS)
        version = fields.whole("version", 1, HIGHEST_VERSION) if fields.has("version") else None
        fields.check()
        by = By(actor=actor, who=call.caller.actor, request_id=call.request_id, reason=reason)
        with call.services.proctoring.write() as session:
            attempt_for(call, session, attempt_id, roles)
            done = attempts.act(session, attempt_id, action, by, version=version)
            now = session.now
        call.note(attempt_id=attempt_id)
        return answer({"effect": done.effect, "attempt": attempt_document(done.attempt, now)})

    view.__name__ = f"{action}_attempt"  # the description names the operation for it
    return view


def review_attempt(call: ApiCall, attempt_id: int) -> Response:
    """By the account itself: a person judges, no program that holds a token of his."""
    call.caller.require_password()
    fields = Fields(call.document(MAX_BYTES), ("verdict", "comments"))
    verdict = fields.choice("verdict", tuple(VERDICTS))
    comments: list[str] = []
    if fields.has("comments"):
        comments = fields.texts("comments", most=MOST_COMMENTS, most_chars=LONGEST_TEXT)
    fields.check()
    given = Review(
        action=VERDICTS[verdict],
        actor=Actor.PROCTOR,
        reviewed_by=call.caller.account.name,
        reviewer_email=call.caller.account.email or "",
        review_id=call.request_id,
        comments=tuple(Comment(comment=each, status=verdict) for each in comments),
    )
    with call.services.proctoring.write() as session:
        attempt_for(call, session, attempt_id, JUDGE)
        done = attempts.judge(session, attempt_id, given, by_proctor(call))
        now = session.now
    call.note(attempt_id=attempt_id)
    return answer({"effect": done.effect, "attempt": attempt_document(done.attempt, now)})


def mark_attempt(call: ApiCall, attempt_id: int) -> Response:
    """By the account itself, as a review: what a policy has taken only a person gives back."""
    call.caller.require_password()
    fields = Fields(call.document(SMALL_BYTES), ("factor", "reason"))
    factor = fields.number("factor", 0, 1)
    reason = fields.text("reason", most=MAX_REASON_CHARS)
    fields.check()
    with call.services.proctoring.write() as session:
        attempt_for(call, session, attempt_id, JUDGE)
        done = attempts.mark(session, attempt_id, factor=factor, by=by_proctor(call, reason))
        gone = attempts.gone_with_less(session, done.attempt)
        now = session.now
    call.note(attempt_id=attempt_id)
    document = attempt_document(done.attempt, now)
    return answer({"effect": done.effect, "attempt": document, "gone_with_less": gone})


def report_incident(call: ApiCall, attempt_id: int) -> Response:
    fields = Fields(
        call.document(MAX_BYTES), ("incident_id", "kind", "severity", "happened_at", "detail")
    )
    incident_id = fields.text("incident_id", most=MAX_ID_CHARS)
    kind = fields.text("kind", most=MAX_ID_CHARS)
    severity = fields.number("severity", 0, 1)
    happened_at = fields.moment("happened_at", is_needed=False)
    detail = fields.words("detail", most=LONGEST_TEXT) if fields.has("detail") else ""
    fields.check()
    with call.services.proctoring.write() as session:
        attempt_for(call, session, attempt_id, JUDGE)
        new = NewIncident(
            attempt_id=attempt_id,
            incident_id=incident_id,
            source=Source.API if call.caller.token_id is not None else Source.PROCTOR,
            kind=kind,
            severity=severity,
            happened_at=happened_at or session.now,
            detail=detail,
            reported_by=call.caller.actor,
        )
        is_new = reporting.report(session, new) is not None
        incident = next(
            each
            for each in session.records.incidents(attempt_id)
            if each.incident_id == incident_id
        )
        found = session.attempts.get(attempt_id)
        now = session.now
    call.note(attempt_id=attempt_id)
    return answer(
        {
            "is_new": is_new,
            "incident": incident_document(incident),
            "attempt": attempt_document(found, now),
        },
        201 if is_new else 200,
    )


# -- grades that are held back -------------------------------------------------------------------


def accept_attempt(call: ApiCall, attempt_id: int) -> Response:
    reason = _reason(call)
    with call.services.proctoring.write() as session:
        attempt_for(call, session, attempt_id, JUDGE)
        count = accepting.accept_all_of(session, attempt_id, by_proctor(call, reason))
    return answer({"count": count})


def accept_submission(call: ApiCall, submission_id: int) -> Response:
    reason = _reason(call)
    with call.services.proctoring.write() as session:
        _require_held(call, session, submission_id)
        is_new = accepting.accept(session, submission_id, by_proctor(call, reason))
    return answer({"count": int(is_new)})


def refuse_submission(call: ApiCall, submission_id: int) -> Response:
    reason = _reason(call)
    with call.services.proctoring.write() as session:
        _require_held(call, session, submission_id)
        if not accepting.refuse(session, submission_id, by_proctor(call, reason)):
            raise Conflict(f"Submission {submission_id} does not wait for a decision")
    return answer({"count": 1})


def _require_held(call: ApiCall, session: ProctoringSession, submission_id: int) -> None:
    """Raises: ApiError 404: of no exam, or of one that the caller may not see; 403."""
    found = session.grades.find(submission_id) if submission_id <= HIGHEST_ID else None
    missing = ApiError(404, "not-found", f"Submission {submission_id} not found in an exam")
    if found is None:
        raise missing
    try:
        exam_for(call, session, found.exam_id, JUDGE)
    except ApiError as error:
        if error.status != 404:
            raise
        raise missing from None  # whose exam it is, is not told either


def _reason(call: ApiCall) -> str:
    fields = Fields(call.document(SMALL_BYTES), ("reason",))
    reason = fields.text("reason", most=MAX_REASON_CHARS)
    fields.check()
    return reason


ACT = record("AttemptAct", optional=("version",), reason=TEXT, version=WHOLE)


def _act_route(verb: str, view: Callable[..., Response], about: str, who: str) -> Route:
    return Route(
        method="POST",
        path=f"/attempts/<int:attempt_id>/{verb}",
        view=view,
        about=about,
        who=who,
        body=ACT,
        answers={200: OUTCOME},
    )


ROUTES = (
    Route(
        method="GET",
        path="/attempts",
        view=list_attempts,
        about="Attempts, newest first",
        who="viewer, operator, admin or proctor",
        query=(
            Query(name="lms", about="Only of this LMS"),
            Query(name="course", about="Only of this course"),
            Query(name="exam", about="Only at this exam", schema=ID),
            Query(name="learner", about="Only of this numeric or obscured user id"),
            Query(name="status", about="Only those", schema=one_of(Status)),
            Query(name="flagged", about="Only those", schema=one_of(("true", "false"))),
            *PAGE,
        ),
        answers={200: with_now(page("attempts", ATTEMPT))},
    ),
    Route(
        method="GET",
        path="/attempts/<int:attempt_id>",
        view=show_attempt,
        about="One attempt as it stands, by ids alone",
        who=WHO_SEES,
        answers={200: ATTEMPT},
    ),
    Route(
        method="GET",
        path="/attempts/<int:attempt_id>/timeline",
        view=show_attempt_timeline,
        about="Everything that happened to it; names, reasons, comments and recordings are for "
        "those who may judge",
        who=WHO_SEES,
        answers={200: TIMELINE},
    ),
    Route(
        method="POST",
        path="/attempts/<int:attempt_id>/extend",
        view=extend_attempt,
        about="Give an attempt in progress more minutes, or take some back",
        who=WHO_ACTS,
        body=record("Extension", minutes=WHOLE, reason=TEXT),
        answers={200: OUTCOME},
    ),
    _act_route(
        "terminate",
        _acting(Action.TERMINATE, JUDGE),
        "End it for its learner; a person then judges it",
        WHO_ACTS,
    ),
    _act_route(
        "resume",
        _acting(Action.RESUME, JUDGE),
        "Let its learner go on with the time that was left",
        WHO_ACTS,
    ),
    _act_route(
        "ready",
        _acting(Action.READY, JUDGE),
        "Let its learner start: the proctor has checked him and his room",
        WHO_ACTS,
    ),
    _act_route(
        "reset",
        _acting(Action.RESET, REPAIR, Actor.STAFF),
        "Remove it, so that its learner may begin anew; the history stays",
        WHO_SETS,
    ),
    Route(
        method="POST",
        path="/attempts/<int:attempt_id>/review",
        view=review_attempt,
        about="Judge it, as the account itself: no token can",
        who=WHO_ACTS,
        body=record(
            "NewReview", optional=("comments",), verdict=one_of(VERDICTS), comments=list_of(TEXT)
        ),
        answers={200: OUTCOME},
    ),
    Route(
        method="POST",
        path="/attempts/<int:attempt_id>/mark",
        view=mark_attempt,
        about="Let its marks count that much (1: take a mark-down back), as the account itself: no "
        "token can. `gone_with_less` are submissions whose grade was let go with less: the LMS "
        "keeps it",
        who=WHO_ACTS,
        body=record("NewMarkFactor", factor=NUMBER, reason=TEXT),
        answers={
            200: record(
                "MarkedAttempt",
                effect=one_of(Effect),
                attempt=ATTEMPT,
                gone_with_less=list_of(ID),
            )
        },
    ),
    Route(
        method="POST",
        path="/attempts/<int:attempt_id>/incidents",
        view=report_incident,
        about="Report what was seen; the same incident id again changes nothing",
        who=WHO_ACTS,
        body=record(
            "NewIncident",
            optional=("happened_at", "detail"),
            incident_id=TEXT,
            kind=TEXT,
            severity=NUMBER,
            happened_at=nullable(INSTANT),
            detail=TEXT,
        ),
        answers={
            status: record("ReportedIncident", is_new=YES_NO, incident=INCIDENT, attempt=ATTEMPT)
            for status in (200, 201)
        },
    ),
    Route(
        method="POST",
        path="/attempts/<int:attempt_id>/accept",
        view=accept_attempt,
        about="Let all its grades go that are held back",
        who=WHO_ACTS,
        body=record("Acceptance", reason=TEXT),
        answers={200: record("AcceptedCount", count=WHOLE)},
    ),
    Route(
        method="POST",
        path="/submissions/<int:submission_id>/accept",
        view=accept_submission,
        about="Let the grade go of a submission that an exam holds back",
        who=WHO_ACTS,
        body=record("Acceptance", reason=TEXT),
        answers={200: record("AcceptedCount", count=WHOLE)},
    ),
    Route(
        method="POST",
        path="/submissions/<int:submission_id>/refuse",
        view=refuse_submission,
        about="Keep the grade of a submission that was late or of no attempt",
        who=WHO_ACTS,
        body=record("Refusal", reason=TEXT),
        answers={200: record("RefusedCount", count=WHOLE)},
    ),
)
