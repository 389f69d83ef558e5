"""Deadlines that operators or exams have told, of each queue. Past ones stay: they teach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, insert, select

from xqueue_server.errors import NotFound
from xqueue_server.storage import events, queues
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.operations_schema import deadlines

USUAL_WINDOW = timedelta(days=7)
BY_HAND = "hand"

_C = deadlines.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    id: int
    queue: str
    course: str
    """"": of no one course."""
    at: datetime
    opens_at: datetime | None
    """None: not told, a week before."""
    submissions: int
    """Expected in all."""
    source: str
    note: str
    created_by: str
    created_at: datetime

    @property
    def window(self) -> timedelta:
        """How long learners can submit."""
        return self.at - self.opens_at if self.opens_at else USUAL_WINDOW


_FIELDS = tuple(Deadline.__dataclass_fields__)
_INSERT = insert(deadlines).values(created_at=NOW).returning(_C.id)
_ALL = select(*[_C[name] for name in _FIELDS]).order_by(_C.at, _C.id)
_OF_QUEUE = _ALL.where(_C.queue == bindparam("of"))
_ONE = _ALL.where(_C.id == bindparam("of"))
_REMOVE = delete(deadlines).where(_C.id == bindparam("of"))


def add(
    tx: Transaction,
    *,
    queue: str,
    at: datetime,
    submissions: int,
    actor: str,
    opens_at: datetime | None = None,
    course: str = "",
    source: str = BY_HAND,
    note: str = "",
) -> int:
    """Returns its id. Raises: NotFound if there is no such queue."""
    queues.get(tx, queue)
    deadline_id = int(
        tx.scalar(
            _INSERT,
            queue=queue,
            course=course,
            at=at,
            opens_at=opens_at,
            submissions=submissions,
            source=source,
            note=note,
            created_by=actor,
            now=tx.now,
        )
    )
    _record(tx, queue, actor, "deadline added", deadline_id, at, submissions)
    return deadline_id


def all_deadlines(tx: Transaction) -> Sequence[Deadline]:
    """The earliest first."""
    return [Deadline(**row._mapping) for row in tx.all(_ALL)]


def of_queue(tx: Transaction, queue: str) -> Sequence[Deadline]:
    """The same of one queue."""
    return [Deadline(**row._mapping) for row in tx.all(_OF_QUEUE, of=queue)]


def remove(tx: Transaction, deadline_id: int, *, actor: str) -> Deadline:
    """Returns what it was. Raises: NotFound."""
    row = tx.one(_ONE, of=deadline_id)
    if row is None:
        raise NotFound(f"Deadline {deadline_id} not found")
    found = Deadline(**row._mapping)
    tx.run(_REMOVE, of=deadline_id)
    _record(tx, found.queue, actor, "deadline removed", found.id, found.at, found.submissions)
    return found


def _record(
    tx: Transaction,
    queue: str,
    actor: str,
    why: str,
    deadline_id: int,
    at: datetime,
    submissions: int,
) -> None:
    detail = f"deadline {deadline_id}: {at.isoformat()}, {submissions} submissions"
    events.append(tx, subject=f"queue {queue}", actor=actor, why=why, detail=detail)
