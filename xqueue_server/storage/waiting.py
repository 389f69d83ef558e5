"""What decides why submissions wait: who serves their queues, who holds them, what the LMS says."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, bindparam, cast, func, literal, select

from xqueue_server.instant import micros
from xqueue_server.models.callback import Callback, CallbackState
from xqueue_server.storage.callbacks import SELECT, callback_of
from xqueue_server.storage.engine import ONCE_NOW, Transaction
from xqueue_server.storage.operations_schema import timings, worker_hosts, workers
from xqueue_server.storage.schema import IS_LEASED, callbacks, leases, origins, submissions
from xqueue_server.storage.workers import GONE_AFTER_S

_W, _H = workers.c, worker_hosts.c

_WORKERS = (
    select(
        _W.queue,
        _H.host,
        _H.is_canary_ok,
        _H.canary,
        func.count().label("workers"),
    )
    .join(worker_hosts, _H.host == _W.host)
    .where(
        _W.queue.in_(bindparam("names", expanding=True)),
        _W.state != "draining",
        _H.beat_at > ONCE_NOW - micros(GONE_AFTER_S),
    )
    .group_by(_W.queue, _H.host, _H.is_canary_ok, _H.canary)
    .order_by(_W.queue, _H.host)
)
_HAS_LEASED = select(submissions.c.queue).where(
    IS_LEASED, submissions.c.queue.in_(bindparam("names", expanding=True))
)
_HAS_GRADED = (
    select(literal(1))
    .where(
        timings.c.queue == bindparam("of_queue"),
        timings.c.received_at > ONCE_NOW - bindparam("age_us", type_=BigInteger),
    )
    .limit(1)
)
_LEASED_AT = select(leases.c.key_hash, leases.c.leased_at).where(
    leases.c.key_hash.in_(bindparam("keys", expanding=True))
)
_CALLBACKS = SELECT.where(callbacks.c.submission_id.in_(bindparam("ids", expanding=True))).order_by(
    callbacks.c.id
)
_OPEN_SINCE = select(origins.c.origin, origins.c.open_since).where(
    origins.c.open_since.is_not(None)
)
_OVERDUE = select(submissions.c.id).where(
    submissions.c.id.in_(bindparam("ids", expanding=True)),
    cast(submissions.c.available_at, BigInteger) <= ONCE_NOW,
)

_LEASE_OVER = select(submissions.c.id).where(
    submissions.c.id.in_(bindparam("ids", expanding=True)),
    IS_LEASED,
    cast(submissions.c.lease_until, BigInteger) <= ONCE_NOW,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingHost:
    """A live host with workers for a queue that are not about to end."""

    queue: str
    host: str
    is_canary_ok: bool | None
    canary: str | None
    workers: int


def serving(tx: Transaction, queues: Collection[str]) -> dict[str, list[ServingHost]]:
    """Queue -> the hosts that announce workers for it."""
    found: dict[str, list[ServingHost]] = {}
    for row in tx.all(_WORKERS, names=sorted(queues), now=tx.now) if queues else []:
        found.setdefault(row.queue, []).append(ServingHost(**row._mapping))
    return found


def lately_served(tx: Transaction, queues: Collection[str], *, within_s: float) -> set[str]:
    """Queues of which something is leased, or was graded not longer ago: by whomever, since not
    every grader announces itself."""
    if not queues:
        return set()
    found = {row.queue for row in tx.all(_HAS_LEASED, names=sorted(queues))}
    age_us = micros(within_s)
    return found | {
        queue
        for queue in set(queues) - found
        if tx.one(_HAS_GRADED, of_queue=queue, age_us=age_us, now=tx.now)
    }


def leased_at(tx: Transaction, key_hashes: Collection[bytes]) -> dict[bytes, datetime]:
    rows = tx.all(_LEASED_AT, keys=sorted(key_hashes)) if key_hashes else []
    return {bytes(row.key_hash): row.leased_at for row in rows}


def last_callbacks(tx: Transaction, submission_ids: Collection[int]) -> dict[int, Callback]:
    """Submission id -> its newest callback; a cancelled one only where there is no other."""
    found: dict[int, Callback] = {}
    for row in tx.all(_CALLBACKS, ids=sorted(submission_ids)) if submission_ids else []:
        callback, known = callback_of(row), found.get(row.submission_id)
        if known is None or callback.state is not CallbackState.CANCELLED:
            found[row.submission_id] = callback
    return found


def open_breakers(tx: Transaction) -> dict[str, datetime]:
    """Origin that does not answer -> since when."""
    return {row.origin: row.open_since for row in tx.all(_OPEN_SINCE)}


def overdue(tx: Transaction, submission_ids: Collection[int]) -> set[int]:
    """Those whose back-off is over: the next claim or sweep puts them into the line."""
    rows = tx.all(_OVERDUE, ids=sorted(submission_ids), now=tx.now) if submission_ids else []
    return {row.id for row in rows}


def leases_over(tx: Transaction, submission_ids: Collection[int]) -> set[int]:
    """Those whose lease has run out: the next sweep ends it."""
    rows = tx.all(_LEASE_OVER, ids=sorted(submission_ids), now=tx.now) if submission_ids else []
    return {row.id for row in rows}
