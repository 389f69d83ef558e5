"""How far a process that goes through everything has come, and when a periodic job was last done.

One row for each name. A mark's row is the lock of its job: several sweepers pass each other there.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, or_, select, update

from xqueue_server.instant import micros
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.operations_schema import marks
from xqueue_server.storage.upsert import Upsert

_C = marks.c
_POSITION = select(_C.position).where(_C.name == bindparam("of"))
_LOCK = _POSITION.with_for_update()
_MAKE = Upsert(
    marks,
    {"name": bindparam("name"), "position": bindparam("position")},
    conflict=["name"],
    change=None,
)
_MOVE = update(marks).where(_C.name == bindparam("of")).values(position=bindparam("to"))
_CLAIM = (
    update(marks)
    .where(
        _C.name == bindparam("of"),
        or_(
            _C.position <= ONCE_NOW - bindparam("period_us", type_=BigInteger),
            _C.position > ONCE_NOW,  # of a clock that was wrong: else nobody would do it until then
        ),
    )
    .values(position=NOW)
)


def position(tx: Transaction, name: str) -> int | None:
    """Where the mark stands; None: it was never set."""
    found: int | None = tx.scalar(_POSITION, of=name)
    return found


def lock(tx: Transaction, name: str, *, start: int = 0) -> int:
    """The same, made at `start` if it is not there, and locked until the transaction ends."""
    tx.run(_MAKE.on(tx), name=name, position=start)
    return int(tx.scalar(_LOCK, of=name))


def move(tx: Transaction, name: str, to: int) -> None:
    tx.run(_MOVE, of=name, to=to)


def claim(tx: Transaction, name: str, *, every_s: float) -> bool:
    """Whether a periodic job is this caller's to do: True at most once in `every_s`."""
    if position(tx, name) is None:
        tx.run(_MAKE.on(tx), name=name, position=0)
    return bool(tx.run(_CLAIM, of=name, period_us=micros(every_s), now=tx.now))
