"""What a queue allows its graders, and where their faults are notified."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from sqlalchemy import bindparam, select

from xqueue_server.errors import NotFound
from xqueue_server.models.grader import GraderSource, QueueIsolation
from xqueue_server.storage import events
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.events import without_webhook_paths
from xqueue_server.storage.grader_schema import queue_policies
from xqueue_server.storage.schema import queues
from xqueue_server.storage.upsert import Upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """None: the settings' ceiling; not allowed; nobody."""

    queue: str
    max_wall_s: float | None = None
    max_memory_bytes: int | None = None
    max_cpus: float | None = None
    max_pids: int | None = None
    max_output_bytes: int | None = None
    legacy_reason: str | None = None
    """Why isolation "none" is allowed."""
    isolation: str | None = None
    """Of graders that leave it open."""
    runtime: str | None = None
    """Beside `isolation`."""
    webhook_url: str | None = None
    email: str | None = None

    @property
    def queue_isolation(self) -> QueueIsolation | None:
        if self.isolation is None:
            return None
        return QueueIsolation(isolation=self.isolation, runtime=self.runtime)

    def isolation_of(self, demanded: str | None, source: GraderSource) -> QueueIsolation | None:
        """The operator's choice, where it holds for such a grader."""
        chosen = self.queue_isolation
        return chosen if chosen and chosen.holds_for(demanded, source) else None


_FIELDS = tuple(f.name for f in fields(Policy))
_TERMS = tuple(name for name in _FIELDS if name != "queue")
_COLUMNS = [queue_policies.c[name] for name in _FIELDS]
_OF_QUEUE = select(*_COLUMNS).where(queue_policies.c.queue == bindparam("of_queue"))
_ALL = select(*_COLUMNS)
_LOCK = select(queues.c.name).where(queues.c.name == bindparam("of_queue")).with_for_update()
_STORE = Upsert(
    queue_policies,
    {name: bindparam(name) for name in _FIELDS},
    conflict=["queue"],
    change={name: bindparam(name) for name in _TERMS},
)


def of_queue(tx: Transaction, queue: str) -> Policy:
    """The queue's own policy; the empty one if nothing was said."""
    row = tx.one(_OF_QUEUE, of_queue=queue)
    return Policy(**row._mapping) if row else Policy(queue=queue)


def all_policies(tx: Transaction) -> dict[str, Policy]:
    """Of the queues that have one, by name."""
    return {row.queue: Policy(**row._mapping) for row in tx.all(_ALL)}


def change(tx: Transaction, queue: str, *, actor: str, why: str, **terms: object) -> Policy:
    """Change these fields, leave the others. Raises: NotFound."""
    # Two at once would each write back what the other has changed: a permission just withdrawn.
    if tx.one(_LOCK, of_queue=queue) is None:
        raise NotFound(f"Queue '{queue}' not found")
    changed = replace(of_queue(tx, queue), **terms)  # type: ignore[arg-type]
    tx.run(_STORE.on(tx), **{name: getattr(changed, name) for name in _FIELDS})
    detail = ", ".join(f"{name}={value}" for name, value in terms.items())
    events.append(
        tx, subject=f"queue {queue}", actor=actor, why=why, detail=without_webhook_paths(detail)
    )
    return changed
