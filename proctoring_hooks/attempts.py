"""Changing attempts: the one way by which every face, the clock and every review goes.

Each function works within the caller's transaction and locks the attempt first, so that of a
learner's submit, the clock and a provider's end exactly one wins and the others find it done.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from proctoring_hooks import aftermath, clock
from proctoring_hooks.attempt import Attempt, Learner, NewAttempt
from proctoring_hooks.exam import ClockOwner, Exam, Reviewing
from proctoring_hooks.grades import GradeState
from proctoring_hooks.happened import Happened
from proctoring_hooks.history import LEARNER, NO_HEAD, Change, Row
from proctoring_hooks.reviews import Review
from proctoring_hooks.statuses import BEFORE_START, IN_PROGRESS, OPEN, Status
from proctoring_hooks.store import NotFound, Overtaken, Session
from proctoring_hooks.transitions import (
    Action,
    Actor,
    By,
    Circumstances,
    Effect,
    Refused,
    Rule,
    decide,
)

LONGEST_WHO = 160
"""What a history keeps of who it was."""


class NotPossible(Exception):
    """The exam, not the attempt's status, stands against it; the text is for people.

    `code` is one of: inactive, past_due, exists, in_progress, clock, not_resumable, open_attempts.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    attempt: Attempt
    effect: Effect
    """SAME: it was so already; nothing was written."""
    is_new_review: bool = False
    """One that had not been taken before, whatever it did."""


# -- beginning -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What an LMS or a learner asks for; the rest follows from the exam."""

    learner: Learner
    external_id: str
    is_proctored: bool = True
    allowed_s: int | None = None
    """Where the LMS has decided it."""
    lms_host: str = ""
    exception: str = ""
    """From the exam's rules (see `NewAttempt`)."""


def register(session: Session, exam: Exam, asked: Registration, by: By) -> Outcome:
    """A new attempt. Where the clock is ours: one that is open already is found again, and one
    that staff let resume goes on with the time that it had left.

    Raises:
        NotPossible: inactive, past_due, exists, in_progress.
        Overtaken: the learner began another at this very moment.
    """
    if not exam.is_active:
        raise NotPossible("inactive", "This exam is not active")
    earlier = session.attempts.of_learner(exam.id, asked.learner)
    resumed = None
    if exam.clock_owner is ClockOwner.US:
        latest = earlier[0] if earlier else None
        if latest is not None and latest.status in OPEN:
            locked = session.attempts.get(latest.id, lock=True)
            found = _ended_by_the_clock(session, exam, locked)
            return Outcome(attempt=found, effect=Effect.SAME)
        _check_may_begin(session, exam, asked.learner, latest)
        resumed = latest if latest is not None and latest.ready_to_resume else None
    is_proctored = exam.exam_type.is_proctored and asked.is_proctored
    new = NewAttempt(
        exam_id=exam.id,
        lms=exam.lms,
        course_id=exam.course_id,
        learner=asked.learner,
        external_id=asked.external_id,
        clock_owner=exam.clock_owner,
        exam_type=exam.exam_type,
        is_proctored=is_proctored,
        allowed_s=asked.allowed_s,
        number=len(earlier) + 1,
        resumes=resumed.id if resumed else None,
        lms_host=asked.lms_host,
        exception=asked.exception,
    )
    is_declined = exam.exam_type.is_proctored and not asked.is_proctored
    action = Action.DECLINE if is_declined else Action.REGISTER
    rule = decide(None, action, by.actor, _at_the_beginning(exam))
    assert rule.after is not None, "an attempt begins with a status"
    if resumed is not None:
        _used_up(session, resumed, by)
    after = rule.after
    whose = {LEARNER: session.learner_digest(exam.lms, asked.learner), "exam_id": exam.id}
    attempt = session.attempts.add(
        new,
        lambda attempt_id: _row(session, NO_HEAD, attempt_id, 1, action, "", after, by, whose),
        status=after,
        remaining_s=resumed.remaining_s if resumed else None,
    )
    aftermath.follow(session, Happened(exam=exam, before=None, after=attempt, action=action, by=by))
    return Outcome(attempt=attempt, effect=Effect.CHANGE)


