"""The history of load: one row for each queue and minute in which anything happened or waited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Float,
    Select,
    and_,
    bindparam,
    cast,
    delete,
    func,
    select,
    type_coerce,
)

from xqueue_server.instant import micros
from xqueue_server.storage.engine import ONCE_NOW, Transaction
from xqueue_server.storage.operations_schema import (
    load_minutes,
    timings,
    worker_hosts,
    workers,
)
from xqueue_server.storage.schema import (
    IS_BLOCKED,
    IS_DELAYED,
    IS_LEASED,
    IS_OF_LEARNER,
    IS_READY,
    Instant,
    submissions,
)
from xqueue_server.storage.upsert import Upsert

MINUTE_US = micros(60)
HOST_IS_GONE_AFTER_S = 45
ARRIVALS_AT_ONCE = 1000
REMOVED_AT_ONCE = 1000

_C = load_minutes.c
_S = submissions.c


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadMinute:
    """What a queue had to do in a minute (or in a longer step, see `steps`)."""

    queue: str
    minute: datetime
    """Its beginning."""
    arrived: int
    """Learners' submissions; trials are in none of these numbers."""
    graded: int
    service_us: int
    """From lease to result: the sum over what was graded."""
    service_sq_s2: float
    """The sum of their squares, in square seconds."""
    wait_us: int
    """From arrival to lease: the sum over what was graded."""
    longest_wait_us: int
    # At the end of the minute; None: nobody looked then, it can not be told afterwards.
    queued: int | None = None
    leased: int | None = None
    oldest_us: int | None = None
    """Age of the oldest that waits; 0: nothing does."""
    workers: int | None = None
    """Of hosts that have announced themselves within the last 45 s."""
    desired: int | None = None
    """How many there should be; 0: nobody says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """How a queue stands at the moment."""

    queued: int = 0
    leased: int = 0
    oldest_us: int = 0
    workers: int = 0


# -- reading -------------------------------------------------------------------------------------

_FIELDS = tuple(LoadMinute.__dataclass_fields__)
_FIRST = select(func.min(_C.minute)).where(_C.queue == bindparam("of"))
_SUMS = ("arrived", "graded", "service_us", "service_sq_s2", "wait_us")
_HIGHEST = ("longest_wait_us", "queued", "leased", "oldest_us", "workers", "desired")


def minutes(
    tx: Transaction, queue: str | None, since: datetime, until: datetime
) -> Sequence[LoadMinute]:
    """The minutes that began at `since` or later and before `until`, oldest first.

    Of one queue, or of all (then by queue within each minute). A minute in which nothing happened
    and nothing waited has no row.
    """
    statement = _minutes(queue is not None)
    given = {} if queue is None else {"of": queue}
    return [
        LoadMinute(**row._mapping) for row in tx.all(statement, begin=since, end=until, **given)
    ]


def first_minute(tx: Transaction, queue: str) -> datetime | None:
    """With which a queue's history begins; None: it has none."""
    found: datetime | None = tx.scalar(_FIRST, of=queue)
    return found


def steps(
    tx: Transaction, queue: str | None, since: datetime, until: datetime, *, step_s: int
) -> Sequence[LoadMinute]:
    """The same in steps of several minutes (300, 3600): counts and sums are added up, of waits and
    of what stood at the end of minutes the highest counts."""
    statement = _steps(queue is not None)
    given = {} if queue is None else {"of": queue}
    rows = tx.all(statement, begin=since, end=until, step_us=micros(step_s), **given)
    return [LoadMinute(**row._mapping) for row in rows]


@cache
def _minutes(is_of_one: bool) -> Select[Any]:
    found = select(*[_C[name] for name in _FIELDS]).where(_is_between(is_of_one))
    return found.order_by(_C.minute, _C.queue)


@cache
def _steps(is_of_one: bool) -> Select[Any]:
    moment = type_coerce(_C.minute, BigInteger)
    step = bindparam("step_us", type_=BigInteger)
    begins = moment - moment % step
    rows = (
        select(
            _C.queue,
            type_coerce(begins, Instant).label("minute"),
            *[_C[name] for name in (*_SUMS, *_HIGHEST)],
        )
        .where(_is_between(is_of_one))
        .subquery()
    )
    sums = [cast(func.sum(rows.c[name]), _C[name].type).label(name) for name in _SUMS]
    highest = [func.max(rows.c[name]).label(name) for name in _HIGHEST]
    return (
        select(rows.c.queue, rows.c.minute, *sums, *highest)
        .group_by(rows.c.minute, rows.c.queue)
        .order_by(rows.c.minute, rows.c.queue)
    )


def _is_between(is_of_one: bool) -> Any:
    when = and_(
        _C.minute >= bindparam("begin", type_=Instant), _C.minute < bindparam("end", type_=Instant)
    )
    return and_(_C.queue == bindparam("of"), when) if is_of_one else when


# -- what a minute is made of --------------------------------------------------------------------

