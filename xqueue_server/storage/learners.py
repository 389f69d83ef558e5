"""All that is stored of one learner: finding it, and erasing it submission by submission."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    and_,
    bindparam,
    case,
    delete,
    exists,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from proctoring_hooks.grades import GradeState
from xqueue_server.storage import stored_files
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.grader_schema import fault_submissions, faults
from xqueue_server.storage.operations_schema import regrade_batches, regrades
from xqueue_server.storage.proctoring_schema import exam_submissions, marks
from xqueue_server.storage.schema import (
    IS_DEAD,
    IS_PENDING,
    IS_UNFINISHED,
    IS_WITHHELD,
    callback_attempts,
    callbacks,
    contents,
    events,
    leases,
    results,
    submissions,
)

_S, _C = submissions.c, contents.c
_ID = bindparam("of", type_=BigInteger)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    id: int
    course: str
    problem: str
    callback_url: str
    is_finished: bool
    """It has ended, and nothing waits to be delivered."""


_is_awaited = or_(
    IS_UNFINISHED,
    exists().where(callbacks.c.submission_id == _S.id, or_(IS_PENDING, IS_WITHHELD)),
)
_OF_LEARNER = (
    select(
        _S.id,
        _C.course,
        _C.problem,
        _S.callback_url,
        case((_is_awaited, literal_column("0")), else_=literal_column("1")).label("is_finished"),
    )
    .join(contents, _C.submission_id == _S.id)
    .where(_C.learner == bindparam("the_learner"))
    .order_by(_S.id)
)


def of_learner(tx: Transaction, learner: str) -> Sequence[Found]:
    """The submissions of everybody who has this id, at whatever LMS; oldest first."""
    rows = tx.all(_OF_LEARNER, the_learner=learner)
    return [Found(**{**row._mapping, "is_finished": bool(row.is_finished)}) for row in rows]


# -- erasing -------------------------------------------------------------------------------------

_LEASES = select(leases.c.key_hash, leases.c.submission_id).where(
    leases.c.submission_id.in_(bindparam("ids", expanding=True, type_=BigInteger))
)
_FORGET_LEASES = delete(leases).where(leases.c.key_hash.in_(bindparam("keys", expanding=True)))
_OF_ITS_CALLBACKS = select(callbacks.c.id).where(callbacks.c.submission_id == _ID)
# A fault quotes the first submission of its kind, which can not be told from the later ones.
_FAULTS = select(fault_submissions.c.fault_id).where(fault_submissions.c.submission_id == _ID)
# First what a writer of mark sheets locks, in his order; by the learner, as the mark may name
# another of his submissions.
_MARKS_OF_LEARNER = (
    select(exam_submissions.c.exam_id, _C.learner)
    .join(contents, _C.submission_id == exam_submissions.c.submission_id)
    .where(exam_submissions.c.submission_id == _ID)
)
_IS_AWAITED = exam_submissions.c.state.in_([GradeState.WAITING.value, GradeState.FLAGGED.value])
_ERASURES = [
    update(exam_submissions)
    .where(exam_submissions.c.submission_id == _ID)
    .values(
        is_unwritten=False,
        # Nobody shall be asked to accept it.
        state=case((_IS_AWAITED, GradeState.WITHHELD.value), else_=exam_submissions.c.state),
    ),
    delete(marks).where(tuple_(marks.c.exam_id, marks.c.learner).in_(_MARKS_OF_LEARNER)),
    update(contents)
    .where(_C.submission_id == _ID)
    .values(header="", body="", files=None, supersede_key=None, learner="", traceparent=None),
    update(results).where(results.c.submission_id == _ID).values(body=""),
    update(callback_attempts)
    .where(callback_attempts.c.callback_id.in_(_OF_ITS_CALLBACKS))
    .values(error=None, response=None),
    update(events).where(events.c.submission_id == _ID).values(detail=None),
    update(regrades).where(regrades.c.submission_id == _ID).values(detail=None),
    update(faults).where(faults.c.id.in_(_FAULTS)).values(signature="", detail=""),
]
_ERASE_PLACE = (
    update(submissions)
    .where(_S.id == _ID)
    .values(
        callback_url=bindparam("url", type_=_S.callback_url.type),
        lms_key="",
        learner="",
        learner_submitted_at=None,
        accepted_key=None,
        held_detail=None,
    )
)
_ERASE_CALLBACKS = (
    update(callbacks)
    .where(callbacks.c.submission_id == _ID)
    .values(
        url=bindparam("url", type_=callbacks.c.url.type),
        order_key=bindparam("no_order"),
        header="",
        body="",
        last_error=None,
        # There is nothing left that a person could replay.
        state=case((IS_DEAD, literal_column("'cancelled'")), else_=callbacks.c.state),
    )
)
_BATCHES = (
    select(regrade_batches.c.id, regrade_batches.c.selection, regrade_batches.c.reason)
    .join(regrades, regrades.c.batch_id == regrade_batches.c.id)
    .where(regrades.c.submission_id == _ID)
)
_SAY = (
    update(regrade_batches)
    .where(regrade_batches.c.id == _ID)
    .values(
        selection=bindparam("words", type_=regrade_batches.c.selection.type),
        reason=bindparam("why", type_=regrade_batches.c.reason.type),
    )
)
# What was done to many at once: whose it was may stand in the selection.
_OF_MANY = select(events.c.id, events.c.subject, events.c.detail).where(
    events.c.submission_id.is_(None),
    or_(events.c.subject == "submissions", events.c.subject.startswith("regrade ")),
    events.c.detail.is_not(None),
)
_TELL = (
    update(events)
    .where(events.c.id == _ID)
    .values(detail=bindparam("words", type_=events.c.detail.type))
)
_HAS_PENDING = select(callbacks.c.id).where(and_(callbacks.c.submission_id == _ID, IS_PENDING))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegradeSelection:
    batch_id: int
    words: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkEvent:
    """Of what was done to many submissions at once."""

    id: int
    subject: str
    """"submissions", or "regrade N"."""
    detail: str


def lease_keys(tx: Transaction, ids: Collection[int]) -> dict[int, list[bytes]]:
    """The leases of these submissions. Reads the whole table: no claim should pay for an index."""
    found: dict[int, list[bytes]] = {}
    for row in tx.all(_LEASES, ids=list(ids)) if ids else ():
        found.setdefault(row.submission_id, []).append(bytes(row.key_hash))
    return found


def has_pending(tx: Transaction, submission_id: int) -> bool:
    return tx.one(_HAS_PENDING, of=submission_id) is not None


def erase(
    tx: Transaction,
    submission_id: int,
    *,
    url: str,
    order_key: bytes,
    keys: Collection[bytes],
) -> None:
    """Leave of a finished submission only what counts: queue, course, problem, states, times.

    `url` names the learner no more; `order_key` is 16 random bytes; `keys` are of the leases,
    without which nobody can hand in a result any more.
    """
    for erasure in _ERASURES:
        tx.run(erasure, of=submission_id)
    tx.run(_ERASE_PLACE, of=submission_id, url=url)
    tx.run(_ERASE_CALLBACKS, of=submission_id, url=url, no_order=order_key)
    if keys:
        tx.run(_FORGET_LEASES, keys=list(keys))
    stored_files.forget(tx, [submission_id])


def selections_of(tx: Transaction, submission_id: int) -> Sequence[RegradeSelection]:
    """What was asked for where this submission was graded anew: may name the learner."""
    rows = tx.all(_BATCHES, of=submission_id)
    return [
        RegradeSelection(batch_id=row.id, words=row.selection, reason=row.reason) for row in rows
    ]


def reword_selection(tx: Transaction, selection: RegradeSelection) -> None:
    tx.run(_SAY, of=selection.batch_id, words=selection.words, why=selection.reason)


def bulk_events(tx: Transaction) -> Sequence[BulkEvent]:
    """All of them: only their text says whom they were about."""
    return [BulkEvent(**row._mapping) for row in tx.all(_OF_MANY)]


def reword_event(tx: Transaction, event_id: int, detail: str) -> None:
    tx.run(_TELL, of=event_id, words=detail)
