"""Holds that have lasted too long."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import BigInteger, bindparam, cast, func, select

from xqueue_server.instant import SECOND_US
from xqueue_server.storage.engine import ONCE_NOW, Transaction
from xqueue_server.storage.schema import IS_HELD, queues, submissions

_SHORTEST_HOLD_S = (
    select(cast(func.min(queues.c.give_up_after_s), BigInteger))
    .where(queues.c.give_up_after_s > 0)
    .scalar_subquery()
)
_HOLDS_TO_END = (
    select(submissions.c.id)
    .join(queues, queues.c.name == submissions.c.queue)
    .where(
        IS_HELD,
        queues.c.give_up_after_s > 0,
        submissions.c.held_at <= ONCE_NOW - _SHORTEST_HOLD_S * SECOND_US,  # bounds the index scan
        submissions.c.held_at <= ONCE_NOW - cast(queues.c.give_up_after_s, BigInteger) * SECOND_US,
    )
    .order_by(submissions.c.held_at)
    .limit(bindparam("most"))
)
_HOLDS_TO_END_LOCKED = _HOLDS_TO_END.with_for_update(skip_locked=True, of=submissions)


def has_hold_to_end(tx: Transaction) -> bool:
    """Whether a held submission has waited its queue's `give_up_after_s`."""
    return tx.one(_HOLDS_TO_END, most=1, now=tx.now) is not None


def lock_holds_to_end(tx: Transaction, most: int) -> Sequence[int]:
    """Ids of such submissions, locked until the transaction ends."""
    return [row.id for row in tx.all(_HOLDS_TO_END_LOCKED, most=most, now=tx.now)]
