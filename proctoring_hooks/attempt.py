"""An attempt: one learner's one sitting of an exam."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from proctoring_hooks.exam import ClockOwner, ExamType
from proctoring_hooks.statuses import IN_PROGRESS, Status
from proctoring_hooks.transitions import Circumstances


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """Who sits the exam, as far as we are told. Never a name: those are in `learners` apart."""

    user_id: str = ""
    """The LMS's numeric id; "": we only know the other."""
    obscured_id: str = ""
    """HMAC-SHA1 hex of it, as the LMS tells providers (see `obscuring`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    exam_id: int
    lms: str
    course_id: str
    learner: Learner
    external_id: str
    """A slug, never given twice: the LMS's rows for a resumed exam must not share one."""
    clock_owner: ClockOwner
    exam_type: ExamType
    is_proctored: bool
    """False where the learner declined to be."""
    allowed_s: int | None = None
    """Where the LMS decided it, or what was left of the attempt that this one resumes."""
    number: int = 1
    """Of this learner in this exam, from 1."""
    resumes: int | None = None
    """Id of the attempt that this one goes on with."""
    lms_host: str = ""
    """Base URL that the LMS gave for callbacks."""
    exception: str = field(default="", repr=False)
    """From the exam's rules, for this learner, as the LMS's staff wrote it for who proctors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(NewAttempt):
    """The row as it stands."""

    id: int
    status: Status
    version: int
    """Grows by one with each change; a change names the one that it saw."""
    created_at: datetime
    started_at: datetime | None
    expires_at: datetime | None
    """started_at + allowed_s, and what staff have added. None before the start."""
    completed_at: datetime | None
    """Set once, when the learner can no longer write; a timeout's is `expires_at` exactly."""
    was_submitted: bool
    is_judged_by_a_person: bool
    is_flagged: bool
    """Shown first to those who proctor."""
    mark_factor: float
    """What its marks count, after strikes: 1 without any."""
    is_resumable: bool
    ready_to_resume: bool
    remaining_s: int | None
    """Time left when it broke off in error; what a resumed attempt begins with."""
    provider_attempt_id: str
    """The provider's id, once it has answered."""
    history_head: bytes
    """Of its history (see there)."""

    @property
    def circumstances(self) -> Circumstances:
        return Circumstances(
            is_proctored=self.is_proctored,
            is_practice=self.exam_type.is_practice,
            was_submitted=self.was_submitted,
            is_judged_by_a_person=self.is_judged_by_a_person,
        )

    def left_s(self, now: datetime) -> float:
        """Seconds that the learner may still write; 0 when he may not."""
        if self.status not in IN_PROGRESS or self.expires_at is None:
            return 0.0
        return max(0.0, (self.expires_at - now).total_seconds())

    def has_run_out(self, now: datetime, grace: timedelta = timedelta(0)) -> bool:
        """By our clock; only where it is ours does that end anything."""
        return self.expires_at is not None and now >= self.expires_at + grace
