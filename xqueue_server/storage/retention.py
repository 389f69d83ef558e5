"""Removing what is old, a batch of submissions at a time, in the order of their ids.

Only rows are locked, those of the batch, and what somebody else has locked is left for the next
round. Nothing is touched that is unfinished, being regraded, or waits to be delivered.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    type_coerce,
    update,
)

from proctoring_hooks.grades import GradeState
from xqueue_server.models.submission import ENDED
from xqueue_server.storage import stored_files
from xqueue_server.storage.engine import ONCE_NOW, Transaction
from xqueue_server.storage.grader_schema import (
    fault_submissions,
    faults,
    lease_graders,
    notifications,
)
from xqueue_server.storage.operations_schema import IS_REGRADING, regrades, timings
from xqueue_server.storage.operations_schema import stored_files as stored_files_table
from xqueue_server.storage.proctoring_schema import exam_submissions, marks
from xqueue_server.storage.schema import (
    IS_HELD,
    IS_OF_LEARNER,
    IS_PENDING,
    IS_WITHHELD,
    callback_attempts,
    callbacks,
    contents,
    events,
    leases,
    results,
    submissions,
)
from xqueue_server.storage.submissions import files_from_json

BATCH = 1000
LEASES_AT_ONCE = 10_000

_S, _C = submissions.c, contents.c
_ENDED_AT = type_coerce(_S.ended_at, BigInteger)
_AFTER = bindparam("after", type_=BigInteger)
_LAST = bindparam("last", type_=BigInteger)
_IDS = bindparam("ids", expanding=True, type_=BigInteger)
_WINDOW = (
    select(
        _S.id,
        (
            type_coerce(_S.arrived_at, BigInteger)
            <= ONCE_NOW - bindparam("age_us", type_=BigInteger)
        ).label("is_old"),
    )
    .where(_S.id > _AFTER)
    .order_by(_S.id)
    .limit(BATCH)
)
# A rejected attempt's grade is withheld for good, unless somebody minds before it is old.
_may_be_released = exists().where(
    callbacks.c.submission_id == _S.id,
    IS_WITHHELD,
    exam_submissions.c.submission_id == _S.id,
    exam_submissions.c.state != GradeState.WITHHELD.value,
)
_DUE = (
    select(_S.id, _C.files)
    .join(contents, _C.submission_id == _S.id)
    .where(
        _S.id > _AFTER,
        _S.id <= _LAST,
        IS_OF_LEARNER,  # trials have a term of their own
        _S.state.in_([state.value for state in ENDED]),
        ONCE_NOW - bindparam("age_us", type_=BigInteger) >= _ENDED_AT,
        ~exists().where(callbacks.c.submission_id == _S.id, IS_PENDING),
        ~_may_be_released,
        ~exists().where(regrades.c.submission_id == _S.id, IS_REGRADING),
    )
    .order_by(_S.id)
)
_DUE_CODE = _DUE.where(
    or_(func.length(_C.body) > 0, func.length(_C.header) > 0, _C.files.is_not(None))
)
_DUE_LOCKED = _DUE.with_for_update(skip_locked=True, of=submissions)
_DUE_CODE_LOCKED = _DUE_CODE.with_for_update(skip_locked=True, of=submissions)
_EMPTY = update(contents).where(_C.submission_id.in_(_IDS)).values(header="", body="", files=None)
_CALLBACKS = select(callbacks.c.id).where(callbacks.c.submission_id.in_(_IDS))
_REMOVALS = [
    delete(callback_attempts).where(callback_attempts.c.callback_id.in_(_CALLBACKS)),
    *(
        delete(table).where(column.in_(_IDS))
        for table, column in (
            (callbacks, callbacks.c.submission_id),
            (results, results.c.submission_id),
            (events, events.c.submission_id),
            (timings, timings.c.submission_id),
            (regrades, regrades.c.submission_id),
            (fault_submissions, fault_submissions.c.submission_id),
            (lease_graders, lease_graders.c.submission_id),
            (stored_files_table, stored_files_table.c.submission_id),
            (contents, _C.submission_id),
            (exam_submissions, exam_submissions.c.submission_id),
            (marks, marks.c.submission_id),
            (submissions, _S.id),
        )
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A batch of consecutive submissions: ids above `after`, up to `last`."""

    after: int
    last: int
    is_last: bool
    """No later one can be old enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """What of a window is old enough to go."""

    ids: Sequence[int]
    blobs: Sequence[str]


def window(tx: Transaction, *, after: int, age_us: int) -> Window:
    """The next submissions, whether or not anything of them is old."""
    rows = tx.all(_WINDOW, after=after, age_us=age_us, now=tx.now)
    is_last = len(rows) < BATCH or not rows[-1].is_old
    return Window(after=after, last=rows[-1].id if rows else after, is_last=is_last)


def with_old_code(tx: Transaction, of: Window, *, age_us: int, lock: bool) -> Old:
    """Those that ended that long ago and still have their code, files or header."""
    return _old(tx, of, age_us, _DUE_CODE_LOCKED if lock else _DUE_CODE)


def ended_long_ago(tx: Transaction, of: Window, *, age_us: int, lock: bool) -> Old:
    return _old(tx, of, age_us, _DUE_LOCKED if lock else _DUE)


def _old(tx: Transaction, of: Window, age_us: int, due: Select[Any]) -> Old:
    rows = tx.all(due, after=of.after, last=of.last, age_us=age_us, now=tx.now)
    blobs = [file.blob for row in rows for file in files_from_json(row.files)]
    return Old(ids=[row.id for row in rows], blobs=blobs)


def remove_code(tx: Transaction, ids: Collection[int]) -> None:
    """Empty what learners sent in, and what the LMS wants back with a grade; the rows stay."""
    if ids:
        tx.run(_EMPTY, ids=list(ids))
        stored_files.forget(tx, ids)


def remove(tx: Transaction, ids: Collection[int]) -> None:
    """Remove submissions with all that belongs to them but their leases and files."""
    for removal in _REMOVALS if ids else ():
        tx.run(removal, ids=list(ids))


# -- faults --------------------------------------------------------------------------------------

_F, _FS = faults.c, fault_submissions.c
_holds_one = exists().where(_FS.fault_id == _F.id, _FS.submission_id == _S.id, IS_HELD)
_IS_OLD_FAULT = and_(
    type_coerce(_F.last_at, BigInteger) <= ONCE_NOW - bindparam("age_us", type_=BigInteger),
    ~_holds_one,
)
_COUNT_FAULTS = select(func.count()).where(_IS_OLD_FAULT)
_OLD_FAULTS = (
    select(_F.id)
    .where(_IS_OLD_FAULT)
    .order_by(_F.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
)
_REMOVE_FAULTS = [
    delete(notifications).where(notifications.c.fault_id.in_(_IDS)),
    delete(fault_submissions).where(_FS.fault_id.in_(_IDS)),
    delete(faults).where(_F.id.in_(_IDS)),
]


def count_old_faults(tx: Transaction, *, age_us: int) -> int:
    return int(tx.scalar(_COUNT_FAULTS, age_us=age_us, now=tx.now))


def remove_faults(tx: Transaction, *, age_us: int) -> int:
    """Remove a batch of the kinds of faults that were last seen that long ago and hold nothing:
    their reports quote learners. Returns how many."""
    ids = [row.id for row in tx.all(_OLD_FAULTS, age_us=age_us, now=tx.now)]
    for removal in _REMOVE_FAULTS if ids else ():
        tx.run(removal, ids=ids)
    return len(ids)


# -- messages about exams ------------------------------------------------------------------------

_M = callbacks.c
_IS_OLD_MESSAGE = and_(
    _M.submission_id.is_(None),
    type_coerce(_M.finished_at, BigInteger) <= ONCE_NOW - bindparam("age_us", type_=BigInteger),
)
_COUNT_MESSAGES = select(func.count()).where(_IS_OLD_MESSAGE)
_OLD_MESSAGES = (
    select(_M.id)
    .where(_IS_OLD_MESSAGE)
    .order_by(_M.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
)
_SUBJECTS: BindParameter[str] = bindparam("subjects", expanding=True)
_REMOVE_MESSAGES = [
    delete(callback_attempts).where(callback_attempts.c.callback_id.in_(_IDS)),
    delete(callbacks).where(_M.id.in_(_IDS)),
]
_REMOVE_MESSAGE_EVENTS = delete(events).where(events.c.subject.in_(_SUBJECTS))


def count_old_messages(tx: Transaction, *, age_us: int) -> int:
    return int(tx.scalar(_COUNT_MESSAGES, age_us=age_us, now=tx.now))


def remove_messages(tx: Transaction, *, age_us: int) -> int:
    """Remove a batch of what was told of exams and ended that long ago, however it ended, with its
    tries and events. Returns how many."""
    ids = [row.id for row in tx.all(_OLD_MESSAGES, age_us=age_us, now=tx.now)]
    for removal in _REMOVE_MESSAGES if ids else ():
        tx.run(removal, ids=ids)
    if ids:
        tx.run(_REMOVE_MESSAGE_EVENTS, subjects=[f"callback {each}" for each in ids])
    return len(ids)


# -- leases --------------------------------------------------------------------------------------

_L = leases.c
_LEASES = (
    select(_L.key_hash)
    .where(_L.key_hash > bindparam("after"))
    .order_by(_L.key_hash)
    .offset(LEASES_AT_ONCE - 1)
    .limit(1)
)
_OF_NOBODY = ~exists().where(_S.id == _L.submission_id)
_REMOVE_LEASES = delete(leases).where(_L.key_hash > bindparam("after"), _OF_NOBODY)
_REMOVE_SOME_LEASES = _REMOVE_LEASES.where(_L.key_hash <= bindparam("last"))


def remove_leases(tx: Transaction, *, after: bytes) -> bytes | None:
    """Remove those of the next leases whose submission is gone; returns where to go on.

    By key, and not with each submission: an index for that would be written with every lease.
    """
    last: bytes | None = tx.scalar(_LEASES, after=after)
    if last is None:
        tx.run(_REMOVE_LEASES, after=after)
        return None
    tx.run(_REMOVE_SOME_LEASES, after=after, last=last)
    return bytes(last)
