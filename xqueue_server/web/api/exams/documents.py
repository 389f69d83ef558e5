"""Exams and attempts as JSON. Learners by their ids; names only where it is said."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import (
    ClockOwner,
    Exam,
    ExamType,
    Readying,
    Release,
    Reviewing,
    Unmatched,
)
from proctoring_hooks.grades import GradeState, Standing
from proctoring_hooks.incidents import Consequence, Incident, Source
from proctoring_hooks.learner_names import LearnerNames
from proctoring_hooks.statuses import Status
from proctoring_hooks.transitions import Action, Actor, Effect
from xqueue_server.models.callback import CallbackKind, CallbackState
from xqueue_server.storage.proctoring.story import Story
from xqueue_server.web.api.answer import instant, instant_or_none
from xqueue_server.web.api.schema import (
    ID,
    INSTANT,
    NUMBER,
    TEXT,
    WHOLE,
    YES_NO,
    Schema,
    list_of,
    map_of,
    nullable,
    one_of,
    record,
)


def with_now(schema: Schema) -> Schema:
    """A list that says what the time is, also where it is empty."""
    properties = schema["properties"] | {"server_now": INSTANT}
    return schema | {"properties": properties, "required": list(properties)}


def exam_document(exam: Exam, now: datetime) -> dict[str, Any]:
    terms = exam.terms
    return {
        "id": exam.id,
        "lms": exam.lms,
        "course": exam.course_id,
        "content_id": exam.content_id,
        "name": exam.exam_name,
        "type": exam.exam_type,
        "time_limit_mins": exam.time_limit_mins,
        "due_at": instant_or_none(exam.due_at),
        "hide_after_due": exam.hide_after_due,
        "active": exam.is_active,
        "clock_owner": exam.clock_owner,
        "created_at": instant(exam.created_at),
        "server_now": instant(now),
        "terms": {
            "release": terms.release,
            "unmatched": terms.unmatched,
            "review": terms.review,
            "readying": terms.readying,
            "provider": terms.provider,
            "incident_policy": terms.incident_policy,
            "needs_onboarding": terms.needs_onboarding,
            "grace_s": terms.grace_s,
            "rules": terms.rules,
            "staff": list(terms.staff),
        },
    }


TERMS = {
    "release": one_of(Release),
    "unmatched": one_of(Unmatched),
    "review": one_of(Reviewing),
    "readying": one_of(Readying),
    "provider": TEXT,
    "incident_policy": TEXT,
    "needs_onboarding": YES_NO,
    "grace_s": WHOLE,
    "rules": map_of(TEXT),
    "staff": list_of(TEXT),
}
EXAM = record(
    "Exam",
    id=ID,
    lms=TEXT,
    course=TEXT,
    content_id=TEXT,
    name=TEXT,
    type=one_of(ExamType),
    time_limit_mins=WHOLE,
    due_at=nullable(INSTANT),
    hide_after_due=YES_NO,
    active=YES_NO,
    clock_owner=one_of(ClockOwner),
    created_at=INSTANT,
    server_now=INSTANT,
    terms=record("ExamTerms", **TERMS),
)


def attempt_document(attempt: Attempt, now: datetime) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "exam_id": attempt.exam_id,
        "lms": attempt.lms,
        "course": attempt.course_id,
        "user_id": attempt.learner.user_id or None,
        "obscured_user_id": attempt.learner.obscured_id or None,
        "external_id": attempt.external_id,
        "number": attempt.number,
        "resumes": attempt.resumes,
        "type": attempt.exam_type,
        "proctored": attempt.is_proctored,
        "clock_owner": attempt.clock_owner,
        "status": attempt.status,
        "version": attempt.version,
        "created_at": instant(attempt.created_at),
        "started_at": instant_or_none(attempt.started_at),
        "expires_at": instant_or_none(attempt.expires_at),
        "completed_at": instant_or_none(attempt.completed_at),
        "server_now": instant(now),
        "allowed_s": attempt.allowed_s,
        "left_s": attempt.left_s(now),
        "flagged": attempt.is_flagged,
        "mark_factor": attempt.mark_factor,
        "resumable": attempt.is_resumable,
        "ready_to_resume": attempt.ready_to_resume,
    }


ATTEMPT = record(
    "Attempt",
    id=ID,
    exam_id=ID,
    lms=TEXT,
    course=TEXT,
    user_id=nullable(TEXT),
    obscured_user_id=nullable(TEXT),
    external_id=TEXT,
    number=WHOLE,
    resumes=nullable(ID),
    type=one_of(ExamType),
    proctored=YES_NO,
    clock_owner=one_of(ClockOwner),
    status=one_of(Status),
    version=WHOLE,
    created_at=INSTANT,
    started_at=nullable(INSTANT),
    expires_at=nullable(INSTANT),
    completed_at=nullable(INSTANT),
    server_now=INSTANT,
    allowed_s=nullable(WHOLE),
    left_s=NUMBER,
    flagged=YES_NO,
    mark_factor=NUMBER,
    resumable=YES_NO,
    ready_to_resume=YES_NO,
)
OUTCOME = record("AttemptOutcome", effect=one_of(Effect), attempt=ATTEMPT)


def incident_document(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.id,
        "incident_id": incident.incident_id,
        "source": incident.source,
        "kind": incident.kind,
        "severity": incident.severity,
        "detail": incident.detail,
        "reported_by": incident.reported_by,
        "happened_at": instant(incident.happened_at),
        "reported_at": instant(incident.reported_at),
        "strike": incident.strike,
        "consequences": list(incident.consequences),
    }


INCIDENT = record(
    "Incident",
    id=ID,
    incident_id=TEXT,
    source=one_of(Source),
    kind=TEXT,
    severity=NUMBER,
    detail=TEXT,
    reported_by=TEXT,
    happened_at=INSTANT,
    reported_at=INSTANT,
    strike=nullable(WHOLE),
    consequences=list_of(one_of(Consequence)),
)


def timeline_document(story: Story, name: LearnerNames | None, *, in_full: bool) -> dict[str, Any]:
    """`in_full`: for those who judge, with what people wrote and where the recordings are."""
    return {
        "attempt": attempt_document(story.attempt, story.now),
        "exam": exam_document(story.exam, story.now),
        "learner": name
        and {"full_name": name.full_name, "email": name.email, "username": name.username},
        "history": [
            {
                "version": row.change.version,
                "at": instant(row.change.at),
                "actor": row.change.actor,
                "who": row.change.who,
                "action": row.change.action,
                "before": row.change.before,
                "after": row.change.after,
                "request_id": row.change.request_id,
                "facts": json.loads(row.change.facts),
                "reason": row.reason if in_full else None,
            }
            for row in story.history
        ],
        "reviews": [
            {
                "received_at": instant(each.received_at),
                "actor": each.review.actor,
                "verdict": each.review.action,
                "reviewed_by": each.review.reviewed_by,
                "effect": each.effect,
                "comments": [
                    {
                        "comment": comment.comment,
                        "status": comment.status,
                        "start_s": comment.start_s,
                        "stop_s": comment.stop_s,
                    }
                    for comment in (each.review.comments if in_full else ())
                ],
                "link": each.review.link if in_full else None,
            }
            for each in story.reviews
        ],
        "incidents": [
            incident_document(each) | ({} if in_full else {"detail": ""})
            for each in story.incidents
        ],
        "submissions": [
            {
                "submission_id": each.submission_id,
                "arrived_at": instant(each.arrived_at),
                "standing": each.standing,
                "grade": each.state,
                "factor": each.factor,
            }
            for each in story.submissions
        ],
        "messages": [
            {
                "callback_id": each.id,
                "kind": each.kind,
                "recipient": each.recipient,
                "purpose": each.purpose,
                "state": each.state,
                "created_at": instant(each.created_at),
                "finished_at": instant_or_none(each.finished_at),
            }
            for each in story.messages
        ],
    }


TIMELINE = record(
    "AttemptTimeline",
    attempt=ATTEMPT,
    exam=EXAM,
    learner=nullable(record("LearnerName", full_name=TEXT, email=TEXT, username=TEXT)),
    history=list_of(
        record(
            "AttemptChange",
            version=WHOLE,
            at=INSTANT,
            actor=TEXT,
            who=TEXT,
            action=TEXT,
            before=TEXT,
            after=TEXT,
            request_id=TEXT,
            facts=map_of({}),
            reason=nullable(TEXT),
        )
    ),
    reviews=list_of(
        record(
            "Review",
            received_at=INSTANT,
            actor=one_of(Actor),
            verdict=one_of(Action),
            reviewed_by=TEXT,
            effect=one_of(Effect),
            comments=list_of(
                record(
                    "ReviewComment",
                    comment=TEXT,
                    status=TEXT,
                    start_s=nullable(NUMBER),
                    stop_s=nullable(NUMBER),
                )
            ),
            link=nullable(TEXT),
        )
    ),
    incidents=list_of(INCIDENT),
    submissions=list_of(
        record(
            "ExamSubmission",
            submission_id=ID,
            arrived_at=INSTANT,
            standing=one_of(Standing),
            grade=one_of(GradeState),
            factor=NUMBER,
        )
    ),
    messages=list_of(
        record(
            "AttemptMessage",
            callback_id=ID,
            kind=one_of(CallbackKind),
            recipient=nullable(TEXT),
            purpose=nullable(TEXT),
            state=one_of(CallbackState),
            created_at=INSTANT,
            finished_at=nullable(INSTANT),
        )
    ),
)
