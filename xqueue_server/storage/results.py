"""Results as they came from graders, each kept with what was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, bindparam, insert, select

from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.schema import results


class Disposition(StrEnum):
    ACCEPTED = "accepted"
    AMENDED = "amended"
    """Replaced an accepted one."""
    REJECTED = "rejected"
    """The LMS would have refused it."""
    UNUSED = "unused"
    """Came for a submission that was superseded or given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    id: int
    submission_id: int
    body: str = field(repr=False)
    disposition: Disposition
    sent_by: str
    received_at: datetime
    forgeable: bool
    """The worker says that the learner's code could have written it."""


_INSERT = insert(results).values(received_at=NOW).returning(results.c.id)
_COLUMNS = [results.c[f] for f in Result.__dataclass_fields__]
_OF_SUBMISSION = (
    select(*_COLUMNS).where(results.c.submission_id == bindparam("of")).order_by(results.c.id)
)
_COUNTING = (
    select(*_COLUMNS)
    .where(
        results.c.submission_id == bindparam("of"),
        results.c.disposition.in_([Disposition.ACCEPTED, Disposition.AMENDED]),
    )
    .order_by(results.c.id.desc())
    .limit(1)
)
_BY_ID = select(*_COLUMNS).where(results.c.id == bindparam("of"))
_LATEST = (
    select(results.c.key_hash, results.c.body)
    .where(results.c.submission_id == bindparam("of"))
    .order_by(results.c.id.desc())
    .limit(1)
)


def record(
    tx: Transaction,
    submission_id: int,
    body: str,
    disposition: Disposition,
    *,
    key_hash: bytes,
    sent_by: str,
    forgeable: bool = False,
) -> int:
    """Keep a result; returns its id."""
    result_id: int = tx.scalar(
        _INSERT,
        submission_id=submission_id,
        body=body,
        disposition=disposition,
        key_hash=key_hash,
        sent_by=sent_by,
        forgeable=forgeable,
        now=tx.now,
    )
    return result_id


def is_latest(tx: Transaction, submission_id: int, body: str, *, key_hash: bytes) -> bool:
    """Whether the submission's last result came with this key and these bytes."""
    row = tx.one(_LATEST, of=submission_id)
    return row is not None and (row.key_hash, row.body) == (key_hash, body)


def counting(tx: Transaction, submission_id: int) -> Result | None:
    """The accepted or amended result that has replaced all others here. The LMS has it or is about
    to get it, unless it came of a regrade and the LMS had another one before."""
    row = tx.one(_COUNTING, of=submission_id)
    return _result(row) if row else None


def latest_sent(tx: Transaction, submission_id: int) -> str | None:
    """The body of that one."""
    found = counting(tx, submission_id)
    return found.body if found else None


def find(tx: Transaction, result_id: int) -> Result | None:
    row = tx.one(_BY_ID, of=result_id)
    return _result(row) if row else None


def of_submission(tx: Transaction, submission_id: int) -> Sequence[Result]:
    """All of a submission's results, oldest first."""
    return [_result(row) for row in tx.all(_OF_SUBMISSION, of=submission_id)]


def _result(row: Row[Any]) -> Result:
    return Result(**{**row._mapping, "disposition": Disposition(row.disposition)})
