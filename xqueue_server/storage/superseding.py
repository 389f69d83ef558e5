"""What a newer submission of the same part makes pointless, and retiring it.

Looked up with it: whether an exam may claim the newer one. Hardly any is claimed and hardly any
supersedes another, so that one round trip tells of nearly all that there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, bindparam, cast, literal_column, null, or_, select

from xqueue_server.models.submission import UNFINISHED, SubmissionEvent, SubmissionState
from xqueue_server.storage import transitions
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.proctoring_schema import exam_claims
from xqueue_server.storage.schema import (
    IS_PENDING,
    IS_UNFINISHED,
    IS_WITHHELD,
    callbacks,
    contents,
    submissions,
)
from xqueue_server.storage.submissions import get_locked

_IS_UNDELIVERED = or_(IS_PENDING, IS_WITHHELD)
_OLDER = (
    select(submissions.c.id, submissions.c.state, callbacks.c.id.label("callback_id"))
    .join(contents, contents.c.submission_id == submissions.c.id)
    .outerjoin(callbacks, and_(callbacks.c.submission_id == submissions.c.id, _IS_UNDELIVERED))
    .where(
        contents.c.supersede_key == bindparam("key"),
        submissions.c.learner_submitted_at <= bindparam("until"),
        or_(IS_UNFINISHED, callbacks.c.id.is_not(None)),
    )
)
_X = exam_claims.c
_CLAIMS = select(
    cast(null(), submissions.c.id.type),
    cast(null(), submissions.c.state.type),
    cast(null(), callbacks.c.id.type),
).where(
    or_(
        and_(_X.kind == literal_column("'problem'"), _X.value == bindparam("problem")),
        and_(_X.kind == literal_column("'queue'"), _X.value == bindparam("queue")),
    )
)
_BEFORE = _OLDER.union_all(_CLAIMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """An older submission of the same part: unfinished, or graded with an undelivered callback."""

    submission_id: int
    state: SubmissionState
    callback_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What must be known of a submission before it is stored."""

    older: Sequence[Superseded]
    """What it makes pointless; oldest first, the order in which they may be locked."""
    may_be_claimed: bool
    """Of some LMS, an exam claims its problem or its queue."""


def look(
    tx: Transaction,
    *,
    supersede_key: bytes | None,
    until: datetime | None,
    problem: str,
    queue: str,
) -> Before:
    """One statement. `until`: when the learner must have made what this submission supersedes."""
    rows = tx.all(_BEFORE, key=supersede_key, until=until, problem=problem, queue=queue)
    older = [
        Superseded(
            submission_id=row.id, state=SubmissionState(row.state), callback_id=row.callback_id
        )
        for row in rows
        if row.id is not None
    ]
    return Before(
        older=sorted(older, key=lambda each: each.submission_id),
        may_be_claimed=len(older) < len(rows),
    )


def supersede(tx: Transaction, submission_id: int, *, by: int, actor: str) -> bool:
    """Retire a submission, or end its regrade; False if it is finished by now."""
    submission = get_locked(tx, submission_id)
    if submission.state not in UNFINISHED:
        return False
    return transitions.change(
        tx, submission, SubmissionEvent.SUPERSEDE, actor=actor, detail=f"by submission {by}"
    )
