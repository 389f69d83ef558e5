"""Attempts and their history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import BigInteger, bindparam, func, insert, or_, select, type_coerce, update
from sqlalchemy import Row as DatabaseRow
from sqlalchemy.exc import IntegrityError

from proctoring_hooks.attempt import Attempt, Learner, NewAttempt
from proctoring_hooks.exam import ClockOwner, ExamType
from proctoring_hooks.history import Change, Row
from proctoring_hooks.statuses import BEFORE_START, Status
from proctoring_hooks.store import NotFound, Overtaken
from xqueue_server.instant import SECOND_US, micros
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.proctoring_schema import (
    IS_IN_PROGRESS,
    exam_attempt_history,
    exam_attempts,
)

_A = exam_attempts.c
_OF_LEARNER = ("user_id", "obscured_id")
FIELDS = tuple(f.name for f in fields(Attempt) if f.name != "learner") + _OF_LEARNER
_GIVEN = tuple(f.name for f in fields(NewAttempt) if f.name != "learner") + _OF_LEARNER
_AT_FIRST: dict[str, Any] = {
    "version": 1,
    "was_submitted": False,
    "is_judged_by_a_person": False,
    "is_flagged": False,
    "mark_factor": 1.0,
    "is_resumable": False,
    "ready_to_resume": False,
    "provider_attempt_id": "",
    "history_head": b"",
}

_IS_THERE = _A.removed_at.is_(None)
_ALL = select(*[_A[name] for name in FIELDS])
_SELECT = _ALL.where(_IS_THERE)
_EVEN_REMOVED = _ALL.where(_A.id == bindparam("of"))
_BY_ID = _SELECT.where(_A.id == bindparam("of"))
_BY_EXTERNAL = _SELECT.where(_A.lms == bindparam("of_lms"), _A.external_id == bindparam("external"))
_LOCKED = {statement: statement.with_for_update() for statement in (_BY_ID, _BY_EXTERNAL)}
_IS_LEARNERS = or_(
    (_A.user_id == bindparam("user")) & (_A.user_id != ""),
    (_A.obscured_id == bindparam("obscured")) & (_A.obscured_id != ""),
)
_OF_EXAM = _SELECT.where(_A.exam_id == bindparam("of_exam"), _IS_LEARNERS).order_by(_A.id.desc())
_COUNT = select(func.count()).where(
    _A.exam_id == bindparam("of_exam"),
    _A.status.in_(bindparam("statuses", expanding=True)),
    _IS_THERE,
)
_IS_ONBOARDING = (_A.lms == bindparam("of_lms")) & (_A.exam_type == ExamType.ONBOARDING.value)
_IS_OF_COURSE = _A.course_id == bindparam("of_course")
_IS_VERIFIED = _A.status == Status.VERIFIED.value
_ONBOARDING_OF_LEARNER = _SELECT.where(_IS_ONBOARDING, _IS_OF_COURSE | _IS_VERIFIED, _IS_LEARNERS)
_ONBOARDING_OF_COURSE = _SELECT.where(_IS_ONBOARDING, _IS_OF_COURSE)
# Apart from the former: no index serves both.
_ONBOARDING_ELSEWHERE = _SELECT.where(
    _IS_ONBOARDING,
    _IS_VERIFIED,
    _A.course_id != bindparam("of_course"),
    _A.obscured_id.in_(_ONBOARDING_OF_COURSE.with_only_columns(_A.obscured_id).correlate(None)),
)
_IN_PROGRESS = _SELECT.where(
    IS_IN_PROGRESS, _A.lms == bindparam("of_lms"), _A.user_id == bindparam("user")
)
_RUN_OUT = (
    select(_A.id)
    .where(
        IS_IN_PROGRESS,
        _A.expires_at <= ONCE_NOW,
        _A.id.not_in(bindparam("but", expanding=True, type_=BigInteger)),
    )
    .order_by(_A.expires_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
# Only later ones: what has run out and could not be submitted must not keep a sweeper awake.
_NEXT_END = select(
    select(type_coerce(_A.expires_at, BigInteger))
    .where(IS_IN_PROGRESS, _A.expires_at > ONCE_NOW)
    .order_by(_A.expires_at)
    .limit(1)
    .scalar_subquery()
    - ONCE_NOW
)
_NEVER_STARTED = (
    select(_A.id)
    .where(
        _A.clock_owner == ClockOwner.LMS.value,
        _A.status.in_([status.value for status in BEFORE_START]),
        _IS_THERE,
        type_coerce(_A.created_at, BigInteger) <= ONCE_NOW - bindparam("age_us", type_=BigInteger),
    )
    .order_by(_A.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_INSERT = insert(exam_attempts).values(created_at=NOW).returning(_A.id)
_SET_HEAD = (
    update(exam_attempts).where(_A.id == bindparam("of")).values(history_head=bindparam("head"))
)
_SET_PROVIDER_ID = (
    update(exam_attempts)
    .where(_A.id == bindparam("of"))
    .values(provider_attempt_id=bindparam("theirs"))
)
_H = exam_attempt_history.c
_INSERT_ROW = insert(exam_attempt_history)
_CHANGE_FIELDS = tuple(f.name for f in fields(Change))
_HISTORIES = (
    select(*[_H[name] for name in _CHANGE_FIELDS], _H.reason, _H.digest)
    .where(_H.attempt_id.in_(bindparam("ids", expanding=True, type_=BigInteger)))
    .order_by(_H.attempt_id, _H.version)
)


class Attempts:
    """`proctoring_hooks.store.Attempts` in one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, attempt_id: int, *, lock: bool = False) -> Attempt:
        statement = _LOCKED[_BY_ID] if lock else _BY_ID
        return _found(self._tx.one(statement, of=attempt_id))

    def even_removed(self, attempt_id: int) -> Attempt:
        return _found(self._tx.one(_EVEN_REMOVED, of=attempt_id))

    def set_provider_id(self, attempt_id: int, provider_attempt_id: str) -> None:
        self._tx.run(_SET_PROVIDER_ID, of=attempt_id, theirs=provider_attempt_id)

    def by_external_id(self, lms: str, external_id: str, *, lock: bool = False) -> Attempt:
        statement = _LOCKED[_BY_EXTERNAL] if lock else _BY_EXTERNAL
        return _found(self._tx.one(statement, of_lms=lms, external=external_id))

    def of_learner(self, exam_id: int, learner: Learner) -> Sequence[Attempt]:
        rows = self._tx.all(
            _OF_EXAM, of_exam=exam_id, user=learner.user_id, obscured=learner.obscured_id
        )
        return [attempt_of(row) for row in rows]

    def count(self, exam_id: int, statuses: Collection[Status]) -> int:
        names = [status.value for status in statuses]
        return int(self._tx.scalar(_COUNT, of_exam=exam_id, statuses=names))

    def onboarding(self, lms: str, course_id: str, learner: Learner | None) -> Sequence[Attempt]:
        of = {"of_lms": lms, "of_course": course_id}
        rows: list[DatabaseRow[Any]] = []
        if learner is None:
            for statement in (_ONBOARDING_OF_COURSE, _ONBOARDING_ELSEWHERE):
                rows.extend(self._tx.all(statement, **of))
        else:
            ids = {"user": learner.user_id, "obscured": learner.obscured_id}
            rows.extend(self._tx.all(_ONBOARDING_OF_LEARNER, **of, **ids))
        return sorted(map(attempt_of, rows), key=lambda found: found.id, reverse=True)

    def in_progress(self, lms: str, learner: Learner) -> Attempt | None:
        row = self._tx.one(_IN_PROGRESS, of_lms=lms, user=learner.user_id)
        return attempt_of(row) if row else None

    def add(self, new: NewAttempt, first: Callable[[int], Row], **fields: Any) -> Attempt:
        given = {name: getattr(new, name) for name in _GIVEN if name not in _OF_LEARNER}
        given |= {"user_id": new.learner.user_id, "obscured_id": new.learner.obscured_id}
        try:
            with self._tx.connection.begin_nested():
                attempt_id = int(
                    self._tx.scalar(_INSERT, now=self._tx.now, **(_AT_FIRST | given | fields))
                )
        except IntegrityError:
            raise Overtaken("the learner has an open attempt at this exam by now") from None
        row = first(attempt_id)
        self._write(row)
        self._tx.run(_SET_HEAD, of=attempt_id, head=row.head)
        return self.get(attempt_id)

    def change(self, attempt: Attempt, row: Row, **fields: Any) -> Attempt:
        values = fields | {"version": row.change.version, "history_head": row.head}
        changing = (
            update(exam_attempts)
            .where(_A.id == attempt.id, _A.version == attempt.version, _IS_THERE)
            .values(values)
            .returning(*[_A[name] for name in FIELDS])
        )
        try:
            with self._tx.connection.begin_nested():
                found = self._tx.one(changing)
        except IntegrityError:
            raise Overtaken("the learner has another exam in progress by now") from None
        if found is None:
            raise Overtaken(f"attempt {attempt.id} is no longer at version {attempt.version}")
        self._write(row)
        return attempt_of(found)

    def run_out(self, *, limit: int, but: Collection[int] = ()) -> Sequence[int]:
        found = self._tx.all(_RUN_OUT, most=limit, but=list(but), now=self._tx.now)
        return [row.id for row in found]

    def next_end_in_s(self) -> float | None:
        left_us = self._tx.scalar(_NEXT_END, now=self._tx.now)
        return None if left_us is None else left_us / SECOND_US

    def never_started(self, *, age_s: float, limit: int) -> Sequence[int]:
        found = self._tx.all(_NEVER_STARTED, age_us=micros(age_s), most=limit, now=self._tx.now)
        return [row.id for row in found]

    def history(self, attempt_id: int) -> Sequence[Row]:
        return self.histories([attempt_id])[attempt_id]

    def histories(self, attempt_ids: Collection[int]) -> dict[int, list[Row]]:
        """Of each of them; oldest first."""
        found: dict[int, list[Row]] = {attempt_id: [] for attempt_id in attempt_ids}
        for row in self._tx.all(_HISTORIES, ids=list(attempt_ids)):
            found[row.attempt_id].append(_row_of(row))
        return found

    def _write(self, row: Row) -> None:
        given = {name: getattr(row.change, name) for name in _CHANGE_FIELDS}
        self._tx.run(_INSERT_ROW, **given, reason=row.reason, digest=row.digest)


def _found(row: DatabaseRow[Any] | None) -> Attempt:
    if row is None:
        raise NotFound("No such attempt")
    return attempt_of(row)


def attempt_of(row: DatabaseRow[Any]) -> Attempt:
    found = dict(row._mapping)
    found["learner"] = Learner(**{name: found.pop(name) for name in _OF_LEARNER})
    found["clock_owner"] = ClockOwner(found["clock_owner"])
    found["exam_type"] = ExamType(found["exam_type"])
    found["status"] = Status(found["status"])
    return Attempt(**found)


def _row_of(row: DatabaseRow[Any]) -> Row:
    given = {name: getattr(row, name) for name in _CHANGE_FIELDS}
    return Row(change=Change(**given), reason=row.reason, digest=bytes(row.digest))
