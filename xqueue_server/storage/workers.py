"""Hosts with their workers, as they announce themselves, and what operators want of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, BindParameter, Row, bindparam, delete, func, insert, select

from xqueue_server.instant import SECOND_US, micros, to_datetime
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.operations_schema import worker_hosts, worker_wishes, workers
from xqueue_server.storage.upsert import Upsert

FORGOTTEN_AFTER_S = 24 * 3600
GONE_AFTER_S = 45
"""Four beats and a half."""

_H, _W, _V = worker_hosts.c, workers.c, worker_wishes.c


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """One worker, as its host says."""

    name: str
    pid: int
    queue: str
    state: str
    submission_id: int | None
    since_s: float
    """How long it has been in this state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAnnouncement:
    host: str
    pid: int
    version: str
    backend: str
    is_canary_ok: bool | None
    """None: not known yet."""
    canary: str | None
    cpus: int
    autoscale_min: int | None
    """None, and the other too: a fixed number of workers."""
    autoscale_max: int | None
    started_at: datetime
    workers: tuple[WorkerReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHost:
    host: str
    account_id: int
    pid: int
    version: str
    backend: str
    is_canary_ok: bool | None
    canary: str | None
    cpus: int
    autoscale_min: int | None
    autoscale_max: int | None
    started_at: datetime
    beat_at: datetime
    is_alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedWorker:
    host: str
    name: str
    pid: int
    queue: str
    state: str
    submission_id: int | None
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    host: str
    queue: str
    count: int
    """0: drain."""
    wished_by: str
    wished_at: datetime


# -- announcing ----------------------------------------------------------------------------------

_SAID = (
    "pid",
    "version",
    "backend",
    "is_canary_ok",
    "canary",
    "cpus",
    "autoscale_min",
    "autoscale_max",
    "started_at",
)
_GIVEN: dict[str, Any] = {name: bindparam(name) for name in _SAID}
_STORE = Upsert(
    worker_hosts,
    {"host": bindparam("host"), "account_id": bindparam("account_id"), "beat_at": NOW} | _GIVEN,
    conflict=["host"],
    change=_GIVEN | {"beat_at": NOW},  # never whose it is
    returning=[_H.account_id, _H.beat_at],
)
_IS_FORGOTTEN = _H.beat_at <= ONCE_NOW - micros(FORGOTTEN_AFTER_S)
_OF_HOST: BindParameter[str] = bindparam("of_host")
_REMOVE = delete(worker_hosts).where(_H.host == _OF_HOST)
_REMOVE_FORGOTTEN = _REMOVE.where(_IS_FORGOTTEN)
_REMOVE_WORKERS = delete(workers).where(_W.host == _OF_HOST)
_REMOVE_WISHES = delete(worker_wishes).where(_V.host == _OF_HOST)
_INSERT_WORKER = insert(workers)


def store(tx: Transaction, account_id: int, said: HostAnnouncement) -> bool:
    """Keep what a host says of itself; False, and the caller must roll back, if another account
    has announced this host within the last day."""
    if tx.run(_REMOVE_FORGOTTEN, of_host=said.host, now=tx.now):
        tx.run(_REMOVE_WISHES, of_host=said.host)
    # First the host's row: it keeps two announcements of one host from mixing their workers.
    row = tx.one(
        _STORE.on(tx),
        now=tx.now,
        host=said.host,
        account_id=account_id,
        **{name: getattr(said, name) for name in _SAID},
    )
    assert row is not None
    if row.account_id != account_id:
        return False
    tx.run(_REMOVE_WORKERS, of_host=said.host)
    tx.run_many(_INSERT_WORKER, [_worker_row(said.host, w, row.beat_at) for w in said.workers])
    return True


def _worker_row(host: str, worker: WorkerReport, beat_at: datetime) -> dict[str, Any]:
    since_us = round(beat_at.timestamp() * SECOND_US) - micros(worker.since_s)
    return {
        "host": host,
        "name": worker.name,
        "pid": worker.pid,
        "queue": worker.queue,
        "state": worker.state,
        "submission_id": worker.submission_id,
        "since": to_datetime(since_us),
    }


def remove(tx: Transaction, host: str) -> None:
    """With its workers and wishes."""
    for removal in (_REMOVE, _REMOVE_WORKERS, _REMOVE_WISHES):
        tx.run(removal, of_host=host)


# -- looking -------------------------------------------------------------------------------------

_HOSTS = select(
    *[_H[name] for name in WorkerHost.__dataclass_fields__ if name != "is_alive"],
    (_H.beat_at > ONCE_NOW - micros(GONE_AFTER_S)).label("is_alive"),
).order_by(_H.host)
_HOST = _HOSTS.where(_H.host == _OF_HOST)
_OTHER_HOSTS = select(func.count()).where(
    _H.account_id == bindparam("of_account"), _H.host != _OF_HOST
)
_WORKERS = select(*[_W[name] for name in AnnouncedWorker.__dataclass_fields__]).order_by(
    _W.host, _W.queue, _W.name
)
_WORKERS_OF = _WORKERS.where(_W.host == _OF_HOST)
_WISHES = select(*[_V[name] for name in Wish.__dataclass_fields__]).order_by(_V.host, _V.queue)
_WISHES_OF = _WISHES.where(_V.host == _OF_HOST)
_IS_ALIVE = _H.beat_at > ONCE_NOW - micros(GONE_AFTER_S)
_COUNTS = (
    select(_W.queue, func.count().label("running"))
    .join(worker_hosts, _H.host == _W.host)
    .where(_IS_ALIVE, _W.state.not_in(("draining", "waiting")), _W.host != bindparam("but"))
    .group_by(_W.queue)
)


def hosts(tx: Transaction) -> Sequence[WorkerHost]:
    """Every host that is not forgotten yet, by name."""
    return [_host(row) for row in tx.all(_HOSTS, now=tx.now)]


def find_host(tx: Transaction, host: str) -> WorkerHost | None:
    if not host.isprintable():
        return None
    row = tx.one(_HOST, of_host=host, now=tx.now)
    return _host(row) if row else None


def count_other_hosts(tx: Transaction, account_id: int, host: str) -> int:
    """Of this account, the host itself apart."""
    return int(tx.scalar(_OTHER_HOSTS, of_account=account_id, of_host=host))


def all_workers(tx: Transaction) -> Sequence[AnnouncedWorker]:
    """Of every host, gone ones too."""
    return [AnnouncedWorker(**row._mapping) for row in tx.all(_WORKERS)]


def workers_of(tx: Transaction, host: str) -> Sequence[AnnouncedWorker]:
    return [AnnouncedWorker(**row._mapping) for row in tx.all(_WORKERS_OF, of_host=host)]


def all_wishes(tx: Transaction) -> Sequence[Wish]:
    return [Wish(**row._mapping) for row in tx.all(_WISHES)]


def wishes_for(tx: Transaction, host: str) -> Sequence[Wish]:
    return [Wish(**row._mapping) for row in tx.all(_WISHES_OF, of_host=host)]


def count_by_queue(tx: Transaction, *, but_host: str = "") -> dict[str, int]:
    """Workers of live hosts that can grade, by queue: not about to end, nor without a sandbox."""
    return {row.queue: int(row.running) for row in tx.all(_COUNTS, but=but_host, now=tx.now)}


def _host(row: Row[Any]) -> WorkerHost:
    return WorkerHost(**{**row._mapping, "is_alive": bool(row.is_alive)})


# -- wishes --------------------------------------------------------------------------------------

_WISH = Upsert(
    worker_wishes,
    {
        "host": bindparam("host"),
        "queue": bindparam("queue"),
        "count": bindparam("wanted"),
        "wished_by": bindparam("wished_by"),
        "wished_at": NOW,
    },
    conflict=["host", "queue"],
    change={
        "count": bindparam("wanted"),
        "wished_by": bindparam("wished_by"),
        "wished_at": NOW,
    },
)
_WITHDRAW = _REMOVE_WISHES.where(_V.queue == bindparam("of_queue"))


def wish(tx: Transaction, host: str, queue: str, count: int, *, by: str) -> None:
    tx.run(_WISH.on(tx), now=tx.now, host=host, queue=queue, wanted=count, wished_by=by)


def withdraw(tx: Transaction, host: str, queue: str) -> bool:
    """Whether there was such a wish."""
    return bool(tx.run(_WITHDRAW, of_host=host, of_queue=queue))


# -- forgetting ----------------------------------------------------------------------------------

_FORGOTTEN = select(_H.host).where(_H.beat_at <= ONCE_NOW - bindparam("age_us", type_=BigInteger))
_FORGOTTEN_LOCKED = _FORGOTTEN.with_for_update(skip_locked=True)


def has_forgotten(tx: Transaction) -> bool:
    return tx.one(_FORGOTTEN.limit(1), age_us=micros(FORGOTTEN_AFTER_S), now=tx.now) is not None


def remove_forgotten(tx: Transaction) -> Collection[str]:
    """Hosts that have been silent for a day, removed with all that is theirs."""
    rows = tx.all(_FORGOTTEN_LOCKED, age_us=micros(FORGOTTEN_AFTER_S), now=tx.now)
    for row in rows:
        remove(tx, row.host)
    return [row.host for row in rows]
