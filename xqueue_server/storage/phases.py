"""Reading one graded submission's timings: once when its result is in, once when the LMS has it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select

from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.operations_schema import timings
from xqueue_server.storage.schema import callbacks, contents, leases, results

_T = timings.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """In microseconds; None: not known (yet)."""

    submission_id: int
    attempt: int
    queue: str
    wait_us: int
    service_us: int
    prepare_us: int | None
    run_us: int | None
    deliver_us: int | None
    traceparent: str | None


_SELECT = (
    select(
        *(_T[name] for name in Phases.__dataclass_fields__ if name != "traceparent"),
        contents.c.traceparent,
    )
    .join(contents, contents.c.submission_id == _T.submission_id)
    .join(leases, (leases.c.submission_id == _T.submission_id) & (leases.c.attempt == _T.attempt))
)
_OF_KEY = _SELECT.where(leases.c.key_hash == bindparam("key_hash"))
_OF_CALLBACK = (
    _SELECT.join(results, results.c.key_hash == leases.c.key_hash)
    .join(callbacks, callbacks.c.result_id == results.c.id)
    .where(callbacks.c.id == bindparam("callback"))
)


def of_key(tx: Transaction, key_hash: bytes) -> Phases | None:
    """Of the result that came with this key, if it was accepted and is a learner's."""
    row = tx.one(_OF_KEY, key_hash=key_hash)
    return Phases(**row._mapping) if row else None


def of_callback(tx: Transaction, callback_id: int) -> Phases | None:
    """Of the result that this callback tells the LMS."""
    row = tx.one(_OF_CALLBACK, callback=callback_id)
    return Phases(**row._mapping) if row else None
