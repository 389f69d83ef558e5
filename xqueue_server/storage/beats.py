"""That the processes beside `serve` still live: each writes down every few seconds that it does."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import BigInteger, bindparam, delete, select

from xqueue_server.instant import SECOND_US, micros
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.operations_schema import marks
from xqueue_server.storage.upsert import Upsert

BEAT_S = 10.0
SILENT_S = 60.0
"""After this long without a beat nobody should count on the process any more."""
KEPT_S = 24 * 3600
LONGEST_WHO = 50
"""Of a mark's 64 characters."""

_PREFIX = "beat:"
_BEAT = Upsert(
    marks,
    {"name": bindparam("name"), "position": NOW},
    conflict=["name"],
    change={"position": NOW},
)
_BEATS = select(marks.c.name, (NOW - marks.c.position).label("age_us")).where(
    marks.c.name.startswith(_PREFIX)
)
_FORGET = delete(marks).where(
    marks.c.name.startswith(_PREFIX),
    marks.c.position < ONCE_NOW - bindparam("kept_us", type_=BigInteger),
)


def beat(tx: Transaction, process: str, who: str) -> None:
    """`process` is what it does (`deliver`, `sweep`, ...), `who` tells several of them apart."""
    tx.run(_BEAT.on(tx), now=tx.now, name=f"{_PREFIX}{process}:{who[-LONGEST_WHO:]}")


def forget_old(tx: Transaction) -> int:
    """Of processes that ended long ago."""
    return tx.run(_FORGET, now=tx.now, kept_us=micros(KEPT_S))


def ages_s(tx: Transaction) -> Mapping[str, float]:
    """Process -> seconds since the last beat of any of its kind."""
    ages: dict[str, float] = {}
    for row in tx.all(_BEATS, now=tx.now):
        if row.age_us < -micros(SILENT_S):
            continue  # of a clock that was ahead: who still lives beats anew
        process = row.name.removeprefix(_PREFIX).partition(":")[0]
        age_s = max(0.0, row.age_us / SECOND_US)
        ages[process] = min(age_s, ages.get(process, age_s))
    return ages
