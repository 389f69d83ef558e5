"""Which submissions an exam claims: those of a problem, or of a whole queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import bindparam, delete, insert, select

from proctoring_hooks.exam import Exam
from xqueue_server.errors import Conflict, InvalidRequest
from xqueue_server.storage import events, queues
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.proctoring_schema import exam_claims

MOST_CHARS = 255

_C = exam_claims.c
_OF_EXAM = (
    select(_C.kind, _C.value, _C.claimed_by, _C.claimed_at)
    .where(_C.exam_id == bindparam("of"))
    .order_by(_C.kind, _C.value)
)
_HOLDER = select(_C.exam_id).where(
    _C.lms == bindparam("of_lms"), _C.kind == bindparam("of_kind"), _C.value == bindparam("of")
)
_INSERT = insert(exam_claims).values(claimed_at=NOW)
_REMOVE = delete(exam_claims).where(
    _C.exam_id == bindparam("of"), _C.kind == bindparam("of_kind"), _C.value == bindparam("taken")
)


class ClaimKind(StrEnum):
    PROBLEM = "problem"
    """By its usage id, as callback URLs name it."""
    QUEUE = "queue"
    """Everything that comes to it, of whatever problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    kind: ClaimKind
    value: str
    claimed_by: str
    claimed_at: datetime


def of_exam(tx: Transaction, exam_id: int) -> Sequence[Claim]:
    return [
        Claim(
            kind=ClaimKind(row.kind),
            value=row.value,
            claimed_by=row.claimed_by,
            claimed_at=row.claimed_at,
        )
        for row in tx.all(_OF_EXAM, of=exam_id)
    ]


def add(tx: Transaction, exam: Exam, kind: ClaimKind, value: str, *, actor: str) -> bool:
    """From the next submission on; False if the exam has it already.

    Raises:
        InvalidRequest: no usage id, or no such queue.
        Conflict: another exam of this LMS has it.
    """
    if not 0 < len(value) <= MOST_CHARS or not value.isprintable():
        raise InvalidRequest(f"A {kind} is named with 1 to {MOST_CHARS} printable characters")
    if kind is ClaimKind.QUEUE and queues.find(tx, value) is None:
        raise InvalidRequest(f"There is no queue {value!r}")
    holder = tx.scalar(_HOLDER, of_lms=exam.lms, of_kind=kind, of=value)
    if holder == exam.id:
        return False
    if holder is not None:
        raise Conflict(f"Exam {holder} claims this {kind}; take it from that one first")
    tx.run(
        _INSERT,
        lms=exam.lms,
        kind=kind,
        value=value,
        exam_id=exam.id,
        claimed_by=actor,
        now=tx.now,
    )
    _record(tx, exam, actor, "claimed", kind, value)
    return True


def remove(tx: Transaction, exam: Exam, kind: ClaimKind, value: str, *, actor: str) -> bool:
    """What was submitted until now stays the exam's; False if it had no such claim."""
    is_removed = bool(tx.run(_REMOVE, of=exam.id, of_kind=kind, taken=value))
    if is_removed:
        _record(tx, exam, actor, "unclaimed", kind, value)
    return is_removed


def _record(tx: Transaction, exam: Exam, actor: str, why: str, kind: ClaimKind, value: str) -> None:
    events.append(tx, subject=f"exam {exam.id}", actor=actor, why=why, detail=f"{kind} {value}")
