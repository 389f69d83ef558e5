"""A submission: its states, and every way from one to another.

The tables `TRANSITIONS` and `REGRADE_TRANSITIONS` are the only place that says which change is
allowed; storage writes a state only by compare-and-set on one of the states listed there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from xqueue_server.models.callback_url import NOWHERE, Place
from xqueue_server.models.grader import GraderChoice


class SubmissionState(StrEnum):
    QUEUED = "queued"
    """Waits for a grader (perhaps until `available_at`)."""
    LEASED = "leased"
    """A grader holds it until `lease_until`."""
    GRADED = "graded"
    """A result was accepted; its callback is in the outbox."""
    HELD = "held"
    """Waits for people: too many attempts, or the grader is at fault. Nothing went to the LMS."""
    SUPERSEDED = "superseded"
    """The learner submitted the same part again before this one was graded, or his data were
    erased: nothing is sent to the LMS."""
    GIVEN_UP = "given_up"
    """The learner was told that it will not be graded. Irreversible at the LMS."""


class SubmissionEvent(StrEnum):
    """What can happen to a submission."""

    ARRIVE = "arrive"
    LEASE = "lease"
    EXPIRE = "expire"
    EXHAUST = "exhaust"
    """The last allowed lease expired."""
    PLATFORM_FAILURE = "platform_failure"
    PLATFORM_EXHAUST = "platform_exhaust"
    """The same, once too often for this submission."""
    GRADER_FAILURE = "grader_failure"
    ACCEPT = "accept"
    REJECT = "reject"
    """A result arrived that the LMS would refuse."""
    SUPERSEDE = "supersede"
    RELEASE = "release"
    """A person puts a held submission back to the queue."""
    GIVE_UP = "give_up"
    REGRADE = "regrade"
    """A person wants a submission graded anew that has a grade."""
    CANCEL = "cancel"
    """A person does not want that any more."""
    ERASE = "erase"
    """A learner's data are erased: no grade comes, and nobody is told."""


_S, _E = SubmissionState, SubmissionEvent

TRANSITIONS: dict[tuple[SubmissionState | None, SubmissionEvent], SubmissionState] = {
    (None, _E.ARRIVE): _S.QUEUED,
    (_S.QUEUED, _E.LEASE): _S.LEASED,
    (_S.QUEUED, _E.ACCEPT): _S.GRADED,  # a late result of an expired lease
    (_S.QUEUED, _E.REJECT): _S.HELD,
    (_S.QUEUED, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.LEASED, _E.EXPIRE): _S.QUEUED,
    (_S.LEASED, _E.EXHAUST): _S.HELD,
    (_S.LEASED, _E.PLATFORM_FAILURE): _S.QUEUED,
    (_S.LEASED, _E.PLATFORM_EXHAUST): _S.HELD,
    (_S.LEASED, _E.GRADER_FAILURE): _S.HELD,
    (_S.LEASED, _E.ACCEPT): _S.GRADED,
    (_S.LEASED, _E.REJECT): _S.HELD,
    (_S.LEASED, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.HELD, _E.ACCEPT): _S.GRADED,
    (_S.HELD, _E.REJECT): _S.HELD,
    (_S.HELD, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.HELD, _E.RELEASE): _S.QUEUED,
    (_S.HELD, _E.GIVE_UP): _S.GIVEN_UP,
    (_S.GRADED, _E.REGRADE): _S.QUEUED,
    (_S.QUEUED, _E.ERASE): _S.SUPERSEDED,
    (_S.LEASED, _E.ERASE): _S.SUPERSEDED,
    (_S.HELD, _E.ERASE): _S.SUPERSEDED,
}
"""(state before, event) -> state after. A pair that is not here is not allowed.

An amended result replaces the callback, not the state; only a regrade leads out of GRADED.
"""

REGRADE_TRANSITIONS: dict[tuple[SubmissionState, SubmissionEvent], SubmissionState] = {
    (_S.QUEUED, _E.LEASE): _S.LEASED,
    (_S.QUEUED, _E.ACCEPT): _S.GRADED,
    (_S.QUEUED, _E.REJECT): _S.GRADED,
    (_S.QUEUED, _E.SUPERSEDE): _S.GRADED,
    (_S.QUEUED, _E.CANCEL): _S.GRADED,
    (_S.QUEUED, _E.ERASE): _S.GRADED,
    (_S.LEASED, _E.EXPIRE): _S.QUEUED,
    (_S.LEASED, _E.EXHAUST): _S.GRADED,
    (_S.LEASED, _E.PLATFORM_FAILURE): _S.QUEUED,
    (_S.LEASED, _E.PLATFORM_EXHAUST): _S.GRADED,
    (_S.LEASED, _E.GRADER_FAILURE): _S.GRADED,
    (_S.LEASED, _E.ACCEPT): _S.GRADED,
    (_S.LEASED, _E.REJECT): _S.GRADED,
    (_S.LEASED, _E.SUPERSEDE): _S.GRADED,
    (_S.LEASED, _E.CANCEL): _S.GRADED,
    (_S.LEASED, _E.ERASE): _S.GRADED,
}
"""The same for what has a grade already: whatever ends the regrade leads back to that grade. There
is no way to HELD, so nothing of it is ever given up or told to the learner.
"""

