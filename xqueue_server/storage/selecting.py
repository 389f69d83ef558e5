"""The submissions of learners that a selection means, within what somebody may see.

First ids, then rows. What is rare (a state that is no end, a callback that is not delivered, a
batch) is found by its own partial index and sorted; course, problem and learner are found by the
indexes of `contents`, whose order is that of the ids; everything else walks the ids from the newest
on. Times become bounds of the ids, because ids follow the arrivals.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.util import ClauseAdapter

from xqueue_server.models.callback import CallbackState
from xqueue_server.models.grader import FORGEABLE
from xqueue_server.models.regrade import RegradeState
from xqueue_server.models.scope import Scope
from xqueue_server.models.selection import Mark, Selection
from xqueue_server.models.submission import Submission, SubmissionState
from xqueue_server.storage.engine import Storage, Transaction
from xqueue_server.storage.grader_schema import lease_graders
from xqueue_server.storage.operations_schema import IS_REGRADING, regrades
from xqueue_server.storage.schema import (
    IS_BLOCKED,
    IS_DEAD,
    IS_DELAYED,
    IS_HELD,
    IS_LEASED,
    IS_OF_LEARNER,
    IS_PENDING,
    IS_READY,
    callbacks,
    contents,
    results,
    submissions,
)
from xqueue_server.storage.submissions import submission_of

COUNTED = 10_000
"""Counts for a page stop there."""
BATCH = 100
SLOP = timedelta(minutes=1)
"""By how much the order of ids and that of arrivals may differ: ids are given out just before."""

_S, _C = submissions.c, contents.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A row of a list."""

    submission: Submission
    course: str
    learner: str
    problem: str
    """Each "" where the callback URL does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    count: int
    is_more: bool
    """There are more than `count`."""


# -- reading -------------------------------------------------------------------------------------


def page(
    tx: Transaction,
    selection: Selection,
    scope: Scope,
    *,
    limit: int = 50,
    before: int | None = None,
) -> Sequence[Selected]:
    """Newest first; `before` is the id that the previous page ended with."""
    found = _find(tx, selection, scope)
    if found is None:
        return []
    ids = [row.id for row in tx.all(found.newest_first(before).limit(limit))]
    rows = {row.id: _selected(row) for row in tx.all(_ROWS, ids=ids)} if ids else {}
    return [rows[each] for each in ids if each in rows]


def count(
    tx: Transaction,
    selection: Selection,
    scope: Scope,
    *,
    most: int | None = COUNTED,
    not_in_batch: int | None = None,
) -> Count:
    """How many there are; exact up to `most`, None: however many."""
    found = _find(tx, selection, scope, not_in_batch=not_in_batch)
    if found is None:
        return Count(count=0, is_more=False)
    limited = found.ids if most is None else found.ids.limit(most + 1)
    counted = int(tx.scalar(select(func.count()).select_from(limited.subquery())))
    if most is not None and counted > most:
        return Count(count=most, is_more=True)
    return Count(count=counted, is_more=False)


def matching_ids(
    tx: Transaction, selection: Selection, scope: Scope, *, not_in_batch: int | None = None
) -> Select[Any]:
    """All of them, in no order, as a statement to be a part of another one; its column is `id`."""
    found = _find(tx, selection, scope, not_in_batch=not_in_batch)
    return select(_S.id).where(false()) if found is None else found.ids


def batches(
    storage: Storage,
    selection: Selection,
    scope: Scope,
    *,
    size: int = BATCH,
    not_in_batch: int | None = None,
) -> Iterator[Sequence[int]]:
    """Ids, oldest first, of what there is now; each batch is read anew, in no transaction.

    What arrives meanwhile is not among them, nor what that batch of regrades has already.
    """
    with storage.read() as tx:
        last = int(tx.scalar(_LAST_ID) or 0)
    after = 0
    while True:
        with storage.read() as tx:
            found = _find(tx, selection, scope, not_in_batch=not_in_batch)
            rows = tx.all(found.oldest_first(after, last).limit(size)) if found else []
        ids = [row.id for row in rows]
        if ids:
            yield ids
        if len(ids) < size:
            return
        after = ids[-1]


def covers(tx: Transaction, submission_id: int, scope: Scope) -> bool:
    """Whether the submission is there, is a learner's, and is in the scope."""
    row = tx.one(_WHOSE, of=submission_id)
    return row is not None and scope.covers(row.queue, row.course)


