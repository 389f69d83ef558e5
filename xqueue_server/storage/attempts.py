"""The tries of a callback: keeping how each ended, and what the next one depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, bindparam, func, insert, select

from xqueue_server.instant import to_datetime
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.schema import callback_attempts, callbacks

KEPT_RESPONSE_CHARS = 2048
REMEMBERED_TRIES = 10

_C = callbacks.c
_RECORD = insert(callback_attempts).values(
    started_at=NOW - bindparam("duration_us", type_=BigInteger)
)
_AGE = select(NOW.label("now"), _C.retry_from).where(_C.id == bindparam("of"))
_A = callback_attempts.c
_TRIES = (
    select(_A.status, _A.started_at)
    .where(_A.callback_id == bindparam("of"), _A.started_at >= bindparam("since"))
    .order_by(_A.id.desc())
    .limit(REMEMBERED_TRIES)
)

_COUNT = (
    select(func.count())
    .select_from(callback_attempts)
    .join(callbacks, _C.id == _A.callback_id)
    .where(_A.callback_id == bindparam("of"), _A.started_at >= _C.retry_from)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one try ended, as it is kept."""

    status: int | None
    error: str | None
    response: str | None
    duration_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    status: int | None
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What the decision about the next try depends on."""

    now: datetime
    retry_from: datetime
    """When the callback was written, or last replayed."""
    tries: Sequence[Try]
    """The latest tries since then, newest first, this one included."""


def record(tx: Transaction, callback_id: int, ending: Ending) -> None:
    """Keep a try that has just ended, whatever has become of the callback meanwhile."""
    tx.run(
        _RECORD,
        now=tx.now,
        callback_id=callback_id,
        duration_us=ending.duration_us,
        duration_ms=ending.duration_us // 1000,
        status=ending.status,
        error=ending.error,
        response=None if ending.response is None else ending.response[:KEPT_RESPONSE_CHARS],
    )


def count(tx: Transaction, callback_id: int) -> int:
    """How many tries ended on record since the callback was written, or last replayed. Those of
    senders that died are missing."""
    return int(tx.scalar(_COUNT, of=callback_id))


def history_of(tx: Transaction, callback_id: int) -> History:
    row = tx.one(_AGE, now=tx.now, of=callback_id)
    assert row is not None, "callbacks are never deleted while pending"
    tries = tx.all(_TRIES, of=callback_id, since=row.retry_from)
    return History(
        now=to_datetime(row.now),
        retry_from=row.retry_from,
        tries=[Try(**each._mapping) for each in tries],
    )
