"""The learner's cap of a queue: how many submissions of one learner are in line or leased at once.

Those beyond it are stored blocked: they are in no index that a claim walks. Everything that may
count is stored blocked at first and let in by `admit`, the only place that decides, one decision at
a time for each learner. A crash in between leaves a row blocked until the next sweep.

Who decides about a learner has his lock until the commit: it is the last that a transaction does.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, bindparam, func, or_, select, update

from xqueue_server.keys import digest
from xqueue_server.storage import events
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.ordering import next_turn
from xqueue_server.storage.schema import IS_BLOCKED, IS_CAPPED, is_capped, queues, submissions

AT_ONCE = 100
"""Of one learner, where there is no cap any more: short transactions."""

_C = submissions.c
_LOCK = select(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger())))
_CAP = select(queues.c.learner_cap).where(queues.c.name == bindparam("of_queue"))
_IS_OF_LEARNER = (
    _C.queue == bindparam("of_queue"),
    _C.learner == bindparam("of_learner"),
    _C.course == bindparam("of_course"),
)
_COUNT = select(func.count()).select_from(submissions).where(*_IS_OF_LEARNER, IS_CAPPED)
_BLOCKED = (
    select(_C.id)
    .where(*_IS_OF_LEARNER, IS_BLOCKED)
    .order_by(_C.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_UNBLOCK = (
    update(submissions)
    .where(_C.id == bindparam("of"), IS_BLOCKED)
    .values(is_blocked=False, turn=next_turn(_C.queue, _C.priority, _C.course))
)

_counted = submissions.alias("counted")
_NAMES = ("queue", "learner", "course")


def _is_in_vain(learners: Any) -> ColumnElement[bool]:
    """Whether the cap would let one more in; of rows that have the three columns."""
    in_line = (
        select(func.count())
        .select_from(_counted)
        .where(*[_counted.c[name] == learners.c[name] for name in _NAMES], is_capped(_counted.c))
        .correlate(learners)
        .scalar_subquery()
    )
    cap = (
        select(queues.c.learner_cap)
        .where(queues.c.name == learners.c.queue)
        .correlate(learners)
        .scalar_subquery()
    )
    return or_(cap.is_(None), in_line < cap)


# First the learners, each once: one of them may have thousands that wait.
_waiting = select(*[_C[name] for name in _NAMES]).where(IS_BLOCKED).distinct().subquery("waiting")
_BLOCKED_IN_VAIN = select(_waiting).where(_is_in_vain(_waiting)).limit(bindparam("most"))
_AMONG_IN_VAIN = select(_C.id).where(
    _C.id.in_(bindparam("ids", expanding=True)), IS_BLOCKED, _is_in_vain(submissions)
)


def admit_last(tx: Transaction, *, queue: str, learner: str, course: str, actor: str) -> None:
    """`admit` at the end of the transaction, once for all that it changes for this learner."""
    act = partial(admit, queue=queue, learner=learner, course=course, actor=actor)
    tx.do_last((queue, learner, course), act)


def admit(tx: Transaction, *, queue: str, learner: str, course: str, actor: str) -> list[int]:
    """Let the learner's oldest blocked submissions into the line, as far as the cap allows.

    On PostgreSQL within a transaction that lasts: others who decide about this learner wait for its
    end. Of those that are `arriving` with it no event tells: they have not waited. Returns the ids.
    """
    if tx.is_postgres:
        key = int.from_bytes(digest(queue, learner, course)[:8], signed=True)
        tx.run(_LOCK, key=key)
    learners = {"of_queue": queue, "of_learner": learner, "of_course": course}
    cap = tx.scalar(_CAP, of_queue=queue)
    room = AT_ONCE if cap is None else cap - int(tx.scalar(_COUNT, **learners))
    if room <= 0:
        return []
    admitted = [row.id for row in tx.all(_BLOCKED, most=room, **learners)]
    for submission_id in admitted:
        tx.run(_UNBLOCK, of=submission_id)
        if submission_id in tx.arriving:
            continue
        tx.woken.add(queue)
        events.append(
            tx,
            subject=f"submission {submission_id}",
            submission_id=submission_id,
            actor=actor,
            why="admit",
            detail=f"within the learner's cap of {cap}" if cap else "there is no learner's cap",
        )
    return admitted


def has_blocked_in_vain(tx: Transaction) -> bool:
    """Whether something is blocked that the cap would let in."""
    return tx.one(_BLOCKED_IN_VAIN, most=1) is not None


def blocked_in_vain_among(tx: Transaction, submission_ids: Collection[int]) -> set[int]:
    """Those of these that the cap would let in: the next sweep does."""
    rows = tx.all(_AMONG_IN_VAIN, ids=sorted(submission_ids)) if submission_ids else []
    return {row.id for row in rows}


def unblock_where_possible(tx: Transaction, most: int, *, actor: str) -> frozenset[str]:
    """Let in what a crash, a changed cap or another version has left blocked.

    Looks at no more than `most` learners; returns the queues in which something was let in.
    """
    found = [(r.queue, r.learner, r.course) for r in tx.all(_BLOCKED_IN_VAIN, most=most)]
    in_one_order = sorted(found)  # as `Transaction.end`, or they would wait for each other
    return frozenset(
        queue
        for queue, learner, course in in_one_order
        if admit(tx, queue=queue, learner=learner, course=course, actor=actor)
    )