def _selected(row: Row[Any]) -> Selected:
    fields = dict(row._mapping)
    problem = fields.pop("problem") or ""
    submission = submission_of(fields)
    return Selected(
        submission=submission,
        course=submission.course,
        learner=submission.learner,
        problem=problem,
    )


# -- bounds of time ------------------------------------------------------------------------------

_LAST_ID = select(func.max(_S.id))
_FIRST_FROM = (
    select(_S.id, _S.arrived_at).where(_S.id >= bindparam("at_least")).order_by(_S.id).limit(1)
)


def id_at(tx: Transaction, instant: datetime) -> int:
    """The lowest id that arrived at `instant` or later; beyond the last if none did. By bisection:
    as many probes of the primary key as the highest id has binary digits."""
    low, high = 1, int(tx.scalar(_LAST_ID) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = tx.one(_FIRST_FROM, at_least=middle)
        if row is None or row.arrived_at >= instant:
            high = middle
        else:
            low = row.id + 1
    return low


# -- building ------------------------------------------------------------------------------------

_ROWS = (
    select(*[_S[f] for f in Submission.__dataclass_fields__], _C.problem)
    .outerjoin(contents, _C.submission_id == _S.id)
    .where(_S.id.in_(bindparam("ids", expanding=True)))
)
_WHOSE = select(_S.queue, _S.course).where(_S.id == bindparam("of"), IS_OF_LEARNER)
_RARE_STATES: dict[SubmissionState, tuple[ColumnElement[bool], ...]] = {
    SubmissionState.QUEUED: (
        IS_READY,
        IS_DELAYED,
        and_(IS_BLOCKED, _S.state == literal_column("'queued'"), _S.available_at.is_(None)),
    ),
    SubmissionState.LEASED: (IS_LEASED,),
    SubmissionState.HELD: (IS_HELD,),
}
"""By predicates of which each has a partial index; no row has two of them."""
_RARE_CALLBACKS = {CallbackState.PENDING: IS_PENDING, CallbackState.DEAD: IS_DEAD}
_IS_FORGEABLE = _S.id.in_(  # as one list: asked for each row, it would be two probes of an index
    union_all(
        select(lease_graders.c.submission_id).where(
            lease_graders.c.isolation == literal_column(f"'{FORGEABLE}'")
        ),
        select(results.c.submission_id).where(results.c.forgeable == true()),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A statement that gives ids in no order, and how to sort it."""

    ids: Select[Any]
    column: ColumnElement[int]
    is_rare: bool

    def newest_first(self, before: int | None) -> Select[Any]:
        found = self.ids if before is None else self.ids.where(self.column < before)
        return found.order_by(self._order.desc())

    def oldest_first(self, after: int, last: int) -> Select[Any]:
        found = self.ids.where(self.column > after, self.column <= last)
        return found.order_by(self._order)

    @property
    def _order(self) -> ColumnElement[int]:
        # In the order of the key, what is rare would be sought through the whole table.
        return self.column + literal_column("0") if self.is_rare else self.column


def _find(
    tx: Transaction, selection: Selection, scope: Scope, *, not_in_batch: int | None = None
) -> _Found | None:
    """None: nothing can match."""
    selection = _narrowed(selection, scope)
    if scope.is_nothing or _is_nothing(selection):
        return None
    rare, of_contents = _rare(selection), _of_contents(selection)
    column: ColumnElement[int] = _C.submission_id if of_contents and not rare else _S.id
    found = select(column.label("id")).select_from(submissions)
    if of_contents:
        found = found.join(contents, _C.submission_id == _S.id)
    found = found.where(
        IS_OF_LEARNER,
        *rare,
        *of_contents,
        *_of_rows(selection),
        *_of_scope(scope),
        *_of_time(tx, selection, column),
        *_not_in(not_in_batch),
    )
    return _Found(ids=found, column=column, is_rare=bool(rare))


def _is_nothing(selection: Selection) -> bool:
    given = (selection.queues, selection.states, selection.courses, selection.ids)
    return any(each is not None and not each for each in given)


def _narrowed(selection: Selection, scope: Scope) -> Selection:
    """What follows from the other filters, and can be found by an index.

    Who may see nothing but courses, looks by course; what is held for a reason, is held.
    """
    if scope.queues is not None and not scope.queues:
        wanted = selection.courses
        courses = scope.courses if wanted is None else scope.courses & wanted
        selection = replace(selection, courses=courses)
    if selection.held_reason is not None:
        held = frozenset({SubmissionState.HELD})
        states = held if selection.states is None else held & selection.states
        selection = replace(selection, states=states)
    return selection


def _rare(selection: Selection) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if selection.states is not None and selection.states <= _RARE_STATES.keys():
        found.append(_S.id.in_(_with_states(selection.states)))
    if selection.callback in _RARE_CALLBACKS:
        is_so = _RARE_CALLBACKS[selection.callback]
        found.append(_S.id.in_(select(callbacks.c.submission_id).where(is_so)))
    if selection.batch is not None or selection.regrade is not None:
        found.append(_S.id.in_(_with_regrades(selection)))
    if selection.ids is not None:
        found.append(_S.id.in_(sorted(selection.ids)))
    return found


def _with_states(states: Collection[SubmissionState]) -> Any:
    """Each part from one partial index."""
    each = submissions.alias("each")
    parts = [
        select(each.c.id).where(_on(predicate, each))
        for state in sorted(states)
        for predicate in _RARE_STATES[state]
    ]
    return union_all(*parts) if len(parts) > 1 else parts[0]


def _with_regrades(selection: Selection) -> Select[Any]:
    found = select(regrades.c.submission_id)
    if selection.batch is not None:
        found = found.where(regrades.c.batch_id == selection.batch)
    if selection.regrade is RegradeState.WAITING:
        return found.where(IS_REGRADING)
    if selection.regrade is not None:
        return found.where(regrades.c.state == selection.regrade.value)
    return found


def _on(predicate: ColumnElement[bool], alias: Any) -> ColumnElement[bool]:
    adapted: ColumnElement[bool] = ClauseAdapter(alias).traverse(predicate)
    return adapted


def _of_contents(selection: Selection) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if selection.problem is not None:
        found.append(_C.problem == selection.problem)
    if selection.learner is not None:
        found.append(_C.learner == selection.learner)
    if selection.courses is not None:
        found.append(_any_of(_C.course, selection.courses))
    return found


def _of_rows(selection: Selection) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if selection.queues is not None:
        found.append(_any_of(_S.queue, selection.queues))
    if selection.states is not None:
        found.append(_any_of(_S.state, [state.value for state in selection.states]))
    if selection.held_reason is not None:
        found.append(_S.held_reason == selection.held_reason.value)
    if selection.account is not None:
        found.append(_S.submitted_by == selection.account)
    if selection.mark is Mark.FORGEABLE:
        found.append(_IS_FORGEABLE)
    if selection.callback is not None and selection.callback not in _RARE_CALLBACKS:
        is_so = callbacks.c.state == selection.callback.value
        found.append(exists().where(callbacks.c.submission_id == _S.id, is_so))
    return found


def _of_scope(scope: Scope) -> list[ColumnElement[bool]]:
    if scope.queues is None:
        return []
    return [
        or_(
            _any_of(_S.queue, scope.queues),
            and_(_S.course != "", _any_of(_S.course, scope.courses)),
        )
    ]


def _of_time(
    tx: Transaction, selection: Selection, column: ColumnElement[int]
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if selection.since is not None:
        found += [_S.arrived_at >= selection.since, column >= id_at(tx, selection.since - SLOP)]
    if selection.until is not None:
        found += [_S.arrived_at < selection.until, column < id_at(tx, selection.until + SLOP)]
    return found


def _not_in(batch: int | None) -> list[ColumnElement[bool]]:
    if batch is None:
        return []
    is_in_it = and_(regrades.c.submission_id == _S.id, regrades.c.batch_id == batch)
    return [~exists().where(is_in_it)]


def _any_of(column: ColumnElement[Any], values: Collection[str]) -> ColumnElement[bool]:
    """An equation where there is one value: an index then gives its rows in their order."""
    if len(values) == 1:
        return column == next(iter(values))
    return column.in_(sorted(values))
