"""Turns: in which order the submissions of one queue and priority are handed out.

Start-time fair queueing without a counter that everybody writes. A turn is a point in a virtual
time in which each course with work advances equally, by its weight; the smallest is next, and the
older of equals. A new submission stands one step of its course after the last of its course that
waits. The first of a course begins half a step after the head of the line: whoever was away has
saved up nothing, and a line that was long an hour ago costs nobody anything.

What comes back (a lease that expired, a back-off or hold that ended) goes to the head: had it kept
its old turn, the next new course would begin in the past, before everybody who waits.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    ScalarSelect,
    SmallInteger,
    String,
    bindparam,
    delete,
    func,
    select,
    update,
)

from xqueue_server.models.submission import Submission
from xqueue_server.storage import events
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.operations_schema import course_weights
from xqueue_server.storage.schema import is_ready, submissions
from xqueue_server.storage.upsert import Upsert

STEP = 1_000_000
"""Virtual time that a course of weight 1 spends on one submission."""
MOST_WEIGHT = 1000

_line = submissions.alias("line")  # of its own, so that it can stand inside a change of a row


def head_turn(queue: Any, priority: Any) -> ScalarSelect[int]:
    """The turn of what is next; null if nothing waits. One index probe."""
    return (
        select(_line.c.turn)
        .where(_line.c.queue == queue, _line.c.priority == priority, is_ready(_line.c))
        .order_by(_line.c.priority.desc(), _line.c.turn, _line.c.id)
        .limit(1)
        .scalar_subquery()
    )


def at_the_head() -> ColumnElement[int]:
    """For an update of rows that come back to the line."""
    here = head_turn(submissions.c.queue, submissions.c.priority).correlate(submissions)
    return func.coalesce(here, submissions.c.turn)


def next_turn(queue: Any, priority: Any, course: Any) -> ColumnElement[int]:
    """The turn of what arrives now: three index probes."""
    last = (
        select(_line.c.turn)
        .where(
            _line.c.queue == queue,
            _line.c.priority == priority,
            _line.c.course == course,
            is_ready(_line.c),
        )
        .order_by(_line.c.turn.desc())
        .limit(1)
        .scalar_subquery()
    )
    own = (
        select(course_weights.c.weight)
        .where(course_weights.c.queue == queue, course_weights.c.course == course)
        .scalar_subquery()
    )
    weight = func.coalesce(own, 1, type_=Integer())
    return func.coalesce(
        last + STEP // weight,
        func.coalesce(head_turn(queue, priority), 0) + STEP // (2 * weight),
        type_=BigInteger(),
    )


_TURN_FOR = select(
    next_turn(
        bindparam("of_queue", type_=String()),
        bindparam("of_priority", type_=SmallInteger()),
        bindparam("of_course", type_=String()),
    )
)


def turn_for(tx: Transaction, queue: str, priority: int, course: str) -> int:
    """The turn of a submission that comes to the end of its course's line now."""
    return int(tx.scalar(_TURN_FOR, of_queue=queue, of_priority=priority, of_course=course))


_MOVE = (
    update(submissions)
    .where(submissions.c.id == bindparam("of"))
    .values(priority=bindparam("priority"), turn=bindparam("turn"))
)


def move(tx: Transaction, submission: Submission, priority: int, *, actor: str) -> None:
    """Another priority for a locked row that is not leased, at the end of its course's line."""
    turn = turn_for(tx, submission.queue, priority, submission.course)
    tx.run(_MOVE, of=submission.id, priority=priority, turn=turn)
    events.append(
        tx,
        subject=f"submission {submission.id}",
        submission_id=submission.id,
        actor=actor,
        why="prioritise",
        detail=f"{submission.priority} -> {priority}",
    )


# -- weights -------------------------------------------------------------------------------------

_WEIGHTS = (
    select(course_weights.c.course, course_weights.c.weight)
    .where(course_weights.c.queue == bindparam("of_queue"))
    .order_by(course_weights.c.course)
)
_SET_WEIGHT = Upsert(
    course_weights,
    {name: bindparam(name) for name in ("queue", "course", "weight")},
    conflict=("queue", "course"),
    change={"weight": bindparam("weight")},
)
_REMOVE_WEIGHT = delete(course_weights).where(
    course_weights.c.queue == bindparam("of_queue"),
    course_weights.c.course == bindparam("of_course"),
)


def weights_of(tx: Transaction, queue: str) -> dict[str, int]:
    """Course -> weight, of the courses that have one of their own; all others weigh 1."""
    return {row.course: row.weight for row in tx.all(_WEIGHTS, of_queue=queue)}


def set_weight(tx: Transaction, queue: str, course: str, weight: int, *, actor: str) -> None:
    """It counts for what arrives from now on."""
    tx.run(_SET_WEIGHT.on(tx), queue=queue, course=course, weight=weight)
    events.append(
        tx, subject=f"queue {queue}", actor=actor, why="weight", detail=f"{course}: {weight}"
    )


def remove_weight(tx: Transaction, queue: str, course: str, *, actor: str) -> bool:
    """Back to 1; False if it had none of its own."""
    if not tx.run(_REMOVE_WEIGHT, of_queue=queue, of_course=course):
        return False
    events.append(tx, subject=f"queue {queue}", actor=actor, why="weight", detail=f"{course}: 1")
    return True
