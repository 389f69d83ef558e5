"""Everything that is kept about one submission, and what happened to it in order, for people.

What the learner wrote is not part of it; nor are the keys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from xqueue_server.errors import NotFound
from xqueue_server.models.callback import Callback
from xqueue_server.models.lms_interface import Grade, grade_in
from xqueue_server.models.regrade import Regrade, RegradeState
from xqueue_server.models.submission import Submission, SubmissionEvent
from xqueue_server.storage import (
    Transaction,
    callbacks,
    events,
    lease_graders,
    regrades,
    submissions,
    timings,
)
from xqueue_server.storage import results as stored
from xqueue_server.storage.callbacks import Attempt
from xqueue_server.storage.events import Event
from xqueue_server.storage.lease_graders import HandedOut
from xqueue_server.storage.results import Disposition, Result
from xqueue_server.storage.timings import Timing
from xqueue_server.submissions import why_waiting
from xqueue_server.submissions.why_waiting import Reason


class StepKind(StrEnum):
    """What sort of thing happened."""

    STATE = "state"
    """The submission came to another state, or a person did something about it."""
    RESULT = "result"
    REGRADE = "regrade"
    """How one ended."""
    CALLBACK = "callback"
    """A message to the LMS came to another state."""
    TRY = "try"
    """To send one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    at: datetime
    kind: StepKind
    what: str
    """A sentence."""
    by: str | None = None
    """Who did it, as the events say: "account NAME", "operator NAME", "sweeper", "deliver"."""
    detail: str | None = None
    """What was said about it: a grader's report, an LMS's answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A message to the LMS with every try, oldest first."""

    callback: Callback
    attempts: Sequence[Attempt]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    submission: Submission
    reason: Reason
    events: Sequence[Event]
    graders: Sequence[HandedOut]
    """Which published grader each lease was handed out with."""
    results: Sequence[Result]
    sendings: Sequence[Sending]
    regrades: Sequence[Regrade]
    timings: Sequence[Timing]

    @property
    def steps(self) -> Sequence[Step]:
        """Oldest first; of one instant, causes before effects."""
        found = [
            *_of_events(self),
            *_of_results(self.results),
            *_of_regrades(self.regrades),
            *_of_tries(self.sendings),
        ]
        return sorted(found, key=lambda step: (step.at, _ORDER[step.kind]))

    def as_object(self) -> dict[str, object]:
        """For JSON: instants are datetimes still."""
        return {
            "reason": self.reason.as_object(),
            "steps": [dataclasses.asdict(step) for step in self.steps],
            "regrades": [dataclasses.asdict(regrade) for regrade in self.regrades],
            "timings": [dataclasses.asdict(timing) for timing in self.timings],
        }


def story(tx: Transaction, submission_id: int) -> Story:
    """Raises: NotFound."""
    submission = submissions.find(tx, submission_id)
    if submission is None:
        raise NotFound(f"Submission {submission_id} not found")
    return Story(
        submission=submission,
        reason=why_waiting.explain(tx, submission_id),
        events=events.of_submission(tx, submission_id),
        graders=lease_graders.of_submission(tx, submission_id),
        results=stored.of_submission(tx, submission_id),
        sendings=[
            Sending(callback=callback, attempts=callbacks.attempts_of(tx, callback.id))
            for callback in callbacks.of_submission(tx, submission_id)
        ],
        regrades=regrades.of_submission(tx, submission_id),
        timings=timings.of_submission(tx, submission_id),
    )


# -- what happened -------------------------------------------------------------------------------

