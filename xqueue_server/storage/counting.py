"""How many submissions wait for a grader."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import BigInteger, bindparam, func, literal, select, tuple_

from xqueue_server.models.submission import Submission
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.schema import IS_OF_LEARNER, IS_READY, queues, submissions

# In index order, see `leases`: else PostgreSQL may look for the rows in all the history.
_READY_IDS = (
    select(literal(1))
    .where(submissions.c.queue == bindparam("q"), IS_READY, IS_OF_LEARNER)
    .order_by(submissions.c.priority.desc(), submissions.c.turn, submissions.c.id)
)
_COUNT_UP_TO = select(func.count()).select_from(_READY_IDS.limit(bindparam("most")).subquery())
_COUNT = (
    select(func.count())
    .select_from(submissions)
    .where(submissions.c.queue == bindparam("q"), IS_READY, IS_OF_LEARNER)
)


def count_ready_up_to(tx: Transaction, queue: str, most: int) -> int:
    """Submissions that a grader could lease now, counted no further than `most`."""
    return int(tx.scalar(_COUNT_UP_TO, q=queue, most=most))


def count_ready(tx: Transaction, queue: str) -> int:
    """All of them: O(backlog)."""
    return int(tx.scalar(_COUNT, q=queue))


# -- of every queue ------------------------------------------------------------------------------

_UNPAUSED = select(queues.c.name).where(queues.c.paused_at.is_(None)).order_by(queues.c.name)
_ALL_READY_IDS = (
    select(literal(1))
    .where(submissions.c.queue == bindparam("q"), IS_READY)
    .order_by(submissions.c.priority.desc(), submissions.c.turn, submissions.c.id)
)
_COUNT_ALL_UP_TO = select(func.count()).select_from(
    _ALL_READY_IDS.limit(bindparam("most")).subquery()
)


def ready_by_queue(tx: Transaction, *, most: int) -> Mapping[str, int]:
    """What waits for a worker in each queue that is not paused, trials too, counted up to `most`.

    Queues in which nothing waits are left out.
    """
    names = [row.name for row in tx.all(_UNPAUSED)]
    found = {name: int(tx.scalar(_COUNT_ALL_UP_TO, q=name, most=most)) for name in names}
    return {name: count for name, count in found.items() if count}


# Of those before a submission each query walks nothing else: both are ranges of the index.
_HIGHER = (
    select(literal(1))
    .where(
        submissions.c.queue == bindparam("q"),
        submissions.c.priority > bindparam("than"),
        IS_READY,
    )
    .order_by(submissions.c.priority.desc(), submissions.c.turn, submissions.c.id)
)
_BEFORE = (
    select(literal(1))
    .where(
        submissions.c.queue == bindparam("q"),
        submissions.c.priority == bindparam("than"),
        tuple_(submissions.c.turn, submissions.c.id)
        < tuple_(
            bindparam("turn", type_=BigInteger()), bindparam("of", type_=submissions.c.id.type)
        ),
        IS_READY,
    )
    .order_by(submissions.c.priority.desc(), submissions.c.turn, submissions.c.id)
)
_COUNT_HIGHER, _COUNT_BEFORE = (
    select(func.count()).select_from(rows.limit(bindparam("most")).subquery())
    for rows in (_HIGHER, _BEFORE)
)


def count_before(tx: Transaction, submission: Submission, most: int) -> int:
    """Those of its queue that would be leased before it, counted no further than `most`."""
    place = {"q": submission.queue, "than": submission.priority}
    higher = int(tx.scalar(_COUNT_HIGHER, most=most, **place))
    if higher == most:
        return most
    at_turn = {"turn": submission.turn, "of": submission.id}
    return higher + int(tx.scalar(_COUNT_BEFORE, most=most - higher, **place, **at_turn))