def _at_the_beginning(exam: Exam) -> Circumstances:
    return Circumstances(
        is_proctored=exam.exam_type.is_proctored,
        is_practice=exam.exam_type.is_practice,
        was_submitted=False,
    )


def _check_may_begin(
    session: Session, exam: Exam, learner: Learner, latest: Attempt | None
) -> None:
    is_practice = exam.exam_type.is_practice
    if latest is not None and not latest.ready_to_resume and not _may_repeat(exam, latest):
        raise NotPossible("exists", "There is an attempt at this exam already")
    if exam.is_past_due(session.now) and not is_practice:
        raise NotPossible("past_due", "This exam's due date has passed")
    _check_writes_no_other(session, exam.lms, learner)


def _check_writes_no_other(session: Session, lms: str, learner: Learner) -> None:
    """One whose time is over is ended, however late sweepers are. Raises: NotPossible."""
    other = session.attempts.in_progress(lms, learner)
    if other is not None and other.has_run_out(session.now):
        with suppress(NotFound):  # removed at this very moment
            submit_if_run_out(session, other.id)
        other = session.attempts.in_progress(lms, learner)
    if other is not None:
        raise NotPossible("in_progress", "Another exam is in progress; it must be ended first")


def _may_repeat(exam: Exam, latest: Attempt) -> bool:
    return exam.exam_type.is_practice and latest.status is Status.ONBOARDING_RESET


def _used_up(session: Session, resumed: Attempt, by: By) -> None:
    """An attempt is gone on with once."""
    session.attempts.change(
        resumed,
        _next_row(session, resumed, Action.RESUME, resumed.status, by, {"resumed": True}),
        ready_to_resume=False,
        is_resumable=False,
    )


# -- going on ------------------------------------------------------------------------------------


def act(
    session: Session,
    attempt_id: int,
    action: Action,
    by: By,
    *,
    version: int | None = None,
    at: datetime | None = None,
) -> Outcome:
    """Do what the table allows, and everything that follows from it.

    Where the clock is ours and has run out, the attempt is submitted as of that instant first,
    whoever asks for what: a sweeper that comes late changes nothing. `version` is the one that
    the caller has seen, if that matters to him; `at` is when the LMS says that it happened.

    Raises:
        NotFound
        Refused: not now, or not by this actor.
        Overtaken: the attempt has another version.
        NotPossible: see `_started`.
    """
    attempt = session.attempts.get(attempt_id, lock=True)
    if version is not None and version != attempt.version:
        raise Overtaken(f"attempt {attempt_id} has version {attempt.version} by now")
    exam = session.exams.get(attempt.exam_id)
    attempt = _ended_by_the_clock(session, exam, attempt)
    rule = decide(attempt.status, action, by.actor, attempt.circumstances)
    if rule.effect is Effect.CHANGE:
        return _changed(session, exam, attempt, rule, by, at or session.now)
    if rule.effect is Effect.REMOVE:
        return _removed(session, exam, attempt, by)
    if rule.effect is Effect.REPLACE:
        return _to_be_resumed(session, attempt, by)
    return Outcome(attempt=attempt, effect=rule.effect)


def submit_what_has_run_out(session: Session, *, limit: int = 100) -> int:
    """End attempts whose time is over; returns how many. Several may run at once."""
    ids = session.attempts.run_out(limit=limit)
    return sum(submit_if_run_out(session, attempt_id) for attempt_id in ids)


def submit_if_run_out(session: Session, attempt_id: int) -> bool:
    """Whether its time was over and nobody else had ended it. Raises: NotFound."""
    attempt = session.attempts.get(attempt_id, lock=True)
    ended = _ended_by_the_clock(session, session.exams.get(attempt.exam_id), attempt)
    return ended is not attempt