LEAST_PRIORITY, MOST_PRIORITY = -999, 999
"""Of learners' submissions; 0 is the usual one."""
BULK_PRIORITY = -250
"""Of many at once that nobody waits for in front of a page."""
REGRADE_PRIORITY = -500
"""Of what has a grade already."""
TRIAL_PRIORITY = -1000
"""Of trials (see `trial`), and of nothing else: after all work of learners, and told by it."""


class Line(StrEnum):
    """Which of a queue's waiting submissions somebody may be handed."""

    LEARNERS = "learners"
    """What every XQueue client gets."""
    ALL = "all"
    """Trials too, after the learners' work."""
    TRIALS = "trials"
    """For a worker that has no grader for the learners' work."""


UNFINISHED = (_S.QUEUED, _S.LEASED, _S.HELD)
ENDED = (_S.GRADED, _S.SUPERSEDED, _S.GIVEN_UP)


class HoldReason(StrEnum):
    """Why a submission waits for people."""

    ATTEMPTS = "attempts"
    """Every allowed lease expired: the grader crashes or hangs on it."""
    GRADER = "grader"
    """The grader reported that it is broken."""
    INVALID_RESULT = "invalid_result"
    """The LMS would refuse the result and clear the learner's pending state."""
    PLATFORM = "platform"
    """The workers' own platform failed too many times in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReference:
    """One uploaded file: the learner's name for it, and where the bytes are."""

    name: str
    blob: str
    """Key in the blob store, chosen by us."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSubmission:
    """A submission that intake has checked and is about to store."""

    request_id: str
    queue: str
    header: str = field(repr=False)
    """The LMS's xqueue_header, verbatim: it goes back to the LMS as it came."""
    body: str = field(repr=False)
    callback_url: str
    lms_key: str = field(repr=False)
    """JSON text of the header's lms_key, whatever its type."""
    files: tuple[FileReference, ...]
    submitted_by: str
    supersede_key: bytes | None
    """Digest of queue, callback URL and grader_payload; None: supersedes nothing."""
    learner_submitted_at: datetime | None
    priority: int = 0
    traceparent: str | None = None
    """W3C trace context that the submission's spans belong to."""
    place: Place = NOWHERE
    """Whose it is, as the callback URL tells."""
    exam_id: int | None = None
    """The exam that claims it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedSubmission:
    """What a grader gets, and the terms."""

    submission_id: int
    queue: str
    key: str = field(repr=False)
    """32 hex digits; the only secret that lets a grader answer."""
    attempt: int
    lease_until: datetime
    body: str = field(repr=False)
    files: tuple[FileReference, ...]
    choice: GraderChoice | None = None
    """None: nobody asked, or the queue has no published grader."""
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The row as it stands, without its contents."""

    id: int
    queue: str
    state: SubmissionState
    priority: int
    attempt: int
    platform_failures: int
    available_at: datetime | None
    arrived_at: datetime
    callback_url: str
    lms_key: str = field(repr=False)
    """The only secret that lets anybody post a grade to the LMS."""
    submitted_by: str
    leased_by: str | None
    lease_key: bytes | None = field(repr=False)
    """SHA-256 of the key of the present lease."""
    accepted_key: bytes | None = field(repr=False)
    """SHA-256 of the key with which the accepted result came."""
    lease_until: datetime | None
    held_reason: HoldReason | None
    held_detail: str | None
    held_at: datetime | None
    ended_at: datetime | None
    course: str
    learner: str
    turn: int
    """Among equal priorities of a queue the smallest is next."""
    is_capped: bool
    """It counts to its learner's cap."""
    is_blocked: bool
    """It waits until its learner has fewer others in line."""
    exam_id: int | None
    """The exam that it belongs to; then its grade goes when the exam lets it."""

    @property
    def is_trial(self) -> bool:
        return self.priority == TRIAL_PRIORITY

    @property
    def is_regrade(self) -> bool:
        """It waits for a grade although it has one."""
        return self.accepted_key is not None and self.state in (_S.QUEUED, _S.LEASED)

    def after(self, event: SubmissionEvent) -> SubmissionState:
        """Raises: KeyError if the tables do not allow the event."""
        if self.is_regrade:
            return REGRADE_TRANSITIONS[self.state, event]
        return TRANSITIONS[self.state, event]
