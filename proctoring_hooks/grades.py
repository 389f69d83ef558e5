"""Submissions that belong to an exam: how they stand to an attempt, and when their grades go.

Pure rules. A grade is stored at once, whatever is decided here; only its way to the LMS waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import ClockOwner, Exam, Release
from proctoring_hooks.statuses import BEFORE_START, IN_PROGRESS, Status


class Standing(StrEnum):
    """How a submission stands to its learner's attempt when it arrives."""

    IN_TIME = "in_time"
    OVERDUE = "overdue"
    """Past the end by our clock, in an attempt that only the LMS may end: shown, not held."""
    LATE = "late"
    NO_ATTEMPT = "no_attempt"
    """None that has begun."""
    PREVIEW = "preview"
    """Made by staff, outside of any attempt."""


class GradeState(StrEnum):
    """Of the way to the LMS."""

    WAITING = "waiting"
    """For the attempt to get where the exam's policy lets the grade go."""
    FLAGGED = "flagged"
    """For staff to accept a submission that was late or had no attempt."""
    RELEASED = "released"
    WITHHELD = "withheld"
    """The attempt was rejected."""


NOT_COVERED = (Standing.LATE, Standing.NO_ATTEMPT)
"""Refused, or held back until staff accept it: as the exam says."""
_BEST_FIRST = (Standing.IN_TIME, Standing.OVERDUE, Standing.LATE, Standing.NO_ATTEMPT)

REFUSAL = {
    Standing.LATE: (
        "Your exam attempt has ended, and this exam takes nothing after its end. Your answer was "
        "not submitted."
    ),
    Standing.NO_ATTEMPT: (
        "This problem belongs to an exam of which no attempt of yours has begun. Start the exam, "
        "then submit again."
    ),
}
"""What the LMS shows its learner where the exam refuses what no attempt covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Covering:
    """What a submission that arrives belongs to."""

    attempt: Attempt | None
    standing: Standing

    @property
    def is_covered(self) -> bool:
        return self.standing not in NOT_COVERED


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamSubmission:
    submission_id: int
    exam_id: int
    attempt_id: int | None
    standing: Standing
    state: GradeState
    arrived_at: datetime
    factor: float
    """What the grade counts, by the attempt's strikes; decided when it is released."""

    @property
    def is_covered(self) -> bool:
        return self.standing not in NOT_COVERED


def covering(
    exam: Exam,
    attempts: Sequence[Attempt],
    user_id: str,
    now: datetime,
    *,
    is_course_staff: Callable[[], bool],
) -> Covering:
    """Of a learner's attempts at the exam (newest first) the one that stands best to a submission
    that arrives now: one that is gone on with has an older one beside it, and so has one that the
    LMS has registered twice. Whether he is staff of the course is asked only where it matters."""
    best = min(
        (Covering(attempt=each, standing=standing_of(exam, each, now)) for each in attempts),
        key=lambda each: _BEST_FIRST.index(each.standing),
        default=Covering(attempt=None, standing=Standing.NO_ATTEMPT),
    )
    if not best.is_covered and (user_id in exam.terms.staff or is_course_staff()):
        return Covering(attempt=None, standing=Standing.PREVIEW)
    return best


def standing_of(exam: Exam, attempt: Attempt | None, now: datetime) -> Standing:
    """Of a submission that arrives now.

    Where the LMS owns the clock only its word ends an attempt; our own clock can be behind what
    was granted there, so what it calls late is flagged, never more.
    """
    if attempt is None or attempt.status in BEFORE_START:
        return Standing.NO_ATTEMPT
    grace = timedelta(seconds=exam.terms.grace_s)
    if attempt.status in IN_PROGRESS:
        if not attempt.has_run_out(now, grace):
            return Standing.IN_TIME
        return Standing.LATE if exam.clock_owner is ClockOwner.US else Standing.OVERDUE
    if attempt.completed_at is None:
        return Standing.NO_ATTEMPT
    was_on_its_way = now < attempt.completed_at + grace
    return Standing.IN_TIME if was_on_its_way else Standing.LATE


def state_for(release: Release, standing: Standing, status: Status | None) -> GradeState:
    """Where a grade's way to the LMS stands, by the exam's policy and its attempt's status."""
    if standing is Standing.PREVIEW:
        return GradeState.RELEASED
    if standing in NOT_COVERED:
        return GradeState.FLAGGED
    if release is Release.AT_ONCE or status is Status.VERIFIED:
        return GradeState.RELEASED
    if status is Status.REJECTED:
        return GradeState.WITHHELD
    if release is Release.ON_SUBMIT and status in (Status.SUBMITTED, Status.TIMED_OUT):
        return GradeState.RELEASED
    return GradeState.WAITING


# -- words for learners --------------------------------------------------------------------------


def marked_down_words(factor: float) -> str:
    """Beside a grade that counts less. No markup in it."""
    return (
        f"This score counts {factor:.0%} of what was graded, because of an incident in the exam. "
        "If you think that is wrong, ask the course team."
    )


def learner_words(submission: ExamSubmission, attempt: Attempt | None) -> str:
    """Where the grade of a submission is, for the learner's own page."""
    match submission.state:
        case GradeState.RELEASED:
            said = "Its grade goes to the course as soon as it is there."
            return (
                f"{said} {marked_down_words(submission.factor)}" if submission.factor < 1 else said
            )
        case GradeState.WITHHELD if not submission.is_covered:
            return (
                "Its grade is held back: the course team has decided that it does not count. Ask "
                "them if you think that is wrong."
            )
        case GradeState.WITHHELD:
            return (
                "Its grade is held back, because the exam attempt was not accepted. The course "
                "team can release it: ask them if you think that is wrong."
            )
        case GradeState.FLAGGED:
            why = (
                "it came after the end of the attempt"
                if submission.standing is Standing.LATE
                else "no attempt had begun"
            )
            return f"Received, but {why}: the course team decides whether it counts."
        case GradeState.WAITING:
            return _what_is_awaited(attempt)


def _what_is_awaited(attempt: Attempt | None) -> str:
    if attempt is not None and attempt.status in BEFORE_START | IN_PROGRESS:
        return "Received. Its grade is kept until you have submitted the exam."
    return "Received. Its grade is kept until the exam attempt has been reviewed."
