"""Erasing a learner from everything that is stored of exams.

What counts stays: attempts with their states, times and histories, of nobody. Each attempt's
history says so itself, in a row of its own (see `proctoring_hooks.history`).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Terms
from proctoring_hooks.history import ERASE, Change
from proctoring_hooks.statuses import OPEN, UNDER_REVIEW
from proctoring_hooks.store import News
from proctoring_hooks.transitions import Actor
from xqueue_server.errors import Conflict
from xqueue_server.models.callback import CallbackState
from xqueue_server.storage import callbacks
from xqueue_server.storage.engine import ONCE_NOW, Transaction
from xqueue_server.storage.operations_schema import idempotency_keys
from xqueue_server.storage.proctoring.attempts import FIELDS, attempt_of
from xqueue_server.storage.proctoring.exams import read_terms, written_terms
from xqueue_server.storage.proctoring.learners import Whose, attempts_of, tried
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.storage.proctoring_schema import (
    console_sessions,
    exam_allowances,
    exam_attempt_history,
    exam_attempts,
    exam_course_staff,
    exam_courses,
    exam_incidents,
    exam_learners,
    exam_reviews,
    exam_workers,
    exams,
    marks,
)
from xqueue_server.storage.schema import IS_PENDING, callback_attempts
from xqueue_server.storage.schema import callbacks as outbox
from xqueue_server.storage.schema import events as events_table

REMOVED = "removed"
ERASED = "erased"

_A, _H, _M = exam_attempts.c, exam_attempt_history.c, outbox.c
_ID = bindparam("of", type_=BigInteger)
_IDS = bindparam("ids", expanding=True, type_=BigInteger)
_ATTEMPTS = select(*[_A[name] for name in FIELDS]).where(_A.id.in_(_IDS)).order_by(_A.id)
_REMOVED = select(_A.id).where(_A.id.in_(_IDS), _A.removed_at.is_not(None))
_NOT_DELIVERED = select(_M.attempt_id).where(IS_PENDING, _M.attempt_id.in_(_IDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What an erasure would reach."""

    attempts: int = 0
    unfinished: Sequence[int] = ()
    """Ids of attempts that go on, wait to be judged, or of which somebody has yet to be told."""
    others: int = 0
    """Rows beside: names, allowances, marks, grants, lists that he stands in."""

    def __bool__(self) -> bool:
        return bool(self.attempts or self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedOfExams:
    attempts: int = 0
    ended: int = 0
    """Of the attempts: those that were unfinished, and are removed."""


# -- looking -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _His:
    attempt: Attempt
    is_removed: bool
    is_told_of: bool
    """To somebody, who has not heard it yet."""

    @property
    def is_unfinished(self) -> bool:
        return self.is_told_of or (not self.is_removed and _goes_on(self.attempt))


def standing(session: ProctoringSession, of: Whose) -> Standing:
    his = _his(session.tx, attempts_of(session.tx, of))
    return Standing(
        attempts=len(his),
        unfinished=[each.attempt.id for each in his if each.is_unfinished],
        others=sum(
            len(session.tx.all(select(*table.primary_key.columns).where(condition)))
            for table, condition in _rows_of(of)
        )
        + len(tried(session.tx, of)),
    )


def _his(tx: Transaction, ids: Sequence[int]) -> list[_His]:
    removed = {row.id for row in tx.all(_REMOVED, ids=list(ids))}
    told_of = {row.attempt_id for row in tx.all(_NOT_DELIVERED, ids=list(ids))}
    return [
        _His(attempt=each, is_removed=each.id in removed, is_told_of=each.id in told_of)
        for each in map(attempt_of, tx.all(_ATTEMPTS, ids=list(ids)))
    ]


def _goes_on(attempt: Attempt) -> bool:
    if attempt.status in OPEN:
        return True
    return attempt.is_proctored and attempt.status in UNDER_REVIEW


def _rows_of(of: Whose) -> Iterator[tuple[Any, Any]]:
    """(table, condition): rows that are the learner's and nothing else."""
    ids = sorted(of.ids)
    in_course = [] if of.course_id is None else [exams.c.course_id == of.course_id]
    its_exams = select(exams.c.id).where(exams.c.lms == of.lms, *in_course)
    allowances, staff = exam_allowances.c, exam_course_staff.c
    yield exam_allowances, and_(allowances.exam_id.in_(its_exams), allowances.user_id.in_(ids))
    yield marks, and_(marks.c.exam_id.in_(its_exams), marks.c.learner.in_(ids))
    of_staff = [staff.lms == of.lms, staff.user_id.in_(ids)]
    if of.course_id is not None:
        of_staff.append(staff.course_id == of.course_id)
    yield exam_course_staff, and_(*of_staff)
    if of.course_id is None:  # what of him is not of a course
        names = exam_learners.c
        yield exam_learners, and_(names.lms == of.lms, names.learner.in_(ids))
        yield console_sessions, _session_of(of)


def _session_of(of: Whose) -> Any:
    who = [f"instructor {each} of {of.lms}" for each in sorted(of.ids)]
    given = console_sessions.c
    return and_(
        given.account_id.is_(None),
        given.lms == of.lms,
        or_(given.who.in_(who), given.reviewer.in_(sorted(of.names))),
    )


# -- erasing -------------------------------------------------------------------------------------


def erase(session: ProctoringSession, of: Whose, *, actor: str) -> ErasedOfExams:
    """All of it in this transaction, finished or not. Whoever waits for an attempt is told nothing.

    Raises:
        Conflict: a message about one is being sent at this moment. Nothing was erased.
    """
    tx = session.tx
    his = _his(tx, attempts_of(tx, of, lock=True))
    for each in his:
        _erase_messages(tx, each.attempt.id, actor)
    for each in his:
        _erase_attempt(session, each, actor)
    for table, condition in _rows_of(of):
        tx.run(delete(table).where(condition))
    _erase_from_terms(tx, of)
    _erase_answers(tx, of)
    return ErasedOfExams(attempts=len(his), ended=sum(each.is_unfinished for each in his))


_NO_REASONS = update(exam_attempt_history).where(_H.attempt_id == _ID).values(reason=None)
_NO_WORKER = delete(exam_workers).where(exam_workers.c.attempt_id == _ID)
_R, _I = exam_reviews.c, exam_incidents.c
_REVIEWS = select(_R.place).where(_R.attempt_id == _ID)
_NO_WORDS_OF_REVIEW = (
    update(exam_reviews)
    .where(_R.attempt_id == _ID, _R.place == bindparam("at_place"))
    .values(comments="[]", link=None, digest=bindparam("no_digest"))
)
_INCIDENTS = select(_I.id).where(_I.attempt_id == _ID)
_NO_WORDS_OF_INCIDENT = (
    update(exam_incidents)
    .where(_I.id == _ID)
    .values(detail="", kind=ERASED, incident_id=bindparam("no_id"))
)


def _erase_attempt(session: ProctoringSession, of: _His, actor: str) -> None:
    tx, attempt = session.tx, of.attempt
    tx.run(_NO_REASONS, of=attempt.id)
    tx.run(_NO_WORKER, of=attempt.id)
    for row in tx.all(_REVIEWS, of=attempt.id):
        # It told one review from another, and what one said could be tried out with it.
        digest = secrets.token_bytes(32)
        tx.run(_NO_WORDS_OF_REVIEW, of=attempt.id, at_place=row.place, no_digest=digest)
    for row in tx.all(_INCIDENTS, of=attempt.id):
        tx.run(_NO_WORDS_OF_INCIDENT, of=row.id, no_id=f"{ERASED} {row.id}")
    gone: dict[str, Any] = {
        "user_id": "",
        "obscured_id": "",
        # By which the LMS and the provider know whose it was.
        "external_id": f"{ERASED}-{secrets.token_hex(16)}",
        "provider_attempt_id": "",
        "lms_host": "",
        "exception": "",
    }
    if not of.is_removed and _goes_on(attempt):
        gone["removed_at"] = session.now
    note(session, attempt.id, ERASE, actor, **gone)
    session.tell(
        News(lms=attempt.lms, course_id=attempt.course_id, attempt_id=attempt.id, kind=REMOVED)
    )


def note(
    session: ProctoringSession, attempt_id: int, action: str, actor: str, **fields: Any
) -> None:
    """Write the row of history that says what was erased, and `fields` of the attempt with it. The
    attempt is locked; it may be one that was removed."""
    (of,) = _his(session.tx, [attempt_id])
    before = REMOVED if of.is_removed else of.attempt.status
    change = Change(
        attempt_id=attempt_id,
        version=of.attempt.version + 1,
        at=session.now,
        actor=Actor.SYSTEM,
        who=actor,
        action=action,
        before=before,
        after=REMOVED if "removed_at" in fields else before,
        request_id="",
        facts="{}",
    )
    row = session.chained(of.attempt.history_head, change, None)
    given = {name: getattr(row.change, name) for name in Change.__dataclass_fields__}
    session.tx.run(insert(exam_attempt_history), **given, reason=None, digest=row.digest)
    values = fields | {"version": row.change.version, "history_head": row.head}
    session.tx.run(update(exam_attempts).where(_A.id == attempt_id).values(values))


# -- what others were told, and would be ---------------------------------------------------------

_MESSAGES = select(_M.id, _M.state, _M.origin).where(_M.attempt_id == _ID).order_by(_M.id)
_PENDING = select(_M.id).where(_M.attempt_id == _ID, IS_PENDING)
# What a sender holds locked, or has claimed and may be sending.
_UNSENT = _PENDING.where(or_(_M.claim_token.is_(None), _M.next_at <= ONCE_NOW)).with_for_update(
    skip_locked=True
)
_NO_MESSAGE = (
    update(outbox)
    .where(_M.id == _ID)
    .values(
        body="",
        url=bindparam("only_origin", type_=_M.url.type),
        order_key=bindparam("no_order"),
        last_error=None,
    )
)
_CANCEL = (
    update(outbox)
    .where(_M.id == _ID)
    .values(
        state=CallbackState.CANCELLED.value,
        next_at=None,
        claim_token=None,
        finished_at=ONCE_NOW,
    )
)
_NO_ANSWERS = (
    update(callback_attempts)
    .where(callback_attempts.c.callback_id == _ID)
    .values(error=None, response=None)
)
_NO_DETAIL = (
    update(events_table)
    .where(events_table.c.subject == bindparam("about"), events_table.c.submission_id.is_(None))
    .values(detail=None)
)
_TO_CANCEL = (CallbackState.PENDING, CallbackState.DEAD)
"""There is nothing left that could be sent, or that a person could replay."""


def _erase_messages(tx: Transaction, attempt_id: int, actor: str) -> None:
    """Raises: Conflict."""
    pending = {row.id for row in tx.all(_PENDING, of=attempt_id)}
    if pending != {row.id for row in tx.all(_UNSENT, of=attempt_id, now=tx.now)}:
        raise Conflict(
            f"A message about attempt {attempt_id} is being sent at this moment; repeat the "
            "command in a minute"
        )
    for row in tx.all(_MESSAGES, of=attempt_id):
        state = CallbackState(row.state)
        if state in _TO_CANCEL:
            tx.run(_CANCEL, of=row.id, now=tx.now)
            callbacks.state_changed(
                tx, row.id, None, state, CallbackState.CANCELLED, actor=actor, why=ERASE
            )
        tx.run(
            _NO_MESSAGE,
            of=row.id,
            only_origin=row.origin,
            no_order=secrets.token_bytes(16),
        )
        tx.run(_NO_ANSWERS, of=row.id)
        tx.run(_NO_DETAIL, about=f"callback {row.id}")


# -- where he stands among others ----------------------------------------------------------------

_E, _C = exams.c, exam_courses.c
_TERMS = (
    (exams, (_E.id,), _E.lms, _E.course_id, _E.terms),
    (exam_courses, (_C.lms, _C.course_id), _C.lms, _C.course_id, _C.terms),
)
_CHANGED_TERMS = select(events_table.c.id, events_table.c.detail).where(
    events_table.c.submission_id.is_(None),
    events_table.c.subject.in_(bindparam("subjects", expanding=True)),
    events_table.c.detail.is_not(None),
)
_REWORD = (
    update(events_table)
    .where(events_table.c.id == _ID)
    .values(detail=bindparam("words", type_=events_table.c.detail.type))
)
_STAFF_IN_DETAIL = re.compile(r"staff=(?:\([^)]*\)|[\d,]*)")


def _erase_from_terms(tx: Transaction, of: Whose) -> None:
    """From the lists of those who try an exam."""
    for table, key, lms, course_id, terms in _TERMS:
        statement = select(*key, terms.label("terms")).where(lms == of.lms).with_for_update()
        if of.course_id is not None:
            statement = statement.where(course_id == of.course_id)
        for row in tx.all(statement):
            told = read_terms(row.terms)
            if of.ids.isdisjoint(told.staff):
                continue
            this = and_(*(column == value for column, value in zip(key, row, strict=False)))
            tx.run(update(table).where(this).values(terms=written_terms(_without(told, of))))
    _erase_from_records(tx, of)


def _erase_from_records(tx: Transaction, of: Whose) -> None:
    """Who was put on such a list stands in the record of that change."""
    its_exams = [row.id for row in tx.all(select(_E.id).where(_E.lms == of.lms))]
    given = re.compile(
        rf"(?<=[,(' =])(?:{'|'.join(re.escape(each) for each in sorted(of.ids))})(?=[,)' ]|\Z)"
    )
    for row in tx.all(_CHANGED_TERMS, subjects=[f"exam {each}" for each in its_exams]):
        detail = _STAFF_IN_DETAIL.sub(lambda said: given.sub(ERASED, said[0]), row.detail)
        if detail != row.detail:
            tx.run(_REWORD, of=row.id, words=detail)


def _without(terms: Terms, of: Whose) -> Terms:
    return replace(terms, staff=tuple(each for each in terms.staff if each not in of.ids))


# -- answers that are kept for whoever asks again ------------------------------------------------

_K = idempotency_keys.c
_ANSWERS = select(_K.hash, _K.body).where(_K.body.is_not(None))
_NO_ANSWER = (
    update(idempotency_keys)
    .where(_K.hash == bindparam("of_hash"))
    .values(status=None, body=None, location=None)
)
_USER_IDS = frozenset({"user_id", "lms_user_id", "learner"})
"""Fields in which a number is one; elsewhere it is anything."""


def _erase_answers(tx: Transaction, of: Whose) -> None:
    """Of requests that came with a key, within a day. Whoever repeats one is then told that nobody
    knows whether it was done; it is not done again."""
    for row in tx.all(_ANSWERS):
        if _names(of, bytes(row.body)):
            tx.run(_NO_ANSWER, of_hash=row.hash)


def _names(of: Whose, body: bytes) -> bool:
    try:
        return _is_in(of.known_by, json.loads(body))
    except (ValueError, RecursionError):
        return any(name.encode() in body for name in of.known_by)


def _is_in(known_by: frozenset[str], value: Any, name: str = "") -> bool:
    if isinstance(value, dict):
        return any(_is_in(known_by, each, key) for key, each in value.items())
    if isinstance(value, list):
        return any(_is_in(known_by, each, name) for each in value)
    if isinstance(value, int):
        return name in _USER_IDS and str(value) in known_by
    return isinstance(value, str) and value in known_by