def remove_if_never_started(session: Session, attempt_id: int, *, age_s: float) -> bool:
    """Whether an LMS had registered it that long ago and never said that it was started.

    An LMS registers its learner before it knows whether that is the one attempt he is to have; the
    others it never mentions again. Raises: NotFound.
    """
    attempt = session.attempts.get(attempt_id, lock=True)
    is_old = session.now - attempt.created_at >= timedelta(seconds=age_s)
    if attempt.clock_owner is ClockOwner.US or attempt.status not in BEFORE_START or not is_old:
        return False
    by = By(actor=Actor.SYSTEM, who="clock", reason="never started")
    return act(session, attempt_id, Action.RESET, by).effect is Effect.REMOVE


def _ended_by_the_clock(session: Session, exam: Exam, attempt: Attempt) -> Attempt:
    is_over = attempt.status in IN_PROGRESS and attempt.has_run_out(session.now)
    if attempt.clock_owner is not ClockOwner.US or not is_over:
        return attempt
    assert attempt.expires_at is not None, "it has run out"
    by = By(actor=Actor.SYSTEM, who="clock")
    rule = decide(attempt.status, Action.TIME_OUT, Actor.SYSTEM, attempt.circumstances)
    return _changed(session, exam, attempt, rule, by, attempt.expires_at).attempt


def _changed(
    session: Session,
    exam: Exam,
    attempt: Attempt,
    rule: Rule,
    by: By,
    at: datetime,
    review: Review | None = None,
) -> Outcome:
    assert rule.after is not None, "a change leads somewhere"
    fields = _fields_of(session, exam, attempt, rule, by, at)
    facts = {name: _plain(value) for name, value in fields.items()}
    row = _next_row(session, attempt, rule.action, rule.after, by, facts)
    after = session.attempts.change(attempt, row, status=rule.after, **fields)
    happened = Happened(
        exam=exam, before=attempt, after=after, action=rule.action, by=by, review=review
    )
    aftermath.follow(session, happened)
    after = _with_what_waited(session, exam, after)
    return Outcome(attempt=after, effect=Effect.CHANGE)


def _fields_of(
    session: Session, exam: Exam, attempt: Attempt, rule: Rule, by: By, at: datetime
) -> dict[str, Any]:
    """What else changes with the status."""
    fields: dict[str, Any] = {}
    if rule.after is Status.STARTED and attempt.started_at is None:
        fields |= _started(session, exam, attempt, at)
    if rule.after is Status.ERROR and attempt.status in IN_PROGRESS:
        fields["remaining_s"] = math.ceil(attempt.left_s(session.now))
    if rule.after is Status.ERROR and by.actor not in (Actor.PROVIDER, Actor.PROCTOR):
        fields["is_resumable"] = True
    if rule.after is Status.SUBMITTED:
        fields |= {"was_submitted": True, "is_resumable": False}
    is_ended = rule.after not in OPEN and attempt.status in OPEN
    if is_ended and attempt.completed_at is None:
        fields["completed_at"] = at
    if rule.after in (Status.VERIFIED, Status.REJECTED):
        fields["is_judged_by_a_person"] = by.actor is Actor.PROCTOR
    if rule.action is Action.TERMINATE:
        fields["is_flagged"] = True
    return fields


def _started(session: Session, exam: Exam, attempt: Attempt, at: datetime) -> dict[str, Any]:
    """Raises: NotPossible: past_due, in_progress."""
    if attempt.clock_owner is ClockOwner.LMS:
        seconds = attempt.allowed_s
        if seconds is None:
            seconds = exam.time_limit_mins * 60
    else:
        _check_writes_no_other(session, attempt.lms, attempt.learner)
        is_practice = exam.exam_type.is_practice
        if exam.is_past_due(at) and not is_practice:
            raise NotPossible("past_due", "This exam's due date has passed")
        seconds = clock.allowed_s(
            limit_mins=exam.time_limit_mins,
            allowance=session.exams.allowance(exam.id, attempt.learner.user_id),
            remaining_s=attempt.remaining_s,
            now=at,
            due_at=None if is_practice and exam.is_past_due(at) else exam.due_at,
        )
    return {
        "started_at": at,
        "allowed_s": seconds,
        "expires_at": clock.expiry(at, seconds),
    }


