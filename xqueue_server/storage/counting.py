"""How many submissions wait for a grader."""

from __future__ import annotations

from sqlalchemy import bindparam, func, literal, select

from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.schema import IS_OF_LEARNER, IS_READY, submissions

# In index order, see `leases`: else PostgreSQL may look for the rows in all the history.
_READY_IDS = (
    select(literal(1))
    .where(submissions.c.queue == bindparam("q"), IS_READY, IS_OF_LEARNER)
    .order_by(submissions.c.priority.desc(), submissions.c.id)
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
