"""Leases that are held at the moment, for people. Giving them out is `leases`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from xqueue_server.models.scope import Scope
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.schema import IS_LEASED, IS_OF_LEARNER, leases, submissions
from xqueue_server.storage.scoping import is_in_scope

_C = submissions.c
_HELD = (
    select(
        _C.id.label("submission_id"),
        _C.queue,
        _C.attempt,
        _C.leased_by,
        leases.c.leased_at,
        _C.lease_until,
    )
    .select_from(submissions.outerjoin(leases, leases.c.key_hash == _C.lease_key))
    .where(IS_LEASED, IS_OF_LEARNER)
    .order_by(_C.id.desc())
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLease:
    submission_id: int
    queue: str
    attempt: int
    leased_by: str
    leased_at: datetime | None
    lease_until: datetime


def latest(
    tx: Transaction,
    scope: Scope,
    *,
    queues: Collection[str] = (),
    limit: int = 50,
    before: int | None = None,
) -> Sequence[HeldLease]:
    """Newest submissions first; of all queues in the scope if none is named."""
    statement = _HELD.where(is_in_scope(scope)).limit(limit)
    if queues:
        statement = statement.where(_C.queue.in_(sorted(queues)))
    if before is not None:
        statement = statement.where(_C.id < before)
    return [HeldLease(**row._mapping) for row in tx.all(statement)]
