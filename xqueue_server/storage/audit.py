"""The record of who changed what, as people search it; `events` writes it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, func, select, true, union_all

from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.events import Event, event_of
from xqueue_server.storage.schema import callbacks, events

_C = events.c
_EVENTS = select(*[_C[name] for name in Event.__dataclass_fields__])
_NUMBERED = re.compile(r"(submission|callback) ([1-9][0-9]{0,17})")
_OF_NUMBER = {
    "submission": _C.submission_id == bindparam("of_number"),
    "callback": _C.submission_id
    == select(callbacks.c.submission_id)
    .where(callbacks.c.id == bindparam("of_number"))
    .scalar_subquery(),
}
"""By the index of a submission's events; other subjects have one of their own."""
_first = select(func.min(_C.actor).label("actor")).cte("actors", recursive=True)
_next = select(func.min(_C.actor)).where(_C.actor > _first.c.actor).scalar_subquery()
_each = _first.union_all(select(_next).where(_first.c.actor.is_not(None)))
_ACTORS = select(_each.c.actor).where(_each.c.actor.is_not(None))
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
    about = _NUMBERED.fullmatch(subject or "")
    if about:
        named["of_number"] = int(about[2])
    kind = about[1] if about else "thing"
    rows = tx.all(_page(frozenset(named), kind), size=limit, **named)
    return [event_of(row) for row in rows]


def page_of(
    tx: Transaction, actors: Collection[str], *, limit: int = 50, before: int | None = None
) -> Sequence[Event]:
    """What these did, newest first: from the index of each, however much others did meanwhile."""
    if not actors:
        return []
    parts = []
    for actor in sorted(actors):
        part = select(_C.id).where(_C.actor == actor).order_by(_C.id.desc()).limit(limit)
        newest = (part if before is None else part.where(_C.id < before)).subquery()
        parts.append(select(newest.c.id))
    found = _EVENTS.where(_C.id.in_(union_all(*parts))).order_by(_C.id.desc()).limit(limit)
    return [event_of(row) for row in tx.all(found)]


def actors(tx: Transaction) -> Sequence[str]:
    """All that ever did something, by name; as many probes of the index as they are."""
    return [row.actor for row in tx.all(_ACTORS)]


@cache
def _page(named: frozenset[str], kind: str) -> Select[Any]:
    conditions = {
        "of_subject": _C.subject == bindparam("of_subject"),
        "of_number": _OF_NUMBER.get(kind, true()),
        "of_actor": _C.actor == bindparam("of_actor"),
        "of_id": _C.id == bindparam("of_id"),
        "before": _C.id < bindparam("before"),
    }
    chosen = [conditions[name] for name in sorted(named)]
    if "of_subject" in named and "of_number" not in named:
        chosen.append(_C.submission_id.is_(None))
    return _EVENTS.where(*chosen).order_by(_C.id.desc()).limit(bindparam("size"))