# -- judging -------------------------------------------------------------------------------------


def judge(session: Session, attempt_id: int, review: Review, by: By) -> Outcome:
    """Take a review. One that was taken before changes nothing; one of an exam that is still
    written is kept until it is submitted.

    Raises:
        NotFound
        Refused: not of such an attempt, or not by this actor.
    """
    attempt = session.attempts.get(attempt_id, lock=True)
    exam = session.exams.get(attempt.exam_id)
    attempt = _ended_by_the_clock(session, exam, attempt)
    rule = decide(attempt.status, review.action, review.actor, attempt.circumstances)
    place = session.records.add_review(attempt.id, review, effect=rule.effect)
    if place is None:
        return Outcome(attempt=attempt, effect=Effect.SAME)
    aftermath.tell(session, attempt, "review")
    if rule.effect is Effect.CHANGE:
        outcome = _changed(session, exam, attempt, rule, by, session.now, review)
        return replace(outcome, is_new_review=True)
    return Outcome(attempt=attempt, effect=rule.effect, is_new_review=True)


def _with_what_waited(session: Session, exam: Exam, attempt: Attempt) -> Attempt:
    """Once submitted: reviews that came before, in their order; else the setting `auto-pass`."""
    if attempt.status is not Status.SUBMITTED:
        return attempt
    kept = session.records.kept_reviews(attempt.id)
    for place, review in kept:
        rule = decide(attempt.status, review.action, review.actor, attempt.circumstances)
        session.records.apply_review(attempt.id, place, effect=rule.effect)
        if rule.effect is Effect.CHANGE:
            who = review.reviewed_by if review.actor is Actor.PROCTOR else ""
            by = By(actor=review.actor, who=who[:LONGEST_WHO] or review.actor)
            attempt = _changed(session, exam, attempt, rule, by, session.now, review).attempt
    if not kept and _passes_by_itself(exam, attempt):
        by = By(actor=Actor.SYSTEM, who="auto-pass")
        automatic = Review(action=Action.PASS, actor=Actor.SYSTEM, reviewed_by="")
        attempt = judge(session, attempt.id, automatic, by).attempt
    return attempt


def _passes_by_itself(exam: Exam, attempt: Attempt) -> bool:
    is_ours = attempt.clock_owner is ClockOwner.US and attempt.is_proctored
    return is_ours and not exam.terms.provider and exam.terms.review is Reviewing.AUTO_PASS


# -- what only staff do --------------------------------------------------------------------------


def extend(session: Session, attempt_id: int, minutes: int, by: By) -> Attempt:
    """Give an attempt in progress more time, due date or not; or take some back, of what is left.

    Raises:
        NotFound
        NotPossible: clock (the LMS's, or it does not run).
        Refused: not by this actor.
    """
    attempt = session.attempts.get(attempt_id, lock=True)
    if by.actor not in (Actor.STAFF, Actor.PROCTOR):
        raise Refused(attempt.status, Action.START, by.actor)
    exam = session.exams.get(attempt.exam_id)
    attempt = _ended_by_the_clock(session, exam, attempt)
    if attempt.clock_owner is not ClockOwner.US:
        raise NotPossible("clock", "The LMS owns this attempt's clock: give the time there")
    if attempt.status not in IN_PROGRESS or attempt.expires_at is None:
        raise NotPossible("clock", f"The clock of an attempt that is {attempt.status} stands")
    # What was written until now was in time, and stays so.
    expires_at = max(attempt.expires_at + timedelta(minutes=minutes), session.now)
    more = expires_at - attempt.expires_at
    allowed_s = (attempt.allowed_s or 0) + math.ceil(more.total_seconds())
    facts = {"expires_at": _plain(expires_at), "minutes": minutes}
    row = _next_row(session, attempt, "extend", attempt.status, by, facts)
    after = session.attempts.change(attempt, row, expires_at=expires_at, allowed_s=allowed_s)
    aftermath.tell(session, after, "extended")
    return after


