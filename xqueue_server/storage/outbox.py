"""The outbox as the deliverer works on it: what is due, claiming it, and how a try ended.

A claim moves `next_at` a minute ahead and sets a token. A sender that dies leaves nothing to
clean up: the row is due again when that minute is over, and the token keeps a sender that was
only slow from finishing what another one has taken over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Row,
    Select,
    Update,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)

from xqueue_server.instant import micros
from xqueue_server.models.callback import CallbackKind, CallbackState, DueCallback
from xqueue_server.storage import timings
from xqueue_server.storage.attempts import Ending
from xqueue_server.storage.callbacks import state_changed
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.schema import IS_PENDING, callbacks, contents

CLAIM_S = 60
"""Longer than a send can take (15 s) and a database hiccup at its end."""
ACTOR = "deliver"

_PENDING, _DELIVERED, _DEAD = CallbackState.PENDING, CallbackState.DELIVERED, CallbackState.DEAD

_C = callbacks.c
_older = callbacks.alias("older")
# Not NOT EXISTS: PostgreSQL turns that into a join over the whole backlog when its statistics are
# older than the backlog (measured: 440 ms instead of 1 ms). A scalar subquery stays a probe of the
# index for each row that the LIMIT asks for.
_IS_OLDEST_OF_KEY = (
    _C.id
    == select(func.min(_older.c.id))
    .where(_older.c.order_key == _C.order_key, _older.c.state == literal_column("'pending'"))
    .correlate(callbacks)
    .scalar_subquery()
)
IS_UNCLAIMED = or_(_C.claim_token.is_(None), _C.next_at <= ONCE_NOW)
_IS_DUE = and_(IS_PENDING, _C.next_at <= ONCE_NOW)


# -- what is due ---------------------------------------------------------------------------------


def _due_origins() -> Select[Any]:
    """Origins with due callbacks: hops from origin to origin in the index, however long the
    backlog of each is."""
    first = (
        select(func.min(_C.origin).label("origin")).where(IS_PENDING).cte("found", recursive=True)
    )
    following = (
        select(func.min(_C.origin))
        .where(IS_PENDING, _C.origin > first.c.origin)
        .correlate(first)
        .scalar_subquery()
    )
    found = first.union_all(select(following).where(first.c.origin.is_not(None)))
    has_due = exists(select(literal_column("1")).where(_IS_DUE, _C.origin == found.c.origin))
    return select(found.c.origin).where(found.c.origin.is_not(None), has_due)


_DUE_ORIGINS = _due_origins()
_HAS_DUE: Select[Any] = select(_C.id).where(_IS_DUE).order_by(_C.next_at).limit(1)


def has_due(tx: Transaction) -> bool:
    """Whether any callback's time has come: one index probe, no lock."""
    return tx.one(_HAS_DUE, now=tx.now) is not None


def due_origins(tx: Transaction) -> Sequence[str]:
    """The origins that have callbacks whose time has come; no lock."""
    return [row.origin for row in tx.all(_DUE_ORIGINS, now=tx.now)]


# -- claiming ------------------------------------------------------------------------------------

_OF_ORIGIN = (
    select(_C.id)
    .where(IS_PENDING, _C.origin == bindparam("from_origin"), _IS_OLDEST_OF_KEY)
    .limit(bindparam("most"))
)
_NEXT_DUE = _OF_ORIGIN.where(_C.next_at <= ONCE_NOW).order_by(_C.next_at, _C.id)
# A probe takes a callback that was tried least, so that one which the LMS can not digest does
# not keep the breaker open for all others.
_NEXT_PROBE = _OF_ORIGIN.where(IS_UNCLAIMED).order_by(_C.attempt, _C.id)
_CLAIM_VALUES = {
    "claim_token": bindparam("token"),
    "next_at": NOW + bindparam("claim_us", type_=BigInteger),
    "attempt": _C.attempt + 1,
}


_TRACEPARENT = (
    select(contents.c.traceparent)
    .where(contents.c.submission_id == _C.submission_id)
    .correlate(callbacks)
    .scalar_subquery()
    .label("traceparent")
)


class _Claim:
    """One UPDATE in two forms (see `leases`): here alone the two databases differ."""

    def __init__(self, picked: Select[Any]) -> None:
        names = DueCallback.__dataclass_fields__
        fields = [_TRACEPARENT if name == "traceparent" else _C[name] for name in names]
        claiming = update(callbacks).values(_CLAIM_VALUES).returning(*fields)
        self._sqlite = claiming.where(_C.id.in_(picked))
        fenced = picked.with_for_update(skip_locked=True, of=callbacks).cte("picked")
        self._postgres = claiming.where(_C.id == fenced.c.id)

    def take(self, tx: Transaction, origin: str, most: int, token: bytes) -> Sequence[DueCallback]:
        rows = tx.all(
            self._postgres if tx.is_postgres else self._sqlite,
            now=tx.now,
            from_origin=origin,
            most=most,
            token=token,
            claim_us=micros(CLAIM_S),
        )
        return sorted((_due_of(row) for row in rows), key=lambda due: due.id)


