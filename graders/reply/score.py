"""Points of the reports -> one number, or no grade at all when there is no honest one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sandbox.run import ExitReason, RunResult

FULL_MARKS_SLACK = 1e-9
"""Fractions of points add up with rounding; 0.1 + 0.2 of 0.3 is full marks."""


class NoGrade(Exception):
    """The reports do not add up to a grade: the grader's fault, not the learner's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    earned: float
    maximum: float | None
    """None if the run was stopped before any points were announced; `earned` is 0 then."""
    fraction: float
    """0 to 1."""

    @property
    def correct(self) -> bool:
        return self.fraction == 1.0

    def lms_score(self, lms_points: float | None, *, whole: bool = False) -> float:
        """The fraction, or that part of `lms_points` for a problem whose input has
        `points="N"`: the LMS takes `score` as points, its maximum is 1 without that attribute,
        and it holds nobody to it. `whole` rounds down, so that only everything right is full marks:
        edx-submissions counts in whole points and loses a score with a fraction.

        Raises:
            NoGrade: `lms_points` is not a number above zero.
        """
        if lms_points is not None and not (math.isfinite(lms_points) and lms_points > 0):
            raise NoGrade(f"lms_points is {lms_points}")
        score = self.fraction * (1.0 if lms_points is None else lms_points)
        return math.floor(score + FULL_MARKS_SLACK) if whole else score


def grade_of(result: RunResult) -> Grade:
    """Sum and clamp.

    Raises:
        NoGrade: the grader failed, a score is not a number, or there are points of an unknown
            maximum.
    """
    if result.reason is ExitReason.GRADER_FAILED:
        raise NoGrade("the grader failed")
    if not math.isfinite(sum(report.score for report in result.reports)):
        raise NoGrade("the reported scores do not add up to a finite number")
    # Each by itself: what one test has too much must not make up for another.
    earned = math.fsum(min(max(r.score, 0.0), r.max_score) for r in result.reports)
    if result.reason is not ExitReason.COMPLETED and earned <= 0:
        # Stopped before anything was earned: nothing of any maximum is nothing.
        return Grade(earned=0.0, maximum=result.declared_max, fraction=0.0)
    maximum = _maximum(result)
    fraction = min(1.0, max(0.0, earned / maximum))
    full = fraction >= 1.0 - FULL_MARKS_SLACK
    return Grade(earned=earned, maximum=maximum, fraction=1.0 if full else fraction)


def has_full_marks(score: float, max_score: float) -> bool:
    return score >= max_score - FULL_MARKS_SLACK


def _maximum(result: RunResult) -> float:
    maximum = result.declared_max
    if maximum is None and result.reason is ExitReason.COMPLETED:
        maximum = sum(report.max_score for report in result.reports)
    if maximum is None:
        raise NoGrade("the run was stopped before the grader announced its points")
    if not math.isfinite(maximum) or maximum <= 0:
        raise NoGrade(f"the grader announced {maximum} points")
    return maximum
