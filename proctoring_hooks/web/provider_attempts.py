"""Attempts that an LMS keeps, registers with its provider, and tells of as they go on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from proctoring_hooks import attempts, messages, onboarding
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.attempts import Registration
from proctoring_hooks.exam import ClockOwner, Exam, Readying
from proctoring_hooks.lms import Lms
from proctoring_hooks.statuses import Status
from proctoring_hooks.store import NotFound, Session
from proctoring_hooks.transitions import Action, By, Refused
from proctoring_hooks.web import provider_exams
from proctoring_hooks.web.provider_bodies import BadBody, is_storable, minutes, text

OBSCURED_ID = re.compile(r"[0-9a-f]{40}")
LONGEST_HOST = 300
ACTIONS: dict[str, Action] = {
    Status.STARTED: Action.START,
    Status.SUBMITTED: Action.SUBMIT,
    Status.ERROR: Action.ERROR,
}
"""What the LMS says has become of an attempt -> what that does here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    attempt: Attempt | None
    refusal: Status | None
    """Why there is none: one of the `onboarding_…` statuses."""


def register(session: Session, exam: Exam, body: Mapping[str, Any], by: By) -> Registered:
    """Always a new one: the LMS asks before it knows whether the learner has one already.

    Raises:
        BadBody
        NotPossible: the exam is not active.
    """
    asked, full_name, email = _read(body)
    refusal = onboarding.refusal(session, exam, asked.learner)
    if refusal is not None:
        return Registered(attempt=None, refusal=refusal)
    outcome = attempts.register(session, exam, asked, by)
    session.learners.tell(exam.lms, asked.learner.obscured_id, full_name=full_name, email=email)
    return Registered(attempt=outcome.attempt, refusal=None)


def _read(body: Mapping[str, Any]) -> tuple[Registration, str, str]:
    """The registration, and the learner's name and address."""
    obscured_id = body.get("user_id")
    if not isinstance(obscured_id, str) or not OBSCURED_ID.fullmatch(obscured_id):
        raise BadBody("user_id must be the obscured id: 40 hexadecimal digits")
    asked = Registration(
        learner=Learner(obscured_id=obscured_id),
        external_id=provider_exams.new_id(),
        allowed_s=minutes(body, "time_limit_mins") * 60,
        lms_host=text(body, "lms_host", most=LONGEST_HOST),
        exception=text(body, "review_policy_exception"),
    )
    return asked, text(body, "full_name", most=1000), text(body, "email", most=320)


def find(session: Session, lms: Lms, exam_id: str, attempt_id: str) -> Attempt:
    """Raises: NotFound: also of another LMS's, and of another exam's."""
    exam = provider_exams.find(session, lms.name, exam_id)
    if not is_storable(attempt_id):
        raise NotFound("No such attempt")
    attempt = session.attempts.by_external_id(lms.name, attempt_id)
    if attempt.exam_id != exam.id or attempt.clock_owner is not ClockOwner.LMS:
        raise NotFound("No such attempt")
    return attempt


def action_of(body: Mapping[str, Any]) -> Action:
    """Raises: BadBody."""
    status = text(body, "status")
    if status not in ACTIONS:
        raise BadBody(f"status must be one of {', '.join(ACTIONS)}")
    return ACTIONS[status]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    attempt: Attempt
    refused: Refused | None
    """Why nothing came of it here."""


def take(session: Session, attempt: Attempt, action: Action, by: By) -> Told:
    """What the LMS says has become of an attempt. It has done it already: where that undid what was
    decided, it is told so once more, and the transaction must be committed."""
    try:
        return Told(attempt=attempts.act(session, attempt.id, action, by).attempt, refused=None)
    except Refused as refused:
        attempt = session.attempts.get(attempt.id)
        for message in messages.verdict_again(session, attempt, action):
            session.send(message)
        return Told(attempt=attempt, refused=refused)


def instructions(exam: Exam) -> list[str]:
    """What the LMS's page says, which takes them for HTML."""
    of_page = {
        Readying.PAGE: "Open the page of your attempt. It checks your browser, and then tells this "
        "exam that you are ready.",
        Readying.PROCTOR: "Open the page of your attempt, and wait there for the proctor to let "
        "you in.",
    }
    return [
        of_page[exam.terms.readying],
        "Come back here and start the exam. Keep that page open while you write it.",
        "Bookmark that page: it shows what becomes of the exam, and is linked to only here.",
    ]


def shown(exam: Exam, attempt: Attempt, *, link: str, now: datetime) -> dict[str, Any]:
    """Beside what edx-proctoring reads, the end by our clock: that of the LMS can be another."""
    return {
        "id": attempt.external_id,
        "status": attempt.status,
        "instructions": instructions(exam),
        "download_url": link,
        "rules": exam.terms.rules,
        "expires_at": attempt.expires_at.isoformat() if attempt.expires_at else None,
        "server_now": now.isoformat(),
    }
