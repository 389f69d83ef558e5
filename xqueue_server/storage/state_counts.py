"""What stands in the database now, counted for dashboards: a handful of short queries.

Each walks a partial index, so that it costs what the backlog is, whatever the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import BigInteger, and_, bindparam, case, func, literal_column, select

from xqueue_server.instant import SECOND_US, micros
from xqueue_server.models.callback import CallbackState
from xqueue_server.storage import beats, callbacks
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.operations_schema import load_minutes, worker_hosts, workers
from xqueue_server.storage.schema import (
    IS_BLOCKED,
    IS_DELAYED,
    IS_HELD,
    IS_LEASED,
    IS_OF_LEARNER,
    IS_READY,
    origins,
    queues,
    submissions,
)
from xqueue_server.storage.workers import GONE_AFTER_S

DESIRED_FOR_S = 180
"""How old the last word on a queue's need of workers may be."""

_S = submissions.c
_QUEUES = select(queues.c.name, queues.c.paused_at.is_not(None).label("is_paused"))
_READY = (
    select(_S.queue, func.count().label("number"), (NOW - func.min(_S.arrived_at)).label("age_us"))
    .where(IS_READY, IS_OF_LEARNER)
    .group_by(_S.queue)
)
_OTHERS = {
    state: select(_S.queue, func.count().label("number"))
    .where(predicate, IS_OF_LEARNER)
    .group_by(_S.queue)
    for state, predicate in (
        ("delayed", and_(IS_DELAYED, ~IS_BLOCKED)),
        ("capped", IS_BLOCKED),
        ("leased", IS_LEASED),
        ("held", IS_HELD),
    )
}
_ORIGINS = select(origins.c.origin, origins.c.open_since.is_not(None).label("is_open"))
_IS_HEARD = worker_hosts.c.beat_at > ONCE_NOW - bindparam("gone_us", type_=BigInteger)
_WORKERS = (
    select(workers.c.queue, workers.c.state, func.count().label("number"))
    .join(worker_hosts, worker_hosts.c.host == workers.c.host)
    .where(_IS_HEARD)
    .group_by(workers.c.queue, workers.c.state)
)
_CANARY = case(
    (worker_hosts.c.is_canary_ok.is_(None), literal_column("'unknown'")),
    (worker_hosts.c.is_canary_ok, literal_column("'ok'")),
    else_=literal_column("'failed'"),
)
_HOSTS = (
    select(_CANARY.label("canary"), func.count().label("number")).where(_IS_HEARD).group_by(_CANARY)
)
_L = load_minutes.c
_latest = (
    select(_L.queue, func.max(_L.minute).label("minute"))
    .where(
        _L.desired.is_not(None),
        _L.minute > ONCE_NOW - bindparam("fresh_us", type_=BigInteger),
        _L.minute <= ONCE_NOW,  # a clock that was ahead has left later ones
    )
    .group_by(_L.queue)
    .subquery()
)
_DESIRED = select(_L.queue, _L.desired).join(
    _latest, and_(_latest.c.queue == _L.queue, _latest.c.minute == _L.minute)
)
WORKER_STATES = ("starting", "idle", "grading", "waiting", "draining")
DEPTH_STATES = ("queued", *_OTHERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCounts:
    paused: Mapping[str, bool]
    """Queue -> whether it hands out nothing. All queues there are."""
    depth: Mapping[tuple[str, str], int]
    """(queue, one of DEPTH_STATES) -> learners' submissions; what is not there is 0."""
    oldest_s: Mapping[str, float]
    """Queue -> how long the one that waits longest has waited for a worker."""
    pending: Mapping[str, int]
    """LMS origin -> callbacks."""
    dead: Mapping[str, int]
    breaker_open: Mapping[str, bool]
    workers: Mapping[tuple[str, str], int]
    """(queue, state) -> workers of hosts that are heard of."""
    hosts: Mapping[str, int]
    """What the host's canary said (ok, failed, unknown) -> hosts of workers."""
    desired: Mapping[str, int]
    silent_s: Mapping[str, float]
    """Process (deliver, sweep) -> seconds since the last sign of life of any of them."""


def count(tx: Transaction) -> StateCounts:
    ready = tx.all(_READY, now=tx.now)
    depth = {(row.queue, "queued"): int(row.number) for row in ready}
    for state, statement in _OTHERS.items():
        depth |= {(row.queue, state): int(row.number) for row in tx.all(statement)}
    backlog = callbacks.backlog(tx)
    heard = {"now": tx.now, "gone_us": micros(GONE_AFTER_S)}
    fresh = {"now": tx.now, "fresh_us": micros(DESIRED_FOR_S)}
    return StateCounts(
        paused={row.name: bool(row.is_paused) for row in tx.all(_QUEUES)},
        depth=depth,
        oldest_s={row.queue: max(0.0, row.age_us / SECOND_US) for row in ready},
        pending={b.origin: b.count for b in backlog if b.state is CallbackState.PENDING},
        dead={b.origin: b.count for b in backlog if b.state is CallbackState.DEAD},
        breaker_open={row.origin: bool(row.is_open) for row in tx.all(_ORIGINS)},
        workers={(row.queue, row.state): int(row.number) for row in tx.all(_WORKERS, **heard)},
        hosts={row.canary: int(row.number) for row in tx.all(_HOSTS, **heard)},
        desired={row.queue: int(row.desired) for row in tx.all(_DESIRED, **fresh)},
        silent_s=beats.ages_s(tx),
    )
