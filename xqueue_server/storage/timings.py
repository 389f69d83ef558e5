"""How long each graded submission of a learner took: waiting, being graded, being delivered.

Not of trials and regrades, for which no learner waits in front of a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, bindparam, cast, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import Executable

from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.operations_schema import timings
from xqueue_server.storage.schema import callbacks, leases, results, submissions

_C = timings.c


def _record(*, is_postgres: bool) -> Executable:
    """From the lease of the key that the result came with; ONCE_NOW, so that both differences
    are of one instant."""
    now = ONCE_NOW
    values = {
        "submission_id": leases.c.submission_id,
        "attempt": leases.c.attempt,
        "queue": submissions.c.queue,
        "leased_at": leases.c.leased_at,
        "received_at": now,
        "wait_us": cast(leases.c.leased_at, BigInteger)
        - cast(submissions.c.arrived_at, BigInteger),
        "service_us": now - cast(leases.c.leased_at, BigInteger),
        "prepare_us": cast(bindparam("prepare", type_=BigInteger), BigInteger),
        "run_us": cast(bindparam("run", type_=BigInteger), BigInteger),
        "deliver_us": literal_column("NULL", BigInteger),
    }
    found = (
        select(*values.values())
        .join(submissions, submissions.c.id == leases.c.submission_id)
        .where(leases.c.key_hash == bindparam("key_hash"))
    )
    insert = postgresql.insert if is_postgres else sqlite.insert
    statement = insert(timings).from_select(list(values), found)
    # The numbers of a grade are never worth losing it.
    return statement.on_conflict_do_nothing(index_elements=[_C.submission_id, _C.attempt])


_RECORD = {kind: _record(is_postgres=kind) for kind in (True, False)}
_DELIVERED = (
    update(timings)
    .where(
        _C.submission_id == bindparam("of"),
        _C.deliver_us.is_(None),
        _C.attempt
        == select(leases.c.attempt)
        .join(results, results.c.key_hash == leases.c.key_hash)
        .join(callbacks, callbacks.c.result_id == results.c.id)
        .where(callbacks.c.id == bindparam("callback"))
        .scalar_subquery(),
    )
    .values(deliver_us=NOW - cast(_C.received_at, BigInteger))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where the time of one graded attempt went, in microseconds; None: not known (yet)."""

    attempt: int
    leased_at: datetime
    received_at: datetime
    wait_us: int
    """From arrival to this lease."""
    service_us: int
    """From the lease to the result."""
    prepare_us: int | None
    run_us: int | None
    deliver_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTimes:
    """Where a worker says that its time went; None: it does not say."""

    prepare_us: int | None = None
    """Fetching files and graders, waiting for the sandbox."""
    run_us: int | None = None


def record(tx: Transaction, key_hash: bytes, times: WorkerTimes) -> None:
    """Keep how long an accepted result has taken, in the transaction that accepts it."""
    tx.run(
        _RECORD[tx.is_postgres],
        key_hash=key_hash,
        prepare=times.prepare_us,
        run=times.run_us,
        now=tx.now,
    )


def delivered(tx: Transaction, callback_id: int, submission_id: int) -> None:
    """Keep how long it took until the LMS has had the result; the first delivery counts."""
    tx.run(_DELIVERED, of=submission_id, callback=callback_id, now=tx.now)


_OF_SUBMISSION = (
    select(*[_C[name] for name in Timing.__dataclass_fields__])
    .where(_C.submission_id == bindparam("of"))
    .order_by(_C.received_at)
)


def of_submission(tx: Transaction, submission_id: int) -> Sequence[Timing]:
    """Of each attempt that brought an accepted result, oldest first."""
    return [Timing(**row._mapping) for row in tx.all(_OF_SUBMISSION, of=submission_id)]
