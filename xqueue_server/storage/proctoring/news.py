"""What open pages are told of, in an order in which nobody who reads on misses anything.

Ids are given before a transaction commits, so a row with a lower id can appear after one with a
higher. PostgreSQL: rows are read in the order (transaction, id), and only those of transactions
before the oldest that still writes to this database; nothing can appear among them any more. One
that stays open delays the news of those that began after it, for 30 s at most (see `engine`); what
goes on in other databases of the server delays nothing. SQLite: one writes at a time, so the ids
are in the order of the commits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select, text, tuple_

from proctoring_hooks.store import News
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.proctoring_schema import exam_attempts, exam_news

HIGHEST = 2**63 - 1
FORGOTTEN = "forgotten"
"""The kind of a row that stands for all that was removed up to its place."""
_PLACE = re.compile(r"(\d{1,18})-(\d{1,19})", re.ASCII)

_N = exam_news.c
_AFTER = (
    select(
        _N.writer,
        _N.id,
        _N.lms,
        _N.course_id,
        _N.attempt_id,
        _N.kind,
        exam_attempts.c.exam_id,
    )
    .outerjoin(exam_attempts, exam_attempts.c.id == _N.attempt_id)
    .where(tuple_(_N.writer, _N.id) > tuple_(bindparam("of_writer"), bindparam("of_id")))
    .order_by(_N.writer, _N.id)
    .limit(bindparam("most"))
)
_BEFORE = _AFTER.where(_N.writer < bindparam("unsettled"))
# A snapshot's own lower bound would count the transactions of all databases of the server. This
# looks first how far transaction ids have been given (the statement's snapshot), then which are
# still running here: whatever has a lower id and is not among those has ended, and the next
# statement sees what it wrote. Running ones are known by 32 bits: they are counted back from there.
_UNSETTLED = text("""
    SELECT upto - coalesce(max((upto - backend_xid::text::bigint) & 4294967295), 0)
    FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS upto) AS given
    LEFT JOIN pg_stat_get_activity(NULL) ON backend_xid IS NOT NULL
        AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (upto - backend_xid::text::bigint) & 4294967295 < 2147483648
    GROUP BY upto""")
_SETTLED_SQLITE = select(func.max(_N.id))


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a reader stands: everything up to here is known to it."""

    writer: int
    id: int

    def __str__(self) -> str:
        return f"{self.writer}-{self.id}"


BEGINNING = Place(0, 0)


def read_place(text: str) -> Place | None:
    """Of `str(place)`; None for anything else."""
    found = _PLACE.fullmatch(text)
    return Place(int(found[1]), min(HIGHEST, int(found[2]))) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedNews(News):
    place: Place
    exam_id: int | None


def settled(tx: Transaction) -> Place:
    """Up to which place nothing can appear any more. To be read before what a page shows: what
    happens after it is then told."""
    if tx.is_postgres:
        return Place(_unsettled(tx) - 1, HIGHEST)
    return Place(0, int(tx.scalar(_SETTLED_SQLITE) or 0))


def after(tx: Transaction, place: Place, *, limit: int) -> Sequence[PlacedNews]:
    """What is settled and comes after it, in order."""
    asked = {"of_writer": place.writer, "of_id": place.id, "most": limit}
    if tx.is_postgres:
        rows = tx.all(_BEFORE, unsettled=_unsettled(tx), **asked)
    else:
        rows = tx.all(_AFTER, **asked)
    return [_of(row) for row in rows]


def _unsettled(tx: Transaction) -> int:
    """The first transaction of which something may still appear. `tx` is one of `Storage.read`,
    whose statements each see the latest commits."""
    return int(tx.scalar(_UNSETTLED))


def _of(row: Any) -> PlacedNews:
    return PlacedNews(
        place=Place(row.writer, row.id),
        lms=row.lms,
        course_id=row.course_id,
        attempt_id=row.attempt_id,
        kind=row.kind,
        exam_id=row.exam_id,
    )
