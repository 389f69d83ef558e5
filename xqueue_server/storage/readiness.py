"""Which hosts can run which version of a grader, as their workers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, bindparam, delete, select

from xqueue_server.instant import micros
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.grader_schema import readiness
from xqueue_server.storage.upsert import Upsert

KEPT_S = 24 * 3600

_C = readiness.c
_FIELDS = ("queue", "name", "version", "host", "is_ready", "problem", "image_created")
_STORE = Upsert(
    readiness,
    {name: bindparam(name) for name in _FIELDS} | {"at": NOW},
    conflict=["queue", "name", "version", "host"],
    change={name: bindparam(name) for name in ("is_ready", "problem", "image_created")}
    | {"at": NOW},
)
_COLUMNS = [*(_C[name] for name in _FIELDS), _C.at]
_OF_GRADER = (
    select(*_COLUMNS)
    .where(_C.queue == bindparam("of_queue"), _C.name == bindparam("of_name"))
    .order_by(_C.version.desc(), _C.host)
)
_RECENT = select(*_COLUMNS).where(
    _C.queue == bindparam("of_queue"),
    _C.at > ONCE_NOW - bindparam("age_us", type_=BigInteger),
)
_FORGET = delete(readiness).where(_C.at <= ONCE_NOW - micros(KEPT_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    queue: str
    name: str
    version: int
    host: str
    is_ready: bool
    problem: str | None
    image_created: datetime | None = None
    """When the base of the image that it runs in was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReadiness:
    queue: str
    name: str
    version: int
    host: str
    is_ready: bool
    problem: str | None
    at: datetime
    image_created: datetime | None


def store(tx: Transaction, report: HostReport) -> None:
    given = {name: getattr(report, name) for name in _FIELDS}
    tx.run(_STORE.on(tx), now=tx.now, **given)


def of_grader(tx: Transaction, queue: str, name: str) -> Sequence[HostReadiness]:
    """Newest version first."""
    rows = tx.all(_OF_GRADER, of_queue=queue, of_name=name)
    return [HostReadiness(**row._mapping) for row in rows]


def recent(tx: Transaction, queue: str, *, within_s: float) -> Sequence[HostReadiness]:
    """What was reported about the queue's graders not longer ago."""
    rows = tx.all(_RECENT, of_queue=queue, age_us=micros(within_s), now=tx.now)
    return [HostReadiness(**row._mapping) for row in rows]


def forget_old(tx: Transaction) -> int:
    """What no host has repeated for a day."""
    return tx.run(_FORGET, now=tx.now)