_BEGIN = bindparam("begin", type_=BigInteger)
_END = bindparam("end", type_=BigInteger)
_ARRIVED_AT = type_coerce(_S.arrived_at, BigInteger)
_ARRIVALS = (
    select(_S.id, _S.queue, _ARRIVED_AT.label("at"), IS_OF_LEARNER.label("counts"))
    .where(_S.id > bindparam("after", type_=BigInteger))
    .order_by(_S.id)
    .limit(ARRIVALS_AT_ONCE)
)
_LAST_BEFORE = select(_S.id).where(_ARRIVED_AT < _BEGIN).order_by(_S.id.desc()).limit(1)
_T = timings.c
_RECEIVED_AT = type_coerce(_T.received_at, BigInteger)
_SERVICE_S = cast(_T.service_us, Float) / 1e6
_GRADINGS = select(
    func.count().label("graded"),
    cast(func.coalesce(func.sum(_T.service_us), 0), BigInteger).label("service_us"),
    func.coalesce(func.sum(_SERVICE_S * _SERVICE_S), 0.0).label("service_sq_s2"),
    cast(func.coalesce(func.sum(_T.wait_us), 0), BigInteger).label("wait_us"),
    func.coalesce(func.max(_T.wait_us), 0).label("longest_wait_us"),
).where(_T.queue == bindparam("q"), _RECEIVED_AT >= _BEGIN, _RECEIVED_AT < _END)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradings:
    graded: int
    service_us: int
    service_sq_s2: float
    wait_us: int
    longest_wait_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    by_queue: Mapping[str, int]
    """Learners' submissions."""
    before: int
    """The highest id of what came earlier: the next minute's count may begin after it."""


def arrivals(tx: Transaction, *, after: int, begin_us: int, end_us: int) -> Arrivals:
    """What arrived between two instants, of what has a higher id than `after`.

    Ids grow with time, give or take what happens at once; so they are followed until they are a
    minute past the end.
    """
    by_queue: Counter[str] = Counter()
    position = before = after
    while True:
        rows = tx.all(_ARRIVALS, after=position)
        for row in rows:
            if row.at < begin_us:
                before = row.id
            elif row.at < end_us and row.counts:
                by_queue[row.queue] += 1
        if len(rows) < ARRIVALS_AT_ONCE or rows[-1].at >= end_us + MINUTE_US:
            return Arrivals(by_queue=by_queue, before=before)
        position = rows[-1].id


def last_before(tx: Transaction, begin_us: int) -> int:
    """The highest id of what came before this instant, which should not be long ago."""
    return int(tx.scalar(_LAST_BEFORE, begin=begin_us) or 0)


def gradings(tx: Transaction, queue: str, *, begin_us: int, end_us: int) -> Gradings:
    row = tx.one(_GRADINGS, q=queue, begin=begin_us, end=end_us)
    assert row is not None, "an aggregate has a row"
    return Gradings(**row._mapping)


# -- how queues stand now ------------------------------------------------------------------------

# One predicate for each partial index: their OR would read the whole table.
_WAITING = [
    select(
        _S.queue,
        func.count().label("total"),
        func.min(type_coerce(_S.arrived_at, BigInteger)).label("oldest"),
    )
    .where(predicate, IS_OF_LEARNER)
    .group_by(_S.queue)
    for predicate in (IS_READY, IS_DELAYED, and_(IS_BLOCKED, _S.available_at.is_(None)))
]
_BEING_GRADED = (
    select(_S.queue, func.count().label("total")).where(IS_LEASED, IS_OF_LEARNER).group_by(_S.queue)
)
_PRESENT = (
    select(workers.c.queue, func.count().label("total"))
    .join(worker_hosts, worker_hosts.c.host == workers.c.host)
    .where(worker_hosts.c.beat_at > ONCE_NOW - micros(HOST_IS_GONE_AFTER_S))
    .group_by(workers.c.queue)
)


def gauges(tx: Transaction, *, at_us: int) -> dict[str, Gauges]:
    """How every queue stands in which anything waits, is graded, or has a worker: O(backlog)."""
    waiting: dict[str, int] = {}
    oldest: dict[str, int] = {}
    for statement in _WAITING:
        for row in tx.all(statement):
            waiting[row.queue] = waiting.get(row.queue, 0) + int(row.total)
            oldest[row.queue] = min(oldest.get(row.queue, row.oldest), row.oldest)
    leased = {row.queue: int(row.total) for row in tx.all(_BEING_GRADED)}
    present = {row.queue: int(row.total) for row in tx.all(_PRESENT, now=tx.now)}
    return {
        queue: Gauges(
            queued=waiting.get(queue, 0),
            leased=leased.get(queue, 0),
            oldest_us=max(at_us - oldest.get(queue, at_us), 0),
            workers=present.get(queue, 0),
        )
        for queue in {*waiting, *leased, *present}
    }


# -- writing and removing ------------------------------------------------------------------------

_STORE = Upsert(
    load_minutes,
    {name: bindparam(name, type_=_C[name].type) for name in _FIELDS},
    conflict=["queue", "minute"],
    change=None,
)
_NEXT_QUEUE = select(func.min(_C.queue)).where(_C.queue > bindparam("after"))
_OLD = (
    select(_C.minute)
    .where(
        _C.queue == bindparam("of"), _C.minute < ONCE_NOW - bindparam("age_us", type_=BigInteger)
    )
    .order_by(_C.minute)
    .limit(REMOVED_AT_ONCE)
)
_COUNT_OLD = select(func.count()).where(
    _C.minute < ONCE_NOW - bindparam("age_us", type_=BigInteger)
)
_REMOVE = delete(load_minutes).where(_C.queue == bindparam("of"), _C.minute.in_(_OLD))


def store(tx: Transaction, minute: LoadMinute) -> None:
    """Keep a minute; one that is there already stays as it is."""
    tx.run(_STORE.on(tx), **{name: getattr(minute, name) for name in _FIELDS})


def count_old(tx: Transaction, *, age_us: int) -> int:
    return int(tx.scalar(_COUNT_OLD, age_us=age_us, now=tx.now))


def next_queue(tx: Transaction, after: str) -> str | None:
    """The next name, in order, of a queue with a history: a hop in the index."""
    found: str | None = tx.scalar(_NEXT_QUEUE, after=after)
    return found


def remove_old(tx: Transaction, queue: str, *, age_us: int) -> int:
    """Remove a batch of minutes older than this; returns how many."""
    return tx.run(_REMOVE, of=queue, age_us=age_us, now=tx.now)
