"""The LMSes that callbacks go to, and how their breakers stand, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from xqueue_server.models.callback import CallbackState
from xqueue_server.storage import callbacks
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.schema import origins

_BREAKERS = select(origins.c.origin, origins.c.failures, origins.c.open_since, origins.c.probe_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    origin: str
    failures: int
    """Network errors and 5xx in a row, within the breaker's window."""
    open_since: datetime | None
    """None: closed, callbacks are sent."""
    probe_at: datetime | None
    pending: int
    dead: int
    oldest_pending_at: datetime | None


def all_origins(tx: Transaction) -> Sequence[Origin]:
    """Those that have a breaker, or callbacks that are pending or dead, by name."""
    breakers = {row.origin: row for row in tx.all(_BREAKERS)}
    backlog = {(b.origin, b.state): b for b in callbacks.backlog(tx)}
    names = {*breakers, *(origin for origin, _ in backlog)}
    found = []
    for name in sorted(names):
        breaker = breakers.get(name)
        pending = backlog.get((name, CallbackState.PENDING))
        dead = backlog.get((name, CallbackState.DEAD))
        found.append(
            Origin(
                origin=name,
                failures=breaker.failures if breaker else 0,
                open_since=breaker.open_since if breaker else None,
                probe_at=breaker.probe_at if breaker else None,
                pending=pending.count if pending else 0,
                dead=dead.count if dead else 0,
                oldest_pending_at=pending.oldest_at if pending else None,
            )
        )
    return found
