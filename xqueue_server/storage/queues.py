"""Queues: what they are called and on which terms they lease."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, insert, select, update

from xqueue_server.errors import Conflict, NotFound
from xqueue_server.models.queue import Queue
from xqueue_server.storage import events
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.grader_schema import (
    fault_submissions,
    faults,
    grader_versions,
    graders,
    notifications,
    queue_policies,
    readiness,
    test_counts,
)
from xqueue_server.storage.operations_schema import course_weights, deadlines
from xqueue_server.storage.schema import grants, queues, submissions

_FIELDS = tuple(Queue.__dataclass_fields__)
_TERMS = tuple(f for f in _FIELDS if f != "name" and not f.startswith("paused_"))
_SELECT = select(*[queues.c[f] for f in _FIELDS])
_BY_NAME = _SELECT.where(queues.c.name == bindparam("queue_name"))
_ALL = _SELECT.order_by(queues.c.name)
_INSERT = insert(queues).values(created_at=NOW)
_CHANGE = (
    update(queues)
    .where(queues.c.name == bindparam("queue_name"))
    .values({f: bindparam(f) for f in _TERMS})
)
_PAUSE = (
    update(queues)
    .where(queues.c.name == bindparam("queue_name"))
    .values(
        paused_at=NOW, paused_by=bindparam("paused_by"), paused_reason=bindparam("paused_reason")
    )
)
_RESUME = (
    update(queues)
    .where(queues.c.name == bindparam("queue_name"))
    .values(paused_at=None, paused_by=None, paused_reason=None)
)
_REMOVE = delete(queues).where(queues.c.name == bindparam("queue_name"))
_REVOKE = delete(grants).where(grants.c.queue == bindparam("queue_name"))
_FAULTS = select(faults.c.id).where(faults.c.queue == bindparam("queue_name"))
_REMOVE_GRADERS = [
    delete(notifications).where(notifications.c.fault_id.in_(_FAULTS)),
    delete(fault_submissions).where(fault_submissions.c.fault_id.in_(_FAULTS)),
    *(
        delete(table).where(table.c.queue == bindparam("queue_name"))
        for table in (
            course_weights,
            deadlines,
            faults,
            graders,
            grader_versions,
            queue_policies,
            readiness,
            test_counts,
        )
    ),
]
_IS_USED = select(submissions.c.id).where(submissions.c.queue == bindparam("queue_name")).limit(1)


def find(tx: Transaction, name: str) -> Queue | None:
    if (
        not name.isprintable()
    ):  # no queue is called so, and NUL or half a surrogate can not be asked
        return None
    row = tx.one(_BY_NAME, queue_name=name)
    return Queue(**row._mapping) if row else None


def get(tx: Transaction, name: str) -> Queue:
    """Raises: NotFound."""
    queue = find(tx, name)
    if queue is None:
        raise NotFound(f"Queue '{name}' not found")
    return queue


def all_queues(tx: Transaction) -> Sequence[Queue]:
    return [Queue(**row._mapping) for row in tx.all(_ALL)]


def add(tx: Transaction, queue: Queue, *, actor: str) -> None:
    """Raises: Conflict if the name is taken or has characters that do not print."""
    if not queue.name.isprintable():
        raise Conflict("a queue name must consist of printable characters")
    if find(tx, queue.name):
        raise Conflict(f"Queue '{queue.name}' exists already")
    terms = {f: getattr(queue, f) for f in _TERMS}
    tx.run(_INSERT, now=tx.now, name=queue.name, **terms)
    events.append(
        tx, subject=f"queue {queue.name}", actor=actor, why="added", detail=_described(queue)
    )


def change(tx: Transaction, queue: Queue, *, actor: str) -> None:
    """Store new terms; leases already given keep theirs. Raises: NotFound.

    A learner's cap counts what arrives from then on; what a higher one (or none) lets in comes in
    at the next sweep.
    """
    get(tx, queue.name)
    tx.run(_CHANGE, queue_name=queue.name, **{f: getattr(queue, f) for f in _TERMS})
    events.append(
        tx, subject=f"queue {queue.name}", actor=actor, why="changed", detail=_described(queue)
    )


def pause(tx: Transaction, name: str, *, reason: str, actor: str) -> None:
    """Hand nothing out until `resume`; all else goes on. Raises: NotFound; Conflict if it is."""
    if get(tx, name).paused_at is not None:
        raise Conflict(f"Queue '{name}' is paused already")
    tx.run(_PAUSE, queue_name=name, paused_by=actor, paused_reason=reason, now=tx.now)
    events.append(tx, subject=f"queue {name}", actor=actor, why="paused", detail=reason)


def resume(tx: Transaction, name: str, *, actor: str) -> None:
    """Raises: NotFound; Conflict if it is not paused."""
    if get(tx, name).paused_at is None:
        raise Conflict(f"Queue '{name}' is not paused")
    tx.run(_RESUME, queue_name=name)
    events.append(tx, subject=f"queue {name}", actor=actor, why="resumed")


def remove(tx: Transaction, name: str, *, actor: str) -> None:
    """Raises: NotFound; Conflict while submissions of the queue are kept."""
    get(tx, name)
    if tx.one(_IS_USED, queue_name=name):
        raise Conflict(f"Queue '{name}' has submissions; they would be lost")
    tx.run(_REVOKE, queue_name=name)  # or they would come back to life with a queue of this name
    for removal in _REMOVE_GRADERS:
        tx.run(removal, queue_name=name)
    tx.run(_REMOVE, queue_name=name)
    events.append(tx, subject=f"queue {name}", actor=actor, why="removed")


def _described(queue: Queue) -> str:
    return ", ".join(f"{f}={getattr(queue, f)}" for f in _TERMS)
