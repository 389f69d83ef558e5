"""Lists of exams and attempts for people who run them, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Select, bindparam, false, or_, select, true
from sqlalchemy.sql.expression import ColumnElement

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.clock import Allowance, AllowanceKind
from proctoring_hooks.exam import Exam
from proctoring_hooks.history import Row
from proctoring_hooks.learner_names import LearnerNames
from proctoring_hooks.statuses import Status
from xqueue_server.models.callback import Callback
from xqueue_server.models.scope import Scope
from xqueue_server.storage import callbacks
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.proctoring.attempts import FIELDS as ATTEMPT_FIELDS
from xqueue_server.storage.proctoring.attempts import Attempts, attempt_of
from xqueue_server.storage.proctoring.exams import FIELDS as EXAM_FIELDS
from xqueue_server.storage.proctoring.exams import exam_of
from xqueue_server.storage.proctoring_schema import (
    exam_allowances,
    exam_attempts,
    exams,
)
from xqueue_server.storage.schema import callbacks as callbacks_table

Name = LearnerNames

_E, _A, _G = exams.c, exam_attempts.c, exam_allowances.c


def is_course_in_scope(course: Column[str], scope: Scope) -> ColumnElement[bool]:
    """Exams belong to courses: who may see single queues sees none of them."""
    if scope.is_everything:
        return true()
    return course.in_(sorted(scope.courses)) if scope.courses else false()


# -- exams ---------------------------------------------------------------------------------------


def exams_page(
    tx: Transaction,
    scope: Scope,
    *,
    lms: str | None = None,
    course: str | None = None,
    active: bool | None = None,
    limit: int,
    before: int | None = None,
) -> Sequence[Exam]:
    statement = select(*[_E[name] for name in EXAM_FIELDS]).where(
        is_course_in_scope(_E.course_id, scope)
    )
    for column, wanted in ((_E.lms, lms), (_E.course_id, course), (_E.is_active, active)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    return [exam_of(row) for row in tx.all(_page(statement, _E.id, limit, before))]


_ALLOWANCES = (
    select(_G.user_id, _G.kind, _G.value, _G.granted_by, _G.granted_at)
    .where(_G.exam_id == bindparam("of"))
    .order_by(_G.user_id)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    user_id: str
    allowance: Allowance
    granted_by: str
    granted_at: datetime


def allowances_of(tx: Transaction, exam_id: int) -> Sequence[Granted]:
    return [
        Granted(
            user_id=row.user_id,
            allowance=Allowance(kind=AllowanceKind(row.kind), value=row.value),
            granted_by=row.granted_by,
            granted_at=row.granted_at,
        )
        for row in tx.all(_ALLOWANCES, of=exam_id)
    ]


# -- attempts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter:
    """None: whatever it is."""

    lms: str | None = None
    course: str | None = None
    exam_id: int | None = None
    learner: str | None = None
    """User id or obscured id."""
    status: Status | None = None
    flagged: bool | None = None


def attempts_page(
    tx: Transaction,
    scope: Scope,
    wanted: AttemptFilter,
    *,
    limit: int,
    before: int | None = None,
) -> Sequence[Attempt]:
    statement = select(*[_A[name] for name in ATTEMPT_FIELDS]).where(
        _A.removed_at.is_(None), is_course_in_scope(_A.course_id, scope)
    )
    for column, value in (
        (_A.lms, wanted.lms),
        (_A.course_id, wanted.course),
        (_A.exam_id, wanted.exam_id),
        (_A.status, wanted.status),
        (_A.is_flagged, wanted.flagged),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.learner is not None:
        statement = statement.where(
            or_(_A.user_id == wanted.learner, _A.obscured_id == wanted.learner)
        )
    return [attempt_of(row) for row in tx.all(_page(statement, _A.id, limit, before))]


def _page(
    statement: Select[Any], column: ColumnElement[int], limit: int, before: int | None
) -> Select[Any]:
    if before is not None:
        statement = statement.where(column < before)
    return statement.order_by(column.desc()).limit(limit)


_MESSAGES = callbacks.SELECT.where(callbacks_table.c.attempt_id == bindparam("of")).order_by(
    callbacks_table.c.id
)


def messages_of(tx: Transaction, attempt_id: int) -> Sequence[Callback]:
    """What others are told of an attempt, oldest first."""
    return [callbacks.callback_of(row) for row in tx.all(_MESSAGES, of=attempt_id)]


# -- histories, for whoever checks them ----------------------------------------------------------

BATCH = 200
_CHAINS = select(*[_A[name] for name in ATTEMPT_FIELDS])
_REMOVED = select(_A.id).where(
    _A.id.in_(bindparam("ids", expanding=True, type_=BigInteger)), _A.removed_at.is_not(None)
)
_CHAINS_AFTER = _CHAINS.where(_A.id > bindparam("after")).order_by(_A.id).limit(BATCH)
_CHAIN = _CHAINS.where(_A.id == bindparam("of")).with_for_update()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """An attempt's history as it is stored, and the attempt, be it removed."""

    attempt: Attempt
    is_removed: bool
    rows: Sequence[Row]


def chains(tx: Transaction, *, after: int) -> list[Chain]:
    """Of the next attempts above this id, removed ones too; at most `BATCH`. A history may tell of
    a change that was made since the attempt was read."""
    return _chains(tx, [attempt_of(row) for row in tx.all(_CHAINS_AFTER, after=after)])


def chain_of(tx: Transaction, attempt_id: int) -> Chain | None:
    """Locked, so that both are of the same moment."""
    row = tx.one(_CHAIN, of=attempt_id)
    return _chains(tx, [attempt_of(row)])[0] if row else None


def _chains(tx: Transaction, found: Sequence[Attempt]) -> list[Chain]:
    ids = [each.id for each in found]
    removed = {row.id for row in tx.all(_REMOVED, ids=ids)}
    rows = Attempts(tx).histories(ids)
    return [
        Chain(attempt=each, is_removed=each.id in removed, rows=rows[each.id]) for each in found
    ]
