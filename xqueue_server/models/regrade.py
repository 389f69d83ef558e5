"""A regrade: a submission that has a grade is graded anew, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RegradeState(StrEnum):
    WAITING = "waiting"
    """In line, or being graded."""
    SAME = "same"
    """The new result has the old score, and is as correct."""
    CHANGED = "changed"
    FAILED = "failed"
    """No new result came of it; the old one stands."""
    CANCELLED = "cancelled"
    """By a person, or because the learner submitted again; the old result stands."""


WITH_RESULT = (RegradeState.SAME, RegradeState.CHANGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Regrade:
    id: int
    batch_id: int
    submission_id: int
    state: RegradeState
    old_result_id: int | None
    new_result_id: int | None
    old_score: float | None
    """None: the result is not the JSON of a grade."""
    new_score: float | None
    lms_had_it: bool | None
    """Whether the LMS had the old result when the new one came: then it keeps that one. None: no
    new result came."""
    started_at: datetime
    finished_at: datetime | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegradeBatch:
    """What one person asked for at once."""

    id: int
    requested_at: datetime
    requested_by: str
    reason: str
    selection: str
    counts: dict[RegradeState, int]
    """Only states that occur."""
    lms_kept_old: int
    """Changed scores of which the LMS had the old one: they need an override there."""
