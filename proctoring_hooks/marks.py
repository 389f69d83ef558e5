"""What a learner has got for a problem of an exam, of all that he submitted to it. Pure rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from proctoring_hooks.grades import ExamSubmission, GradeState

ONE_PRESS = timedelta(seconds=5)
"""The parts of a problem are submitted together; what is made that much later, is made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMark:
    """One learner's mark for one problem."""

    learner: str
    """The LMS's id of the user."""
    problem: str
    """Usage id."""
    submission_id: int
    """The newest of those that count."""
    attempt_id: int | None
    score: float | None
    """As graded, all parts of the problem together; None: one of them has no grade yet."""
    factor: float
    """What of the score counts, once it is released."""
    state: GradeState

    @property
    def counts(self) -> float | None:
        """What the LMS has, or will have."""
        return None if self.score is None else self.score * self.factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark(NewMark):
    token: int
    """Of its writer."""
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A submission that may make a mark."""

    learner: str
    problem: str
    submission: ExamSubmission
    made_at: datetime
    """By the learner; where that is not known, its arrival."""
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    entries: Sequence[NewMark]
    is_last: bool


_MOST_HELD_FIRST = (
    GradeState.FLAGGED,
    GradeState.WITHHELD,
    GradeState.WAITING,
    GradeState.RELEASED,
)


def mark_of(candidates: Sequence[Candidate]) -> NewMark:
    """What a learner has got for a problem, of all that he submitted to it (at least one).

    The newest counts, with the other parts of the same press; what staff have not accepted does
    only if there is nothing else.
    """
    taken = [each for each in candidates if each.submission.state is not GradeState.FLAGGED]
    of_those = taken or candidates
    newest = max(of_those, key=lambda each: (each.made_at, each.submission.submission_id))
    parts = [each for each in of_those if newest.made_at - each.made_at < ONE_PRESS]
    scores = [each.score for each in parts]
    return NewMark(
        learner=newest.learner,
        problem=newest.problem,
        submission_id=newest.submission.submission_id,
        attempt_id=newest.submission.attempt_id,
        score=None if None in scores else sum(score for score in scores if score is not None),
        factor=min(each.submission.factor for each in parts),
        state=min((each.submission.state for each in parts), key=_MOST_HELD_FIRST.index),
    )
