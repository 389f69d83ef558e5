"""Regrades and the batches that they were asked for in. One of a submission waits at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)

from xqueue_server.errors import NotFound
from xqueue_server.models.regrade import WITH_RESULT, Regrade, RegradeBatch, RegradeState
from xqueue_server.models.submission import SubmissionEvent
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.grader_schema import lease_graders
from xqueue_server.storage.operations_schema import IS_REGRADING, regrade_batches, regrades
from xqueue_server.storage.schema import callbacks, contents, leases, submissions

_R, _B = regrades.c, regrade_batches.c
_CANCELLING = frozenset({SubmissionEvent.SUPERSEDE, SubmissionEvent.CANCEL, SubmissionEvent.ERASE})

# -- beginning and ending ------------------------------------------------------------------------

_INSERT_BATCH = insert(regrade_batches).values(requested_at=NOW).returning(_B.id)
_INSERT = insert(regrades).values(state=RegradeState.WAITING.value, started_at=NOW)
_WAITING = and_(IS_REGRADING, _R.submission_id == bindparam("of"))
_END = (
    update(regrades)
    .where(_WAITING)
    .values(state=bindparam("to_state"), detail=bindparam("why"), finished_at=NOW)
)
_RESULT: dict[str, Any] = {
    name: bindparam(f"the_{name}")
    for name in ("old_result_id", "new_result_id", "old_score", "new_score", "lms_had_it")
}
_FINISH = (
    update(regrades).where(_WAITING).values(state=bindparam("to_state"), finished_at=NOW, **_RESULT)
)
_AMEND = (
    update(regrades)
    .where(_R.id == bindparam("of"))
    .values(
        state=bindparam("to_state"),
        new_result_id=bindparam("result"),
        new_score=bindparam("score"),
    )
)
_ISSUED_SINCE = select(literal(1)).where(
    exists().where(
        leases.c.key_hash == bindparam("key_hash"),
        leases.c.submission_id == bindparam("of"),
        _R.submission_id == leases.c.submission_id,
        IS_REGRADING,
        leases.c.leased_at >= _R.started_at,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """An old result and the new one beside it."""

    old_result_id: int | None
    new_result_id: int
    old_score: float | None
    new_score: float | None
    is_same: bool
    lms_had_it: bool

    @property
    def state(self) -> RegradeState:
        return RegradeState.SAME if self.is_same else RegradeState.CHANGED


def add_batch(tx: Transaction, *, requested_by: str, reason: str, selection: str) -> int:
    return int(
        tx.scalar(
            _INSERT_BATCH,
            now=tx.now,
            requested_by=requested_by,
            reason=reason,
            selection=selection,
        )
    )


def add(
    tx: Transaction,
    batch_id: int,
    submission_id: int,
    *,
    old_result_id: int | None,
    old_score: float | None,
) -> None:
    """In the transaction that puts the submission back to its queue."""
    tx.run(
        _INSERT,
        now=tx.now,
        batch_id=batch_id,
        submission_id=submission_id,
        old_result_id=old_result_id,
        old_score=old_score,
    )


def finish(tx: Transaction, submission_id: int, compared: Comparison) -> None:
    """The waiting regrade of the submission has its result."""
    given = {f"the_{name}": getattr(compared, name) for name in _RESULT}
    tx.run(_FINISH, now=tx.now, of=submission_id, to_state=compared.state.value, **given)


def end_without_grade(
    tx: Transaction, submission_id: int, event: SubmissionEvent, detail: str | None
) -> None:
    """The waiting regrade of the submission came to nothing. Not for an accepted result."""
    if event is SubmissionEvent.ACCEPT:
        return
    state = RegradeState.CANCELLED if event in _CANCELLING else RegradeState.FAILED
    why = f"{event.value}: {detail}" if detail else event.value
    tx.run(_END, now=tx.now, of=submission_id, to_state=state.value, why=why)


def amend(
    tx: Transaction, found: Regrade, *, result_id: int, score: float | None, is_same: bool
) -> None:
    """The grader replaced the result that the regrade brought."""
    state = RegradeState.SAME if is_same else RegradeState.CHANGED
    tx.run(_AMEND, of=found.id, to_state=state.value, result=result_id, score=score)


def is_key_of_regrade(tx: Transaction, key_hash: bytes, submission_id: int) -> bool:
    """Whether the key was issued since the regrade that waits now began."""
    return tx.one(_ISSUED_SINCE, key_hash=key_hash, of=submission_id) is not None


# -- looking -------------------------------------------------------------------------------------

_SELECT = select(*[_R[name] for name in Regrade.__dataclass_fields__])
_OF_SUBMISSION = _SELECT.where(_R.submission_id == bindparam("of")).order_by(_R.id)
_LATEST_WITH_RESULT = (
    _SELECT.where(_R.submission_id == bindparam("of"), _R.state.in_([s.value for s in WITH_RESULT]))
    .order_by(_R.id.desc())
    .limit(1)
)
_AMONG_WAITING = _SELECT.where(IS_REGRADING, _R.submission_id.in_(bindparam("ids", expanding=True)))
_OF_BATCH = _SELECT.where(_R.batch_id == bindparam("of"), _R.id > bindparam("after")).order_by(
    _R.id
)
_OF_BATCH_PAGE = _OF_BATCH.limit(bindparam("page"))
_BATCH_COLUMNS = (_B.id, _B.requested_at, _B.requested_by, _B.reason, _B.selection)
_BATCHES = (
    select(*_BATCH_COLUMNS)
    .where(_B.id < bindparam("before"))
    .order_by(_B.id.desc())
    .limit(bindparam("page"))
)
_BATCH = select(*_BATCH_COLUMNS).where(_B.id == bindparam("of"))
_COUNTS = (
    select(_R.batch_id, _R.state, _R.lms_had_it, func.count().label("times"))
    .where(_R.batch_id.in_(bindparam("ids", expanding=True)))
    .group_by(_R.batch_id, _R.state, _R.lms_had_it)
)
_NO_BOUND = 2**63 - 1


def of_submission(tx: Transaction, submission_id: int) -> Sequence[Regrade]:
    """Oldest first."""
    return [_regrade(row) for row in tx.all(_OF_SUBMISSION, of=submission_id)]


def latest_with_result(tx: Transaction, submission_id: int) -> Regrade | None:
    row = tx.one(_LATEST_WITH_RESULT, of=submission_id)
    return _regrade(row) if row else None


def waiting_among(tx: Transaction, submission_ids: Collection[int]) -> dict[int, Regrade]:
    """Submission id -> the regrade that it waits for."""
    if not submission_ids:
        return {}
    rows = tx.all(_AMONG_WAITING, ids=sorted(submission_ids))
    return {row.submission_id: _regrade(row) for row in rows}


def of_batch(
    tx: Transaction, batch_id: int, *, limit: int = 100, after: int = 0
) -> Sequence[Regrade]:
    """Oldest first; `after` is the id that the previous page ended with."""
    return [_regrade(row) for row in tx.all(_OF_BATCH_PAGE, of=batch_id, after=after, page=limit)]


def latest_batches(
    tx: Transaction, *, limit: int = 50, before: int | None = None
) -> Sequence[RegradeBatch]:
    """Newest first."""
    rows = tx.all(_BATCHES, page=limit, before=before or _NO_BOUND)
    return _with_counts(tx, rows)


def get_batch(tx: Transaction, batch_id: int) -> RegradeBatch:
    """Raises: NotFound."""
    row = tx.one(_BATCH, of=batch_id)
    if row is None:
        raise NotFound(f"Regrade {batch_id} not found")
    return _with_counts(tx, [row])[0]


def _with_counts(tx: Transaction, rows: Sequence[Row[Any]]) -> list[RegradeBatch]:
    ids = [row.id for row in rows]
    counted = tx.all(_COUNTS, ids=ids) if ids else []
    counts: dict[int, dict[RegradeState, int]] = {batch_id: {} for batch_id in ids}
    kept_old = dict.fromkeys(ids, 0)
    for each in counted:
        state = RegradeState(each.state)
        of_batch = counts[each.batch_id]
        of_batch[state] = of_batch.get(state, 0) + each.times
        if state is RegradeState.CHANGED and each.lms_had_it:
            kept_old[each.batch_id] += each.times
    return [
        RegradeBatch(**row._mapping, counts=counts[row.id], lms_kept_old=kept_old[row.id])
        for row in rows
    ]


def _regrade(row: Row[Any]) -> Regrade:
    return Regrade(**{**row._mapping, "state": RegradeState(row.state)})


# -- what a regrade would touch -------------------------------------------------------------------

_WAS_DELIVERED = exists().where(
    callbacks.c.submission_id == submissions.c.id,
    callbacks.c.state == literal_column("'delivered'"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedBy:
    grader: str | None
    """None: a worker's own."""
    version: int | None
    lms_has_it: bool
    """Its callback was delivered, so that a new grade will not be taken."""
    count: int


