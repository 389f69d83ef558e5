"""Whether a learner has passed an onboarding exam: once, in any course of his LMS, for a year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.exam import Exam, ExamType
from proctoring_hooks.statuses import OPEN, UNDER_REVIEW, Status
from proctoring_hooks.store import Session

VALID_FOR = timedelta(days=365)
"""As edx-proctoring counts it (VERIFICATION_DAYS_VALID)."""


class Profile(StrEnum):
    """As edx-proctoring takes them from a provider."""

    APPROVED = "approved-in-course"
    APPROVED_ELSEWHERE = "approved-in-different-course"
    REJECTED = "rejected"
    EXPIRED = "expired"
    PENDING = "pending"
    NONE = "no-profile"


REFUSALS = {
    Profile.NONE: Status.ONBOARDING_MISSING,
    Profile.PENDING: Status.ONBOARDING_PENDING,
    Profile.REJECTED: Status.ONBOARDING_FAILED,
    Profile.EXPIRED: Status.ONBOARDING_EXPIRED,
}
"""What an attempt gets instead of being registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Onboarding:
    learner: Learner
    profile: Profile
    expires_at: datetime | None = None
    """Of an approval."""


def refusal(session: Session, exam: Exam, learner: Learner) -> Status | None:
    """Why he may not take this exam yet. None: he may, or the course has no onboarding exam."""
    if exam.exam_type is not ExamType.PROCTORED or not exam.terms.needs_onboarding:
        return None
    of_course = session.exams.of_course(exam.lms, exam.course_id, active_only=True)
    if not any(each.exam_type is ExamType.ONBOARDING for each in of_course):
        return None
    return REFUSALS.get(of_learner(session, exam.lms, exam.course_id, learner).profile)


def of_learner(session: Session, lms: str, course_id: str, learner: Learner) -> Onboarding:
    found = session.attempts.onboarding(lms, course_id, learner)
    return judged(learner, found, course_id, session.now)


def of_course(session: Session, lms: str, course_id: str) -> list[Onboarding]:
    """Of everybody who has begun an onboarding exam of the course, by id."""
    attempts_of: dict[Learner, list[Attempt]] = {}
    for attempt in session.attempts.onboarding(lms, course_id, None):
        attempts_of.setdefault(attempt.learner, []).append(attempt)
    return [
        judged(learner, found, course_id, session.now)
        for learner, found in sorted(attempts_of.items(), key=lambda item: item[0].obscured_id)
        if any(attempt.course_id == course_id for attempt in found)
    ]


def judged(
    learner: Learner, attempts: Sequence[Attempt], course_id: str, now: datetime
) -> Onboarding:
    """`attempts` are all his onboarding attempts in the course, and those elsewhere that are
    verified; newest first. One that is verified counts more than a newer one that is not."""
    verified = [
        (each, each.completed_at + VALID_FOR)
        for each in attempts
        if each.status is Status.VERIFIED and each.completed_at is not None
    ]
    here = [pair for pair in verified if pair[0].course_id == course_id]
    for profile, found in ((Profile.APPROVED, here), (Profile.APPROVED_ELSEWHERE, verified)):
        expires_at = max((end for _, end in found), default=now)
        if expires_at > now:
            return Onboarding(learner=learner, profile=profile, expires_at=expires_at)
    in_course = [each for each in attempts if each.course_id == course_id]
    latest = in_course[0].status if in_course else None
    if latest is Status.REJECTED:
        profile = Profile.REJECTED
    elif latest in UNDER_REVIEW:
        profile = Profile.PENDING
    elif verified and latest not in OPEN:
        profile = Profile.EXPIRED
    else:
        profile = Profile.NONE
    return Onboarding(learner=learner, profile=profile)
