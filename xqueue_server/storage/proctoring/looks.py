"""Who has looked at which learners: recorded as events, once for a while of looking."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import BigInteger, bindparam, select, type_coerce

from xqueue_server.instant import micros
from xqueue_server.storage import events
from xqueue_server.storage.engine import ONCE_NOW, Storage, Transaction
from xqueue_server.storage.schema import events as events_table

WHY = "looked"
AGAIN_AFTER_S = 15 * 60
"""A page that is open asks again every few seconds; that is one look."""

_C = events_table.c
_LATELY = (
    select(_C.id)
    .where(
        _C.subject == bindparam("of"),
        _C.submission_id.is_(None),
        _C.actor == bindparam("of_actor"),
        _C.why == WHY,
        type_coerce(_C.at, BigInteger) > ONCE_NOW - micros(AGAIN_AFTER_S),
    )
    .order_by(_C.id.desc())
    .limit(1)
)


def _is_recorded(tx: Transaction, subject: str, actor: str) -> bool:
    return tx.one(_LATELY, of=subject, of_actor=actor, now=tx.now) is not None


def note(storage: Storage, subjects: Iterable[str], actor: str, *, request_id: str = "") -> None:
    """Record what has not been recorded lately. `subjects`: "exam 3" where many learners, their
    attempts, marks or allowances were shown, "attempt 7" where it was one's.

    To be called before it is shown. Raises: StorageUnavailable.
    """
    wanted = sorted(set(subjects))
    with storage.read() as tx:
        new = [each for each in wanted if not _is_recorded(tx, each, actor)]
    if new:
        with storage.write() as tx:
            for subject in new:
                events.append(tx, subject=subject, actor=actor, why=WHY, request_id=request_id)
