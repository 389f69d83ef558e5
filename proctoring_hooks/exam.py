"""Exams: what is known of one, and what its course team has decided about its grades."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ExamType(StrEnum):
    """As edx-exams names them."""

    TIMED = "timed"
    PROCTORED = "proctored"
    PRACTICE = "practice"
    ONBOARDING = "onboarding"

    @property
    def is_proctored(self) -> bool:
        return self is not ExamType.TIMED

    @property
    def is_practice(self) -> bool:
        return self in (ExamType.PRACTICE, ExamType.ONBOARDING)


class ClockOwner(StrEnum):
    """Whose word ends an attempt."""

    LMS = "lms"
    """Only the LMS's `submitted`. It may grant time or move a due date without telling us, so our
    own clock merely flags what looks late."""
    US = "us"
    """`expires_at` and the exam's grace."""


class Release(StrEnum):
    """When the LMS gets the grade of a submission that belongs to an attempt."""

    AT_ONCE = "at_once"
    ON_SUBMIT = "on_submit"
    ON_VERIFIED = "on_verified"


class Unmatched(StrEnum):
    """What becomes of a submission without an attempt that covers it, or after its end."""

    FLAG = "flag"
    """Graded, and held back until staff accept it."""
    REFUSE = "refuse"
    """The LMS is told at once; the learner sees that it was not taken."""


class Reviewing(StrEnum):
    """Who judges attempts where no provider does."""

    PEOPLE = "people"
    AUTO_PASS = "auto_pass"  # noqa: S105 - the name of a setting
    """Nobody: every attempt that is submitted passes. Shown wherever such an attempt is."""


class Readying(StrEnum):
    """What lets a learner start where we are the provider."""

    PAGE = "page"
    """Opening the attempt's page, which checks the browser."""
    PROCTOR = "proctor"
    """A proctor's word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the course team decides about an exam; each has a default."""

    release: Release = Release.AT_ONCE
    unmatched: Unmatched = Unmatched.FLAG
    review: Reviewing = Reviewing.PEOPLE
    readying: Readying = Readying.PAGE
    provider: str = ""
    """Name of a provider plug-in; "": nobody is told and nobody watches."""
    incident_policy: str = ""
    """Name of an incident policy (see `incidents`); "": incidents are recorded, no more."""
    needs_onboarding: bool = True
    """Where an LMS keeps the course's exams and one of them is for onboarding: a proctored exam is
    only for those who have passed that."""
    grace_s: int = 5
    """How long after the end our clock still takes a submission: what was on its way."""
    staff: tuple[str, ...] = ()
    """The LMS's numeric ids of those who try the exam, beside staff of the course (`proctoring
    grant-staff`): what they submit outside of an attempt is a preview, never held back and never
    refused. Nothing that an LMS sends tells them from learners, so whoever sets `unmatched` to
    REFUSE lists them first."""
    rules: dict[str, str] = field(default_factory=dict)
    """What the learner may and may not do: key -> sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExam:
    lms: str
    """Name of the LMS's entry here."""
    course_id: str
    content_id: str
    """Usage id of the sequence."""
    exam_name: str
    exam_type: ExamType
    time_limit_mins: int
    due_at: datetime | None
    hide_after_due: bool
    is_active: bool
    clock_owner: ClockOwner
    external_id: str
    """By which the LMS knows it where we are its provider: never given twice."""
    lms_exam_id: str = ""
    """The LMS's own id, where the exam lives there."""
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam(NewExam):
    id: int
    created_at: datetime
    provider_exam_id: str = ""
    """The provider's id, once it has answered."""

    def is_past_due(self, now: datetime) -> bool:
        return self.due_at is not None and now >= self.due_at
