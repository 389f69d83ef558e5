"""The record of who changed what, as people search it; `events` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, func, select

from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.events import Event
from xqueue_server.storage.schema import events

_C = events.c
_EVENTS = select(*[_C[name] for name in Event.__dataclass_fields__])
_LOOK_BACK = 1000
_LATEST = select(func.max(_C.id)).scalar_subquery()
_LATEST_OF_ACTOR = (
    select(_C.id)
    .where(_C.actor == bindparam("of"), _C.id > _LATEST - _LOOK_BACK)
    .order_by(_C.id.desc())
    .limit(1)
)


def latest_of_actor(tx: Transaction, actor: str) -> int | None:
    """The id of the last thing that it did, if that was not long ago."""
    found: int | None = tx.scalar(_LATEST_OF_ACTOR, of=actor)
    return found


def page(
    tx: Transaction,
    *,
    subject: str | None = None,
    actor: str | None = None,
    event_id: int | None = None,
    limit: int = 50,
    before: int | None = None,
) -> Sequence[Event]:
    """Newest first. `subject` and `actor` are exact, e.g. "queue python", "account lms"."""
    given = {"of_subject": subject, "of_actor": actor, "of_id": event_id, "before": before}
    named = {name: value for name, value in given.items() if value is not None}
    rows = tx.all(_page(frozenset(named)), size=limit, **named)
    return [Event(**row._mapping) for row in rows]


@cache
def _page(named: frozenset[str]) -> Select[Any]:
    conditions = {
        "of_subject": _C.subject == bindparam("of_subject"),
        "of_actor": _C.actor == bindparam("of_actor"),
        "of_id": _C.id == bindparam("of_id"),
        "before": _C.id < bindparam("before"),
    }
    chosen = [conditions[name] for name in sorted(named)]
    return _EVENTS.where(*chosen).order_by(_C.id.desc()).limit(bindparam("size"))