def graded_by(tx: Transaction, ids: Select[Any]) -> Sequence[GradedBy]:
    """By which versions the submissions were graded whose `id` the statement gives."""
    found = ids.subquery()
    version = (lease_graders.c.grader, lease_graders.c.version)
    counting = (
        select(*version, func.count().label("times"))
        .select_from(found.join(submissions, submissions.c.id == found.c.id))
        .outerjoin(lease_graders, lease_graders.c.key_hash == submissions.c.accepted_key)
        .group_by(*version)
    )
    # Counted twice: as a condition, a database can join what as a column it asks for each row.
    had = {(row.grader, row.version): row.times for row in tx.all(counting.where(_WAS_DELIVERED))}
    counts = []
    for row in tx.all(counting):
        of_lms = had.get((row.grader, row.version), 0)
        for has_it, number in ((False, max(0, row.times - of_lms)), (True, of_lms)):
            if number:
                counts.append(
                    GradedBy(
                        grader=row.grader, version=row.version, lms_has_it=has_it, count=number
                    )
                )
    return counts


# -- what an LMS needs to be told by hand --------------------------------------------------------

_newer = contents.alias("newer")
_HAS_NEWER = exists().where(
    _newer.c.supersede_key == contents.c.supersede_key,
    _newer.c.submission_id > contents.c.submission_id,
)
_KEPT_OLD = (
    select(
        _R.submission_id,
        contents.c.course,
        contents.c.learner,
        contents.c.problem,
        _R.old_score,
        _R.new_score,
        submissions.c.arrived_at,
        _R.finished_at,
        _HAS_NEWER.label("has_newer"),
    )
    .join(submissions, submissions.c.id == _R.submission_id)
    .join(contents, contents.c.submission_id == _R.submission_id)
    .where(
        _R.batch_id == bindparam("of"),
        _R.state == RegradeState.CHANGED.value,
        _R.lms_had_it.is_(True),
    )
    .order_by(contents.c.course, contents.c.problem, _R.submission_id)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOld:
    """A changed score of which the LMS has the old one, and keeps it."""

    submission_id: int
    course: str
    learner: str
    problem: str
    old_score: float | None
    new_score: float | None
    arrived_at: datetime
    finished_at: datetime
    has_newer: bool
    """The learner has submitted the same part again since: that one's score counts."""


def kept_old(tx: Transaction, batch_id: int) -> Sequence[KeptOld]:
    """By course, problem and age."""
    rows = tx.all(_KEPT_OLD, of=batch_id)
    return [KeptOld(**{**row._mapping, "has_newer": bool(row.has_newer)}) for row in rows]
