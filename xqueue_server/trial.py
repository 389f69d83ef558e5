"""Trials: submissions that a grader's author makes, on the learners' way but without an LMS."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from xqueue_server.grader import GraderSource
from xqueue_server.submission import HoldReason, SubmissionState

CALLBACK_URL = "trial:/score_update"
"""In the place of an LMS: no origin, so nothing can be sent; its rules for a grade hold."""
KEPT_S = 3600
MOST_PER_MINUTE = 30
MOST_UNFINISHED = 8


class TrialState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    GRADED = "graded"
    FAILED = "failed"


STATES = {
    SubmissionState.QUEUED: TrialState.QUEUED,
    SubmissionState.LEASED: TrialState.RUNNING,
    SubmissionState.GRADED: TrialState.GRADED,
    SubmissionState.HELD: TrialState.FAILED,
    SubmissionState.GIVEN_UP: TrialState.FAILED,
    SubmissionState.SUPERSEDED: TrialState.FAILED,
}
ENDED = frozenset({TrialState.GRADED, TrialState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTrial:
    """What is to be run; its submission is stored with it."""

    account_id: int
    token_id: int | None
    queue: str
    name: str
    source: GraderSource
    manifest_text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    id: int
    submission_id: int
    account_id: int
    queue: str
    name: str
    source: GraderSource
    manifest_text: str = field(repr=False)
    record: str | None = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a trial stands, for its author."""

    trial: Trial
    state: TrialState
    held_reason: HoldReason | None
    detail: str | None
    reply: str | None = field(repr=False)
    ended_at: datetime | None