_ORDER = {
    StepKind.RESULT: 0,
    StepKind.STATE: 1,
    StepKind.REGRADE: 2,
    StepKind.TRY: 3,
    StepKind.CALLBACK: 4,
}
_E = SubmissionEvent
_WHAT = {
    _E.ARRIVE: "Arrived from the LMS",
    _E.LEASE: "Handed to a grader",
    _E.EXPIRE: "The grader was lost; back to the queue",
    _E.EXHAUST: "The grader was lost once too often",
    _E.PLATFORM_FAILURE: "The worker's platform failed; tried again later",
    _E.PLATFORM_EXHAUST: "The workers' platform failed once too often",
    _E.GRADER_FAILURE: "The grader is broken",
    _E.ACCEPT: "Graded",
    _E.REJECT: "The LMS would refuse the result",
    _E.SUPERSEDE: "The learner submitted again",
    _E.RELEASE: "Released, back to the queue",
    _E.GIVE_UP: "Given up: the learner is told that no grade comes",
    _E.REGRADE: "To be graded anew",
    _E.CANCEL: "The regrade was cancelled; the old grade stands",
    _E.ERASE: "The learner's data were erased",
}
_OTHER = {
    "amend": "The grader replaced its result",
    "amend_rejected": "A replacement was refused",
    "exam": "Belongs to an exam",
    "exam_released": "The exam lets its grade go",
    "exam_withheld": "The exam keeps its grade back",
}
_CALLBACK_STATES = {
    "pending": "The message to the LMS is sent again",
    "delivered": "The LMS has taken the message",
    "dead": "The LMS did not take the message; it is not sent any more",
    "cancelled": "The message to the LMS was withdrawn",
}
_DISPOSITIONS = {
    Disposition.ACCEPTED: "A result was accepted",
    Disposition.AMENDED: "A result replaced the one before",
    Disposition.REJECTED: "A result was refused",
    Disposition.UNUSED: "A result came too late to be used",
}
_REGRADES = {
    RegradeState.SAME: "gave the same grade",
    RegradeState.CHANGED: "changed the grade",
    RegradeState.FAILED: "failed; the old grade stands",
    RegradeState.CANCELLED: "was cancelled; the old grade stands",
}


def _of_events(found: Story) -> Iterator[Step]:
    handed_out = list(found.graders)
    of_this = f"submission {found.submission.id}"
    for event in found.events:
        if event.subject != of_this:
            yield _of_callback(event)
            continue
        what = _what(event)
        if event.why == _E.LEASE and handed_out and handed_out[0].at >= event.at:
            grader = handed_out[0]
            following = next(_leases_after(found.events, event), None)
            if following is None or grader.at < following.at:
                handed_out.pop(0)
                version = f"version {grader.version}" if grader.version else "a trial"
                what += f" with '{grader.grader}', {version}"
        yield Step(at=event.at, kind=StepKind.STATE, what=what, by=event.actor, detail=event.detail)


def _leases_after(all_events: Sequence[Event], event: Event) -> Iterator[Event]:
    return (each for each in all_events if each.why == _E.LEASE and each.id > event.id)


def _what(event: Event) -> str:
    try:
        return _WHAT[SubmissionEvent(event.why)]
    except ValueError:
        return _OTHER.get(event.why, event.why.replace("_", " ").capitalize())


def _of_callback(event: Event) -> Step:
    what = _CALLBACK_STATES.get(event.to_state or "", event.why)
    if (event.from_state, event.to_state) == ("withheld", "pending"):
        what = "The message to the LMS, withheld until now, is sent"
    return Step(
        at=event.at,
        kind=StepKind.CALLBACK,
        what=f"{what} ({event.subject})",
        by=event.actor,
        detail=event.detail or (event.why if event.to_state == "cancelled" else None),
    )


def _of_results(results: Sequence[Result]) -> Iterator[Step]:
    for result in results:
        grade = grade_in(result.body)
        what = _DISPOSITIONS[result.disposition] + (f": {_shown(grade)}" if grade else "")
        yield Step(
            at=result.received_at,
            kind=StepKind.RESULT,
            what=what,
            by=f"account {result.sent_by}",
        )


def _shown(grade: Grade) -> str:
    return f"score {grade.score:g}, {'correct' if grade.correct else 'not correct'}"


def _of_regrades(found: Sequence[Regrade]) -> Iterator[Step]:
    for regrade in found:
        if regrade.finished_at is None:
            continue
        what = f"Regrade {regrade.batch_id} {_REGRADES[regrade.state]}"
        if regrade.old_score is not None and regrade.new_score is not None:
            what += f": {regrade.old_score:g} > {regrade.new_score:g}"
        if regrade.lms_had_it:
            what += "; the LMS had the old one and keeps it"
        yield Step(at=regrade.finished_at, kind=StepKind.REGRADE, what=what, detail=regrade.detail)


def _of_tries(sendings: Sequence[Sending]) -> Iterator[Step]:
    for sending in sendings:
        for number, attempt in enumerate(sending.attempts, start=1):
            answer = f"answer {attempt.status}" if attempt.status is not None else "no answer"
            yield Step(
                at=attempt.started_at,
                kind=StepKind.TRY,
                what=(
                    f"Try {number} to send callback {sending.callback.id}: {answer} "
                    f"after {attempt.duration_ms} ms"
                ),
                by="deliver",
                detail=attempt.error,
            )
