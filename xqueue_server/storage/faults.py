"""Kinds of faults, how often each was seen, and the submissions that it holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, cast, select

from xqueue_server.instant import SECOND_US
from xqueue_server.models.fault import MAX_DETAIL_CHARS, Fault, FaultKind, Occurrence
from xqueue_server.models.submission import Submission, SubmissionState
from xqueue_server.storage import lease_graders, notifications, policies
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.grader_schema import fault_submissions, faults
from xqueue_server.storage.schema import IS_HELD, submissions
from xqueue_server.storage.upsert import Upsert

SAME_HOLD_US = 60 * SECOND_US

_C = faults.c
_GIVEN = ("kind_key", "queue", "grader", "version", "kind", "signature", "detail")
_COUNT = Upsert(
    faults,
    {name: bindparam(name) for name in _GIVEN} | {"count": 1, "first_at": NOW, "last_at": NOW},
    conflict=["kind_key"],
    change={"count": _C["count"] + 1, "last_at": NOW},
    returning=[_C.id, _C["count"].label("times")],
)
_LINK = Upsert(
    fault_submissions,
    {"fault_id": bindparam("fault_id"), "submission_id": bindparam("submission_id"), "at": NOW},
    conflict=["fault_id", "submission_id"],
    change={"at": NOW},
)
_FAULT = select(*[_C[name] for name in Fault.__dataclass_fields__])
_BY_ID = _FAULT.where(_C.id == bindparam("of"))
_SUBMISSIONS = (
    select(fault_submissions.c.submission_id, submissions.c.state, fault_submissions.c.at)
    .join(submissions, submissions.c.id == fault_submissions.c.submission_id)
    .where(fault_submissions.c.fault_id == bindparam("of"))
    .order_by(fault_submissions.c.at.desc(), fault_submissions.c.submission_id.desc())
    .limit(50)
)


# Not what was released since and is held for another fault now. A hold is dated just after its
# fault is noted, in the same transaction.
_HELD = (
    select(fault_submissions.c.submission_id)
    .join(submissions, submissions.c.id == fault_submissions.c.submission_id)
    .where(
        IS_HELD,
        fault_submissions.c.fault_id == bindparam("of"),
        fault_submissions.c.submission_id > bindparam("after"),
        cast(fault_submissions.c.at, BigInteger)
        >= cast(submissions.c.held_at, BigInteger) - SAME_HOLD_US,
    )
    .order_by(fault_submissions.c.submission_id)
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultySubmission:
    submission_id: int
    state: SubmissionState
    at: datetime


def record(
    tx: Transaction,
    submission: Submission,
    kind: FaultKind,
    detail: str,
    *,
    key_hash: bytes | None,
) -> None:
    """Count a fault in the transaction that holds its submission; a new kind is to be notified.

    `key_hash` is of the lease that ended with it. A trial is its author's own affair.
    """
    if submission.is_trial:
        return
    handed_out = lease_graders.of_lease(tx, key_hash) if key_hash else None
    count(
        tx,
        Occurrence(
            queue=submission.queue,
            submission_id=submission.id,
            grader=handed_out.grader if handed_out else None,
            version=handed_out.version if handed_out else None,
            kind=kind,
            detail=detail[:MAX_DETAIL_CHARS],
        ),
    )


def count(tx: Transaction, occurrence: Occurrence) -> int:
    """Returns the id of the kind."""
    given = {name: getattr(occurrence, name) for name in _GIVEN}
    row = tx.one(_COUNT.on(tx), now=tx.now, **given)
    assert row is not None
    tx.run(_LINK.on(tx), fault_id=row.id, submission_id=occurrence.submission_id, now=tx.now)
    if row.times == 1:
        _notify(tx, row.id, occurrence.queue)
    return int(row.id)


def _notify(tx: Transaction, fault_id: int, queue: str) -> None:
    policy = policies.of_queue(tx, queue)
    for target in notifications.targets_of(policy):
        notifications.add(tx, fault_id, target)


def find(tx: Transaction, fault_id: int) -> Fault | None:
    row = tx.one(_BY_ID, of=fault_id)
    return _fault(row) if row else None


def submissions_of(tx: Transaction, fault_id: int) -> Sequence[FaultySubmission]:
    """The latest 50, newest first."""
    return [
        FaultySubmission(
            submission_id=row.submission_id, state=SubmissionState(row.state), at=row.at
        )
        for row in tx.all(_SUBMISSIONS, of=fault_id)
    ]


def held_by(tx: Transaction, fault_id: int, *, after: int, most: int) -> Sequence[int]:
    """Ids above `after` of the submissions that are held for it now, oldest first."""
    return [row.submission_id for row in tx.all(_HELD, of=fault_id, after=after, most=most)]


def latest(
    tx: Transaction,
    *,
    queues: Collection[str] | None = None,
    grader: str | None = None,
    kind: FaultKind | None = None,
    limit: int = 50,
    before: int | None = None,
) -> Sequence[Fault]:
    """Newest kinds first; of all queues if `queues` is None."""
    statement = _page(queues is not None, grader is not None, kind is not None, before is not None)
    given = {
        "page": limit,
        "of_queues": None if queues is None else sorted(queues),
        "of_grader": grader,
        "of_kind": kind,
        "before": before,
    }
    rows = tx.all(statement, **{name: value for name, value in given.items() if value is not None})
    return [_fault(row) for row in rows]


@cache
def _page(by_queue: bool, by_grader: bool, by_kind: bool, is_paged: bool) -> Select[Any]:
    statement = _FAULT.order_by(_C.id.desc()).limit(bindparam("page"))
    if by_queue:
        statement = statement.where(_C.queue.in_(bindparam("of_queues", expanding=True)))
    if by_grader:
        statement = statement.where(_C.grader == bindparam("of_grader"))
    if by_kind:
        statement = statement.where(_C.kind == bindparam("of_kind"))
    return statement.where(_C.id < bindparam("before")) if is_paged else statement


def _fault(row: Any) -> Fault:
    return Fault(**{**row._mapping, "kind": FaultKind(row.kind)})
