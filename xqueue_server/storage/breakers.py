"""The circuit breaker of each LMS origin, kept in the database so that all deliverers agree.

Closed: failures are counted. Open: the origin's callbacks are parked, and one deliverer at a time
may try a single one of them (a probe). An answer closes it and releases what was parked.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from xqueue_server.instant import micros
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.outbox import IS_UNCLAIMED
from xqueue_server.storage.schema import IS_PENDING, callbacks, origins

FAILURES_TO_OPEN = 5
WINDOW_S = 60
PROBE_EVERY_S = (15, 30)
"""Bounds; the caller draws from between them."""
PARKED_S = 600
"""Closing releases what is parked; this only bounds how long a fault of ours could hide it."""
RELEASE_SPREAD_S = 60
RELEASE_STEP_S = 0.02

_C, _O = callbacks.c, origins.c
_THIS = _O.origin == bindparam("of")
_IS_OPEN = _O.open_since.is_not(None)
_PROBE_AT = NOW + bindparam("probe_us", type_=BigInteger)

# -- open breakers and their probes --------------------------------------------------------------

_HAS_WAITING = exists(
    select(literal_column("1")).where(IS_PENDING, _C.origin == _O.origin, IS_UNCLAIMED)
)
_OPEN = select(_O.origin, and_(_O.probe_at <= ONCE_NOW, _HAS_WAITING).label("probe_is_due")).where(
    _IS_OPEN
)
_TAKE_PROBE = (
    update(origins).where(_THIS, _IS_OPEN, _O.probe_at <= ONCE_NOW).values(probe_at=_PROBE_AT)
)
_PARK = (
    update(callbacks)
    .where(IS_PENDING, _C.origin == bindparam("of"), IS_UNCLAIMED, _C.next_at <= ONCE_NOW)
    .values(next_at=NOW + bindparam("parked_us", type_=BigInteger), claim_token=None)
)


def open_origins(tx: Transaction) -> dict[str, bool]:
    """Origins whose breaker is open -> whether one of their callbacks should be tried now."""
    return {row.origin: bool(row.probe_is_due) for row in tx.all(_OPEN, now=tx.now)}


def take_probe(tx: Transaction, origin: str, *, next_probe_us: int) -> bool:
    """Whether the caller is the one that may probe; the next probe is allowed after that delay."""
    return tx.run(_TAKE_PROBE, now=tx.now, of=origin, probe_us=next_probe_us) == 1


def park(tx: Transaction, origin: str) -> int:
    """Put off all due callbacks of an origin whose breaker is open."""
    return tx.run(_PARK, now=tx.now, of=origin, parked_us=micros(PARKED_S))


# -- counting failures ---------------------------------------------------------------------------

_NEW = {"origin": bindparam("of"), "failures": 0}
_ENSURE_POSTGRES = postgresql.insert(origins).values(_NEW).on_conflict_do_nothing()
_ENSURE_SQLITE = sqlite.insert(origins).values(_NEW).on_conflict_do_nothing()
_IS_FIRST = or_(
    _O.first_failure_at.is_(None),
    _O.first_failure_at < NOW - bindparam("window_us", type_=BigInteger),
)
_COUNT_FAILURE = (
    update(origins)
    .where(_THIS)
    .values(
        failures=case((_IS_FIRST, 1), else_=_O.failures + 1),
        first_failure_at=case((_IS_FIRST, NOW), else_=_O.first_failure_at),
    )
    .returning(_O.failures, _O.open_since)
)
_TRIP = update(origins).where(_THIS, ~_IS_OPEN).values(open_since=NOW, probe_at=_PROBE_AT)


class Standing(StrEnum):
    """What a failure has done to the breaker."""

    CLOSED = "closed"
    OPENED = "opened"
    """By this very failure."""
    STILL_OPEN = "still_open"


def failed(tx: Transaction, origin: str, *, first_probe_us: int) -> Standing:
    """Count a try that the origin did not answer, or answered with 5xx."""
    tx.run(_ENSURE_POSTGRES if tx.is_postgres else _ENSURE_SQLITE, of=origin)
    row = tx.one(_COUNT_FAILURE, now=tx.now, of=origin, window_us=micros(WINDOW_S))
    assert row is not None, "the row was ensured"
    if row.open_since is not None:
        return Standing.STILL_OPEN
    if row.failures < FAILURES_TO_OPEN:
        return Standing.CLOSED
    tx.run(_TRIP, now=tx.now, of=origin, probe_us=first_probe_us)
    park(tx, origin)
    return Standing.OPENED


# -- closing -------------------------------------------------------------------------------------

_FAILURES = select(_O.failures, _O.open_since).where(_THIS)
_RESET = update(origins).where(_THIS).values(failures=0, first_failure_at=None)
_CLOSE = (
    update(origins)
    .where(_THIS, _IS_OPEN)
    .values(failures=0, first_failure_at=None, open_since=None, probe_at=None)
)
_WAITING = and_(IS_PENDING, _C.origin == bindparam("of"), IS_UNCLAIMED)
_PLACES = (
    select(_C.id, (func.row_number().over(order_by=_C.id) - 1).label("place"))
    .where(_WAITING)
    .subquery()
)
_SLOT = NOW + _PLACES.c.place * bindparam("step_us", type_=BigInteger)
_RELEASE = (
    update(callbacks)
    .where(_C.id == _PLACES.c.id, IS_UNCLAIMED, _C.next_at > _SLOT)
    .values(next_at=_SLOT)
)
_COUNT_WAITING = select(func.count()).where(_WAITING)


def answered(tx: Transaction, origin: str) -> int | None:
    """The origin is alive: forget its failures; if it was open, close and release.

    Returns how many callbacks wait, if this call closed the breaker; None otherwise.
    """
    row = tx.one(_FAILURES, of=origin)
    if row is None or row.failures == 0:
        return None
    if row.open_since is None:
        tx.run(_RESET, of=origin)
        return None
    return _release(tx, origin) if tx.run(_CLOSE, of=origin) else None


def _release(tx: Transaction, origin: str) -> int:
    """Oldest first; a few go at once, a big backlog is spread so that it does not fell the LMS."""
    waiting: int = tx.scalar(_COUNT_WAITING, now=tx.now, of=origin)
    step_s = min(RELEASE_STEP_S, RELEASE_SPREAD_S / max(waiting, 1))
    tx.run(_RELEASE, now=tx.now, of=origin, step_us=micros(step_s))
    return waiting
