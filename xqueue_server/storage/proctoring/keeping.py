"""Removing attempts that are old, and before that names and what people wrote about them.

An attempt stays as it is while anything of it is under way: its clock, a judgement, a message, a
grade that may still go; with it stay its learner's names.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.sql.expression import ColumnElement

from proctoring_hooks.grades import GradeState
from proctoring_hooks.history import FORGET
from proctoring_hooks.statuses import IN_PROGRESS, Status
from xqueue_server.instant import micros
from xqueue_server.models.callback import CallbackState
from xqueue_server.storage.engine import ONCE_NOW, Transaction
from xqueue_server.storage.proctoring import erasing
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.storage.proctoring_schema import (
    console_sessions,
    exam_allowances,
    exam_attempt_history,
    exam_attempts,
    exam_incidents,
    exam_learners,
    exam_news,
    exam_reviews,
    exam_submissions,
    exam_workers,
    exams,
)
from xqueue_server.storage.schema import (
    IS_PENDING,
    callback_attempts,
    callbacks,
    events,
)

BATCH = 200
ACTOR = "retention"

_A, _H, _R, _I = exam_attempts.c, exam_attempt_history.c, exam_reviews.c, exam_incidents.c
_L, _C, _G, _S = exam_learners.c, callbacks.c, exam_allowances.c, exam_submissions.c
_IDS = bindparam("ids", expanding=True, type_=BigInteger)


def _is_old(instant: ColumnElement[Any]) -> ColumnElement[bool]:
    return type_coerce(instant, BigInteger) <= ONCE_NOW - bindparam("age_us", type_=BigInteger)


_goes_on = and_(
    _A.removed_at.is_(None),
    _A.status.in_([*(each.value for each in IN_PROGRESS), Status.SECOND_REVIEW_REQUIRED.value]),
)
_is_told_of = exists().where(_C.attempt_id == _A.id, IS_PENDING)
_may_let_grades_go = exists().where(
    _S.attempt_id == _A.id, _S.state.in_([GradeState.WAITING.value, GradeState.FLAGGED.value])
)

# -- attempts ------------------------------------------------------------------------------------

_IS_OLD_ATTEMPT = and_(
    _is_old(func.coalesce(_A.completed_at, _A.created_at)),
    ~_goes_on,
    ~_is_told_of,
    ~exists().where(_S.attempt_id == _A.id),  # they have a term of their own
)
_COUNT_ATTEMPTS = select(func.count()).where(_IS_OLD_ATTEMPT)
_OLD_ATTEMPTS = (
    select(_A.id)
    .where(_IS_OLD_ATTEMPT)
    .order_by(_A.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True, of=exam_attempts)
)
_MESSAGES = select(_C.id).where(_C.attempt_id.in_(_IDS))
_REMOVALS = [
    delete(callback_attempts).where(callback_attempts.c.callback_id.in_(_MESSAGES)),
    *(
        delete(table).where(column.in_(_IDS))
        for table, column in (
            (callbacks, _C.attempt_id),
            (exam_attempt_history, _H.attempt_id),
            (exam_reviews, _R.attempt_id),
            (exam_incidents, _I.attempt_id),
            (exam_news, exam_news.c.attempt_id),
            (exam_workers, exam_workers.c.attempt_id),
            (exam_attempts, _A.id),
        )
    ),
]
_SUBJECTS: BindParameter[str] = bindparam("subjects", expanding=True)
_REMOVE_EVENTS = delete(events).where(
    events.c.subject.in_(_SUBJECTS), events.c.submission_id.is_(None)
)


def count_old_attempts(tx: Transaction, *, age_s: float) -> int:
    return int(tx.scalar(_COUNT_ATTEMPTS, age_us=micros(age_s), now=tx.now))


def remove_old_attempts(tx: Transaction, *, age_s: float) -> int:
    """A batch of those that ended so long ago, with everything of them, also who looked at them and
    what became of the messages; returns how many."""
    ids = [row.id for row in tx.all(_OLD_ATTEMPTS, age_us=micros(age_s), now=tx.now)]
    if not ids:
        return 0
    subjects = [f"callback {row.id}" for row in tx.all(_MESSAGES, ids=ids)]
    subjects += [f"attempt {each}" for each in ids]
    for removal in _REMOVALS:
        tx.run(removal, ids=ids)
    tx.run(_REMOVE_EVENTS, subjects=subjects)
    return len(ids)


# -- allowances ----------------------------------------------------------------------------------

_is_over = exists().where(
    exams.c.id == _G.exam_id, or_(~exams.c.is_active, exams.c.due_at <= ONCE_NOW)
)
_has_attempt = exists().where(_A.exam_id == _G.exam_id, _A.user_id == _G.user_id)
_IS_OLD_ALLOWANCE = and_(_is_old(_G.granted_at), _is_over, ~_has_attempt)
_COUNT_ALLOWANCES = select(func.count()).where(_IS_OLD_ALLOWANCE)
_REMOVE_ALLOWANCES = delete(exam_allowances).where(
    _G.id.in_(select(_G.id).where(_IS_OLD_ALLOWANCE).order_by(_G.id).limit(BATCH))
)


def count_old_allowances(tx: Transaction, *, age_s: float) -> int:
    return int(tx.scalar(_COUNT_ALLOWANCES, age_us=micros(age_s), now=tx.now))


def remove_old_allowances(tx: Transaction, *, age_s: float) -> int:
    """A batch of those granted so long ago in exams that are over, of learners who have no attempt
    there any more; returns how many."""
    return tx.run(_REMOVE_ALLOWANCES, age_us=micros(age_s), now=tx.now)


# -- names ---------------------------------------------------------------------------------------

_is_needed = exists().where(
    _A.lms == _L.lms,
    or_(_A.user_id == _L.learner, _A.obscured_id == _L.learner),
    or_(_goes_on, _is_told_of, _may_let_grades_go),
)
_IS_OLD_NAME = and_(_is_old(_L.told_at), ~_is_needed)
_COUNT_NAMES = select(func.count()).select_from(exam_learners).where(_IS_OLD_NAME)
_REMOVE_NAMES = delete(exam_learners).where(
    tuple_(_L.lms, _L.learner).in_(select(_L.lms, _L.learner).where(_IS_OLD_NAME).limit(BATCH))
)

# -- words ---------------------------------------------------------------------------------------

# A dead one may yet be replayed.
_is_over_and_told = _C.state.in_([CallbackState.DELIVERED.value, CallbackState.CANCELLED.value])
_has_words = or_(
    func.length(_A.exception) > 0,
    exists().where(_H.attempt_id == _A.id, _H.reason.is_not(None)),
    exists().where(_R.attempt_id == _A.id, or_(_R.comments != "[]", _R.link.is_not(None))),
    exists().where(_I.attempt_id == _A.id, _I.detail != ""),
    exists().where(_C.attempt_id == _A.id, _is_over_and_told, func.length(_C.body) > 0),
)
_has_news = or_(
    exists().where(_H.attempt_id == _A.id, ~_is_old(_H.at)),
    exists().where(_R.attempt_id == _A.id, ~_is_old(_R.received_at)),
    exists().where(_I.attempt_id == _A.id, ~_is_old(_I.reported_at)),
    exists().where(_C.attempt_id == _A.id, ~_is_old(func.coalesce(_C.finished_at, _C.created_at))),
)
_HAS_OLD_WORDS = and_(_has_words, ~_has_news, ~_goes_on, ~_is_told_of, ~_may_let_grades_go)
_COUNT_WORDY = select(func.count()).where(_HAS_OLD_WORDS)
_WORDY = (
    select(_A.id)
    .where(_HAS_OLD_WORDS)
    .order_by(_A.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True, of=exam_attempts)
)
_TOLD = select(_C.id).where(_C.attempt_id.in_(_IDS), _is_over_and_told)
_FORGETTING = (
    update(exam_attempts).where(_A.id.in_(_IDS)).values(exception=""),
    update(exam_attempt_history).where(_H.attempt_id.in_(_IDS)).values(reason=None),
    update(exam_reviews).where(_R.attempt_id.in_(_IDS)).values(comments="[]", link=None),
    update(exam_incidents).where(_I.attempt_id.in_(_IDS)).values(detail=""),
    update(callback_attempts)
    .where(callback_attempts.c.callback_id.in_(_TOLD))
    .values(error=None, response=None),
    update(callbacks).where(_C.id.in_(_TOLD)).values(body="", last_error=None),
)


def count_old_words(tx: Transaction, *, age_s: float) -> int:
    """Learners whose names would go, and attempts whose words would."""
    return sum(
        int(tx.scalar(count, age_us=micros(age_s), now=tx.now))
        for count in (_COUNT_NAMES, _COUNT_WORDY)
    )


def forget_old_words(session: ProctoringSession, *, age_s: float) -> int:
    """A batch of names, and of attempts of which nothing was heard for so long: reasons, comments,
    details, addresses of recordings, exceptions from rules, and what others were told. Returns how
    many. The histories say that it was done, and hold."""
    tx, age_us = session.tx, micros(age_s)
    names = tx.run(_REMOVE_NAMES, age_us=age_us, now=tx.now)
    ids = [row.id for row in tx.all(_WORDY, age_us=age_us, now=tx.now)]
    if ids:
        for forgetting in _FORGETTING:
            tx.run(forgetting, ids=ids)
        for attempt_id in ids:
            erasing.note(session, attempt_id, FORGET, ACTOR)
    return names + len(ids)


# -- sessions ------------------------------------------------------------------------------------

_IS_OVER = console_sessions.c.expires_at <= ONCE_NOW
_REMOVE_SESSIONS = delete(console_sessions).where(
    console_sessions.c.hash.in_(select(console_sessions.c.hash).where(_IS_OVER).limit(BATCH))
)


def remove_ended_sessions(tx: Transaction) -> int:
    """A batch of those at the console that have expired; returns how many."""
    return tx.run(_REMOVE_SESSIONS, now=tx.now)
