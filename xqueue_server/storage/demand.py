"""What every queue has to do at this moment, told apart by whether anybody waits in front of it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, func, literal_column, or_, select

from xqueue_server.models.submission import BULK_PRIORITY
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.schema import IS_LEASED, IS_READY, IS_TRIAL, submissions

_S = submissions.c
_IS_HURRIED = or_(_S.priority > literal_column(str(BULK_PRIORITY)), IS_TRIAL)
_READY = (
    select(
        _S.queue,
        func.count().label("ready"),
        func.sum(case((_IS_HURRIED, 1), else_=0)).label("hurried"),
    )
    .where(IS_READY)
    .group_by(_S.queue)
)
_RUNNING = select(_S.queue, func.count().label("running")).where(IS_LEASED).group_by(_S.queue)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    waiting: int = 0
    """What a worker could take now: not what waits out a back-off or for a learner's cap."""
    unhurried: int = 0
    """Besides, regrades and bulk."""
    running: int = 0


def by_queue(tx: Transaction) -> dict[str, Demand]:
    """Of queues in which anything waits or runs; trials count as waiting. O(backlog)."""
    ready = {row.queue: row for row in tx.all(_READY)}
    running = {row.queue: int(row.running) for row in tx.all(_RUNNING)}
    return {
        queue: Demand(
            waiting=int(ready[queue].hurried) if queue in ready else 0,
            unhurried=int(ready[queue].ready - ready[queue].hurried) if queue in ready else 0,
            running=running.get(queue, 0),
        )
        for queue in {*ready, *running}
    }
