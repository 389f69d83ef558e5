"""Notifications to be sent, claimed as callbacks are (see `outbox`): one sender at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, and_, bindparam, insert, select, update

from xqueue_server.instant import micros
from xqueue_server.models.fault import Fault, FaultKind
from xqueue_server.models.notification import Channel, DueNotification, Target
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.grader_schema import IS_TO_SEND, faults, notifications
from xqueue_server.storage.policies import Policy

CLAIM_S = 60
"""Longer than a send can take, and a database hiccup at its end."""

_C = notifications.c
_INSERT = insert(notifications).values(state="pending", attempt=0, created_at=NOW, next_at=NOW)
_NEXT = (
    select(_C.id)
    .where(IS_TO_SEND, _C.next_at <= ONCE_NOW)
    .order_by(_C.next_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_HAS_DUE = select(_C.id).where(IS_TO_SEND, _C.next_at <= ONCE_NOW).limit(1)
_CLAIM = (
    update(notifications)
    .where(_C.id == bindparam("of"))
    .values(
        claim_token=bindparam("token"),
        next_at=NOW + bindparam("claim_us", type_=BigInteger),
        attempt=_C.attempt + 1,
    )
    .returning(_C.id, _C.fault_id, _C.channel, _C.target, _C.attempt, _C.created_at)
)
_FAULT = select(*[faults.c[name] for name in Fault.__dataclass_fields__]).where(
    faults.c.id == bindparam("of")
)
_MINE = and_(_C.id == bindparam("of"), _C.claim_token == bindparam("token"), IS_TO_SEND)
_FINISH = (
    update(notifications)
    .where(_MINE)
    .values(
        state=bindparam("to_state"),
        next_at=None,
        claim_token=None,
        finished_at=NOW,
        last_error=bindparam("error"),
    )
)
_RETRY = (
    update(notifications)
    .where(_MINE)
    .values(
        next_at=NOW + bindparam("delay_us", type_=BigInteger),
        claim_token=None,
        last_error=bindparam("error"),
    )
)


def targets_of(policy: Policy) -> Sequence[Target]:
    found = []
    if policy.webhook_url:
        found.append(Target(channel=Channel.WEBHOOK, address=policy.webhook_url))
    if policy.email:
        found.append(Target(channel=Channel.EMAIL, address=policy.email))
    return found


def add(tx: Transaction, fault_id: int, target: Target) -> None:
    tx.run(_INSERT, fault_id=fault_id, channel=target.channel, target=target.address, now=tx.now)


def has_due(tx: Transaction) -> bool:
    """One index probe, no lock."""
    return tx.one(_HAS_DUE, now=tx.now) is not None


def claim_due(tx: Transaction, *, token: bytes) -> DueNotification | None:
    """Take one that is due; `token` is 16 random bytes, and finishing needs it."""
    notification_id = tx.scalar(_NEXT, now=tx.now)
    if notification_id is None:
        return None
    row = tx.one(_CLAIM, of=notification_id, token=token, claim_us=micros(CLAIM_S), now=tx.now)
    assert row is not None, "the row is locked"
    fault = tx.one(_FAULT, of=row.fault_id)
    assert fault is not None, "a fault goes after its notifications"
    return _due(row, fault, token)


def _due(row: Any, fault: Any, token: bytes) -> DueNotification:
    return DueNotification(
        id=row.id,
        target=Target(channel=Channel(row.channel), address=row.target),
        fault=Fault(**{**fault._mapping, "kind": FaultKind(fault.kind)}),
        attempt=row.attempt,
        created_at=row.created_at,
        claim_token=token,
    )


def finish_sent(tx: Transaction, due: DueNotification) -> bool:
    """False if another sender has taken over meanwhile."""
    return _finish(tx, due, "sent", None)


def finish_dead(tx: Transaction, due: DueNotification, error: str) -> bool:
    return _finish(tx, due, "dead", error)


def _finish(tx: Transaction, due: DueNotification, state: str, error: str | None) -> bool:
    return bool(
        tx.run(_FINISH, of=due.id, token=due.claim_token, to_state=state, error=error, now=tx.now)
    )


def retry_later(tx: Transaction, due: DueNotification, error: str, *, delay_s: float) -> bool:
    return bool(
        tx.run(
            _RETRY,
            of=due.id,
            token=due.claim_token,
            error=error,
            delay_us=micros(delay_s),
            now=tx.now,
        )
    )
