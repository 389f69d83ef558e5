"""Trials: submissions that a grader's author makes, on the learners' way but without an LMS."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from xqueue_server.models.grader import GraderSource, Manifest, read_manifest
from xqueue_server.models.submission import HoldReason, SubmissionState

CALLBACK_URL = "trial:/score_update"
"""In the place of an LMS: no origin, so nothing can be sent; its rules for a grade hold."""
KEPT_S = 3600
MOST_FILES_BYTES = 16 * 1024 * 1024
"""All files of a trial: they come as base64 in one JSON text, which is held in memory whole."""
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

    @property
    def manifest(self) -> Manifest:
        return read_manifest(json.loads(self.manifest_text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a trial stands, for its author."""

    trial: Trial
    state: TrialState
    held_reason: HoldReason | None
    detail: str | None
    reply: str | None = field(repr=False)
    ended_at: datetime | None
