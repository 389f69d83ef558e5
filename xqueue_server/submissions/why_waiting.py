"""Why a submission is where it is, and what to do about it: always one reason, for people.

The reason is the first thing that would have to change. Sentences are for an operator who knows
nothing of the internals; the next step names a command, where there is one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from proctoring_hooks.grades import ExamSubmission, GradeState, Standing
from xqueue_server.errors import NotFound
from xqueue_server.models.callback import Callback, CallbackState
from xqueue_server.models.queue import Queue
from xqueue_server.models.submission import HoldReason, Submission, SubmissionState
from xqueue_server.storage import (
    Transaction,
    capping,
    graders,
    queues,
    readiness,
    submissions,
    waiting,
)
from xqueue_server.storage.proctoring.grades import Grades
from xqueue_server.storage.readiness import HostReadiness
from xqueue_server.storage.waiting import ServingHost
from xqueue_server.submissions import line

SERVED_WITHIN_S = 15 * 60
"""A queue that was graded from not longer ago counts as served."""
READY_WITHIN_S = 600
"""Workers repeat what they can run; what they said longer ago does not count."""


class ReasonCode(StrEnum):
    PAUSED = "paused"
    BACKING_OFF = "backing_off"
    CAPPED = "capped"
    NO_WORKER = "no_worker"
    CANARY_FAILED = "canary_failed"
    IMAGE_NOT_READY = "image_not_ready"
    IN_LINE = "in_line"
    REGRADING = "regrading"
    GRADING = "grading"
    LEASE_OVER = "lease_over"
    """Its grader was lost; the sweeper has not seen it yet."""
    HELD_ATTEMPTS = "held_attempts"
    HELD_GRADER = "held_grader"
    HELD_INVALID_RESULT = "held_invalid_result"
    HELD_PLATFORM = "held_platform"
    WITHHELD_BY_EXAM = "withheld_by_exam"
    FLAGGED_BY_EXAM = "flagged_by_exam"
    DELIVERING = "delivering"
    LMS_REFUSING = "lms_refusing"
    BREAKER_OPEN = "breaker_open"
    DEAD_LETTER = "dead_letter"
    GRADED_AND_DELIVERED = "graded_and_delivered"
    GRADED = "graded"
    """Nobody is to be told: a trial."""
    SUPERSEDED = "superseded"
    ERASED = "erased"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    code: ReasonCode
    sentence: str
    next_step: str

    def as_object(self) -> dict[str, str]:
        return {"code": self.code.value, "sentence": self.sentence, "next_step": self.next_step}


_C, _S = ReasonCode, SubmissionState
NOTHING = "Nothing: it goes on by itself."
IS_IT_SWEPT = "If it stays so: is `xqueue-server sweep` running? xqueue-server doctor"


def explain(tx: Transaction, submission_id: int) -> Reason:
    """With the place in line, which costs more the longer the line is. Raises: NotFound."""
    found = submissions.find(tx, submission_id)
    if found is None:
        raise NotFound(f"Submission {submission_id} not found")
    reason = explain_all(tx, [found])[submission_id]
    if reason.code not in (_C.IN_LINE, _C.REGRADING):
        return reason
    place = line.position(tx, submission_id)
    if place is None:
        return reason
    shown = f"more than {line.COUNTED_UP_TO}" if place > line.COUNTED_UP_TO else str(place)
    return Reason(
        code=reason.code,
        sentence=f"{reason.sentence} Its place in the line is {shown}.",
        next_step=reason.next_step,
    )


def explain_all(tx: Transaction, found: Sequence[Submission]) -> dict[int, Reason]:
    """By submission id: for a page of a list, in a few queries however long the page is."""
    facts = _gather(tx, found)
    return {submission.id: _reason(submission, facts) for submission in found}


# -- what is known -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    queues: dict[str, Queue]
    serving: dict[str, list[ServingHost]]
    lately_served: set[str]
    not_ready: dict[str, HostReadiness]
    """Queue -> one report of a grader that no host can run."""
    leased_at: dict[bytes, datetime]
    callbacks: dict[int, Callback]
    of_exams: dict[int, ExamSubmission]
    """Of those with a withheld callback."""
    open_breakers: dict[str, datetime]
    overdue: set[int]
    leases_over: set[int]
    blocked_in_vain: set[int]


def _gather(tx: Transaction, found: Sequence[Submission]) -> _Facts:
    queued = [each for each in found if each.state is _S.QUEUED]
    names = {each.queue for each in queued}
    ended = [each.id for each in found if each.state in (_S.GRADED, _S.GIVEN_UP)]
    delayed = [each.id for each in queued if each.available_at is not None]
    last = waiting.last_callbacks(tx, ended)
    withheld = [of for of, callback in last.items() if callback.state is CallbackState.WITHHELD]
    return _Facts(
        queues={name: queue for name in names if (queue := queues.find(tx, name))},
        serving=waiting.serving(tx, names),
        lately_served=waiting.lately_served(tx, names, within_s=SERVED_WITHIN_S),
        not_ready=_not_ready(tx, names),
        leased_at=waiting.leased_at(tx, [s.lease_key for s in found if s.lease_key]),
        callbacks=last,
        of_exams=Grades(tx).among(withheld),
        open_breakers=waiting.open_breakers(tx) if last else {},
        overdue=waiting.overdue(tx, delayed),
        leases_over=waiting.leases_over(tx, [s.id for s in found if s.state is _S.LEASED]),
        blocked_in_vain=capping.blocked_in_vain_among(tx, [s.id for s in queued if s.is_blocked]),
    )


def _not_ready(tx: Transaction, names: Collection[str]) -> dict[str, HostReadiness]:
    """Of queues of which every host says that it can not run a version in use."""
    found: dict[str, HostReadiness] = {}
    for name in names:
        active = {(g.name, g.active) for g in graders.of_queue(tx, name) if g.active}
        reports = readiness.recent(tx, name, within_s=READY_WITHIN_S) if active else []
        for key in sorted(active, key=str):
            own = [report for report in reports if (report.name, report.version) == key]
            if own and not any(report.is_ready for report in own):
                found.setdefault(name, own[0])
    return found


# -- from facts to a reason ----------------------------------------------------------------------


def _reason(submission: Submission, facts: _Facts) -> Reason:
    if not submission.lms_key:
        return Reason(
            code=_C.ERASED,
            sentence="The learner's data were erased: nothing is sent to the LMS any more.",
            next_step="Nothing.",
        )
    match submission.state:
        case _S.QUEUED:
            return _of_queued(submission, facts)
        case _S.LEASED:
            return _of_leased(submission, facts)
        case _S.HELD:
            return _of_held(submission)
        case _S.SUPERSEDED:
            return Reason(
                code=_C.SUPERSEDED,
                sentence="The learner submitted the same part again before this one was graded.",
                next_step="Nothing: look at the newer submission.",
            )
    callback = facts.callbacks.get(submission.id)
    return _of_ended(submission, callback, facts)


def _of_queued(submission: Submission, facts: _Facts) -> Reason:
    queue = facts.queues.get(submission.queue)
    if queue is not None and queue.paused_at is not None:
        by = f" by {queue.paused_by}" if queue.paused_by else ""
        why = f": {queue.paused_reason}" if queue.paused_reason else ""
        return Reason(
            code=_C.PAUSED,
            sentence=f"The queue was paused at {_at(queue.paused_at)}{by}{why}.",
            next_step=f"xqueue-server queue resume {_word(submission.queue)}",
        )
    if submission.available_at is not None and submission.id not in facts.overdue:
        return Reason(
            code=_C.BACKING_OFF,
            sentence=(
                f"The workers' platform failed {submission.platform_failures} times in a row on "
                f"it; it is tried again at {_at(submission.available_at)}."
            ),
            next_step=f"Read why: xqueue-server submission show {submission.id}",
        )
    if submission.id in facts.blocked_in_vain:
        return Reason(
            code=_C.CAPPED,
            sentence="It has waited for others of the same learner; the next sweep lets it in.",
            next_step=IS_IT_SWEPT,
        )
    if submission.is_blocked:
        cap = queue.learner_cap if queue else None
        return Reason(
            code=_C.CAPPED,
            sentence=(
                "The same learner has as many others in the line as the queue allows"
                + (f" ({cap})." if cap is not None else ".")
            ),
            next_step=NOTHING,
        )
    return _why_not_served(submission, facts) or _of_line(submission)


def _why_not_served(submission: Submission, facts: _Facts) -> Reason | None:
    name = submission.queue
    hosts = facts.serving.get(name, [])
    unsafe = [host for host in hosts if host.is_canary_ok is False]
    if hosts and len(unsafe) == len(hosts):
        said = f": {unsafe[0].canary}" if unsafe[0].canary else ""
        return Reason(
            code=_C.CANARY_FAILED,
            sentence=f"The sandbox of every host of the queue failed its safety test{said}.",
            next_step=f"On host {unsafe[0].host}: grader-worker doctor",
        )
    report = facts.not_ready.get(name)
    if report is not None:
        said = f": {report.problem}" if report.problem else ""
        return Reason(
            code=_C.IMAGE_NOT_READY,
            sentence=(
                f"No host can run version {report.version} of the grader '{report.name}' yet{said}."
            ),
            next_step=f"xqueue-server grader show {_word(name)} {_word(report.name)}",
        )
    if not hosts and name not in facts.lately_served:
        return Reason(
            code=_C.NO_WORKER,
            sentence=f"No worker serves the queue '{name}'.",
            next_step=(
                "Start one, on a worker host: "
                f"grader-worker poll --server URL --queue {_word(name)}"
            ),
        )
    return None


def _of_line(submission: Submission) -> Reason:
    if submission.is_regrade:
        return Reason(
            code=_C.REGRADING,
            sentence="It has a grade and waits to be graded anew, after all learners' work.",
            next_step="Nothing, or `xqueue-server regrade list` to find and cancel it.",
        )
    return Reason(
        code=_C.IN_LINE,
        sentence="It waits in the line of its queue.",
        next_step="Nothing, or more workers if the line is long: xqueue-server queue list",
    )


def _of_leased(submission: Submission, facts: _Facts) -> Reason:
    if submission.id in facts.leases_over:
        return Reason(
            code=_C.LEASE_OVER,
            sentence=(
                f"{submission.leased_by or 'A grader'} did not answer before its lease ended at "
                f"{_at(submission.lease_until)} (attempt {submission.attempt}); the next sweep "
                "takes it back."
            ),
            next_step=IS_IT_SWEPT,
        )
    since = facts.leased_at.get(submission.lease_key or b"")
    sentence = f"{submission.leased_by or 'A grader'} is grading it"
    sentence += f" since {_at(since)}" if since else ""
    sentence += f" (attempt {submission.attempt})."
    if submission.is_regrade:
        return Reason(
            code=_C.REGRADING,
            sentence=f"It has a grade and is graded anew: {sentence}",
            next_step=NOTHING,
        )
    return Reason(code=_C.GRADING, sentence=sentence, next_step=NOTHING)


_HELD: dict[HoldReason, tuple[ReasonCode, str]] = {
    HoldReason.ATTEMPTS: (
        _C.HELD_ATTEMPTS,
        "Every grader that took it was lost before it answered: the grading crashes or hangs.",
    ),
    HoldReason.GRADER: (_C.HELD_GRADER, "Its grader is broken, or does not exist."),
    HoldReason.INVALID_RESULT: (
        _C.HELD_INVALID_RESULT,
        "The grader answered what the LMS would refuse.",
    ),
    HoldReason.PLATFORM: (
        _C.HELD_PLATFORM,
        "The workers' own platform failed too many times in a row on it.",
    ),
}


def _of_held(submission: Submission) -> Reason:
    code, sentence = _HELD[submission.held_reason or HoldReason.GRADER]
    release = f"xqueue-server submission release {submission.id}"
    if code is _C.HELD_PLATFORM:
        return Reason(
            code=code,
            sentence=sentence,
            next_step=f"Mend the worker hosts (grader-worker doctor), then: {release}",
        )
    return Reason(
        code=code,
        sentence=sentence,
        next_step=(
            f"Read xqueue-server fault list --queue {_word(submission.queue)}, mend the grader, "
            f"then: {release}"
        ),
    )


def _of_ended(submission: Submission, callback: Callback | None, facts: _Facts) -> Reason:
    if callback is None or submission.is_trial:
        return Reason(
            code=_C.GRADED if submission.state is _S.GRADED else _C.GIVEN_UP,
            sentence="It is over, and there is no message for the LMS.",
            next_step="Nothing.",
        )
    match callback.state:
        case CallbackState.PENDING:
            return _of_pending(callback, facts)
        case CallbackState.WITHHELD:
            return _of_withheld(submission, facts)
        case CallbackState.DEAD:
            return Reason(
                code=_C.DEAD_LETTER,
                sentence=f"The LMS did not take the message: {_last(callback)}. "
                "It is not sent any more.",
                next_step=f"Mend the cause, then: xqueue-server callback replay {callback.id}",
            )
        case CallbackState.CANCELLED:
            return Reason(
                code=_C.SUPERSEDED,
                sentence="It was graded, but the learner submitted again before the LMS had it.",
                next_step="Nothing: look at the newer submission.",
            )
    if submission.state is _S.GIVEN_UP:
        return Reason(
            code=_C.GIVEN_UP,
            sentence="The learner was told that it will not be graded; the LMS has taken that.",
            next_step="Nothing here: a grade can only be given in the LMS, as an override.",
        )
    return Reason(
        code=_C.GRADED_AND_DELIVERED,
        sentence=f"It is graded, and the LMS took the grade at {_at(callback.finished_at)}.",
        next_step="Nothing.",
    )


def _of_withheld(submission: Submission, facts: _Facts) -> Reason:
    found = facts.of_exams.get(submission.id)
    if found is not None and found.state is GradeState.FLAGGED:
        why = (
            "it came after the end of the learner's attempt"
            if found.standing is Standing.LATE
            else "no attempt of the learner had begun when it came"
        )
        return Reason(
            code=_C.FLAGGED_BY_EXAM,
            sentence=f"It is graded, but {why}; the grade is kept here until staff accept it.",
            next_step=f"Accept it, or leave it: on the console of exam {found.exam_id}.",
        )
    of_attempt = f"attempt {found.attempt_id}" if found and found.attempt_id else "the attempt"
    if found is not None and found.state is GradeState.WITHHELD and not found.is_covered:
        return Reason(
            code=_C.WITHHELD_BY_EXAM,
            sentence="It is graded, but staff refused it; the grade is kept.",
            next_step=f"Nothing, or POST /api/v1/submissions/{submission.id}/accept after all.",
        )
    if found is not None and found.state is GradeState.WITHHELD:
        return Reason(
            code=_C.WITHHELD_BY_EXAM,
            sentence=f"It is graded, but {of_attempt} was rejected or removed; the grade is kept.",
            next_step=(
                f"Nothing, or accept it after all: on the console of exam {found.exam_id}. It goes "
                "by itself when a later review passes the attempt."
            ),
        )
    return Reason(
        code=_C.WITHHELD_BY_EXAM,
        sentence=(
            f"It is graded; its exam's policy keeps the grade until {of_attempt} is far enough."
        ),
        next_step=(
            "Nothing: it goes when the attempt is submitted or verified, as the exam says. Staff "
            "can accept it before that, on the exam's console."
        ),
    )


def _of_pending(callback: Callback, facts: _Facts) -> Reason:
    since = facts.open_breakers.get(callback.origin)
    if since is not None:
        return Reason(
            code=_C.BREAKER_OPEN,
            sentence=(
                f"{callback.origin} does not answer since {_at(since)}; its messages wait here "
                "and are sent when it does."
            ),
            next_step="Look at the LMS. How many wait for it: xqueue-server callback backlog",
        )
    if callback.last_status is not None or callback.last_error is not None:
        return Reason(
            code=_C.LMS_REFUSING,
            sentence=(
                f"The LMS does not take the message: {_last(callback)}. It was tried "
                f"{callback.attempt} times; next at {_at(callback.next_at)}."
            ),
            next_step=f"Read what the LMS said: xqueue-server callback show {callback.id}",
        )
    return Reason(
        code=_C.DELIVERING,
        sentence="It is over, and the message is on its way to the LMS.",
        next_step="If it stays so: is `xqueue-server deliver` running? xqueue-server doctor",
    )


def _last(callback: Callback) -> str:
    if callback.last_status is not None:
        return f"its last answer was {callback.last_status}"
    return callback.last_error or "no answer came"


def _at(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if moment else "an unknown time"


def _word(name: str) -> str:
    """As a word of a command: queues may have spaces."""
    return f"'{name}'" if " " in name else name