def _due_of(row: Row[Any]) -> DueCallback:
    return DueCallback(**{**row._mapping, "kind": CallbackKind(row.kind)})


_DUE = _Claim(_NEXT_DUE)
_PROBE = _Claim(_NEXT_PROBE)


def claim_due(tx: Transaction, origin: str, *, limit: int, token: bytes) -> Sequence[DueCallback]:
    """Take an origin's due callbacks to send them, never two that share an order key.

    `token` is 16 random bytes; finishing needs it.
    """
    return _DUE.take(tx, origin, limit, token)


def claim_probe(tx: Transaction, origin: str, *, token: bytes) -> DueCallback | None:
    """Take one callback of an origin, due or not, to see whether the origin answers again."""
    return next(iter(_PROBE.take(tx, origin, 1, token)), None)


# -- finishing -----------------------------------------------------------------------------------

_MINE = and_(_C.id == bindparam("of"), _C.claim_token == bindparam("token"), IS_PENDING)
_FINISH = (
    update(callbacks)
    .where(_MINE)
    .values(
        state=bindparam("to_state"),
        next_at=None,
        claim_token=None,
        finished_at=NOW,
        last_status=bindparam("status"),
        last_error=bindparam("error"),
    )
)
_RETRY = (
    update(callbacks)
    .where(_MINE)
    .values(
        next_at=NOW + bindparam("delay_us", type_=BigInteger),
        claim_token=None,
        last_status=bindparam("status"),
        last_error=bindparam("error"),
    )
)
_BURY_EXPIRED = (
    update(callbacks)
    .where(
        _C.id.in_(
            select(_C.id)
            .where(
                IS_PENDING,
                _C.origin == bindparam("from_origin"),
                _C.retry_from <= ONCE_NOW - bindparam("age_us", type_=BigInteger),
                IS_UNCLAIMED,
            )
            .order_by(_C.id)
            .limit(100)
            .with_for_update(skip_locked=True)
        ),
        IS_PENDING,
    )
    .values(state=_DEAD.value, next_at=None, claim_token=None, finished_at=NOW)
    .returning(_C.id, _C.submission_id)
)


_HURRY = (
    update(callbacks)
    .where(
        IS_PENDING,
        _C.origin == bindparam("to_origin"),
        _C.kind == CallbackKind.PROVIDER.value,
        _C.claim_token.is_(None),
        _C.next_at > ONCE_NOW,
    )
    .values(next_at=NOW)
)


def finish_delivered(tx: Transaction, due: DueCallback, ending: Ending) -> bool:
    """False if the callback was cancelled, or taken over, while it was being sent."""
    is_mine = _finish(tx, due, ending, _DELIVERED, why="delivered")
    if is_mine and due.submission_id is not None:
        timings.delivered(tx, due.id, due.submission_id)
    return is_mine


def finish_dead(tx: Transaction, due: DueCallback, ending: Ending, *, why: str) -> bool:
    """Like `finish_delivered`; `why` names the rule in a word or two."""
    return _finish(tx, due, ending, _DEAD, why=why)


def _finish(
    tx: Transaction, due: DueCallback, ending: Ending, to_state: CallbackState, *, why: str
) -> bool:
    is_mine = _settle(tx, _FINISH, due, ending, to_state=to_state.value)
    if is_mine:
        state_changed(
            tx,
            due.id,
            due.submission_id,
            _PENDING,
            to_state,
            actor=ACTOR,
            why=why,
            detail=f"attempt {due.attempt}: {ending.error or ending.status}",
        )
    return is_mine


def retry_later(tx: Transaction, due: DueCallback, ending: Ending, *, delay_us: int) -> bool:
    """Like `finish_delivered`, but the callback stays pending until the delay is over."""
    return _settle(tx, _RETRY, due, ending, delay_us=delay_us)


def _settle(
    tx: Transaction, statement: Update, due: DueCallback, ending: Ending, **more: Any
) -> bool:
    return bool(
        tx.run(
            statement,
            now=tx.now,
            of=due.id,
            token=due.claim_token,
            status=ending.status,
            error=ending.error,
            **more,
        )
    )


def hurry_providers(tx: Transaction, origin: str) -> int:
    """Let what a provider is to be told be due at once: what it waited for has come."""
    return tx.run(_HURRY, now=tx.now, to_origin=origin)


def bury_expired(tx: Transaction, origin: str, *, age_us: int) -> int:
    """Give up what an unreachable origin has kept waiting for too long, a batch at a time.

    Behind an open breaker a callback is rarely tried itself, so no failed try of its own ends it.
    """
    rows = tx.all(_BURY_EXPIRED, now=tx.now, from_origin=origin, age_us=age_us)
    for row in rows:
        state_changed(tx, row.id, row.submission_id, _PENDING, _DEAD, actor=ACTOR, why="expired")
    return len(rows)