def mark(session: Session, attempt_id: int, *, factor: float, by: By) -> Outcome:
    """Let an attempt's marks count that much (0 to 1). What an incident policy marks is flagged for
    people to look at; they themselves take it back so. Grades that have gone stay as they went: see
    `gone_with_less`.

    Raises: NotFound.
    """
    attempt = session.attempts.get(attempt_id, lock=True)
    facts: dict[str, Any] = {"mark_factor": factor}
    if by.actor is Actor.SYSTEM:
        facts["is_flagged"] = True
    elif factor == attempt.mark_factor:
        return Outcome(attempt=attempt, effect=Effect.SAME)
    row = _next_row(session, attempt, "mark", attempt.status, by, facts)
    after = session.attempts.change(attempt, row, **facts)
    aftermath.tell(session, after, "marked")
    return Outcome(attempt=after, effect=Effect.CHANGE)


def gone_with_less(session: Session, attempt: Attempt) -> list[int]:
    """Ids of submissions of which the grade was let go while the attempt's marks counted less than
    they do now. An LMS keeps the first that it gets: people change it there."""
    return [
        each.submission_id
        for each in session.grades.of_attempt(attempt.id)
        if each.state is GradeState.RELEASED and each.factor < attempt.mark_factor
    ]


def _removed(session: Session, exam: Exam, attempt: Attempt, by: By) -> Outcome:
    """Nobody sees it any more, but its history stays."""
    row = _next_row(session, attempt, Action.RESET, "removed", by, {})
    after = session.attempts.change(attempt, row, removed_at=session.now)
    aftermath.follow(
        session, Happened(exam=exam, before=attempt, after=None, action=Action.RESET, by=by)
    )
    return Outcome(attempt=after, effect=Effect.REMOVE)


def _to_be_resumed(session: Session, attempt: Attempt, by: By) -> Outcome:
    if attempt.clock_owner is not ClockOwner.US:
        raise NotPossible("clock", "The LMS owns this attempt: let it be resumed there")
    if attempt.ready_to_resume:
        return Outcome(attempt=attempt, effect=Effect.SAME)
    if not attempt.is_resumable:
        raise NotPossible("not_resumable", "This attempt has been gone on with, or never started")
    row = _next_row(session, attempt, Action.RESUME, attempt.status, by, {"ready_to_resume": True})
    after = session.attempts.change(attempt, row, ready_to_resume=True, is_resumable=False)
    aftermath.tell(session, after, "resumable")
    return Outcome(attempt=after, effect=Effect.REPLACE)


# -- history -------------------------------------------------------------------------------------


def _next_row(
    session: Session, attempt: Attempt, action: str, after: str, by: By, facts: dict[str, Any]
) -> Row:
    return _row(
        session,
        attempt.history_head,
        attempt.id,
        attempt.version + 1,
        action,
        attempt.status,
        after,
        by,
        facts,
    )


def _row(
    session: Session,
    head: bytes,
    attempt_id: int,
    version: int,
    action: str,
    before: str,
    after: str,
    by: By,
    facts: dict[str, Any],
) -> Row:
    change = Change(
        attempt_id=attempt_id,
        version=version,
        at=session.now,
        actor=by.actor,
        who=by.who,
        action=action,
        before=before,
        after=after,
        request_id=by.request_id,
        facts=json.dumps(facts, sort_keys=True),
    )
    return session.chained(head, change, by.reason)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
