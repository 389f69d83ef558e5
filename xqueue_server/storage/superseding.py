"""What a newer submission of the same part makes pointless, and retiring it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, bindparam, or_, select

from xqueue_server.storage import transitions
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.schema import (
    IS_PENDING,
    IS_UNFINISHED,
    callbacks,
    contents,
    submissions,
)
from xqueue_server.storage.submissions import get_locked
from xqueue_server.submission import UNFINISHED, SubmissionEvent, SubmissionState

_OLDER = (
    select(submissions.c.id, submissions.c.state, callbacks.c.id.label("callback_id"))
    .join(contents, contents.c.submission_id == submissions.c.id)
    .outerjoin(callbacks, and_(callbacks.c.submission_id == submissions.c.id, IS_PENDING))
    .where(
        contents.c.supersede_key == bindparam("key"),
        submissions.c.learner_submitted_at <= bindparam("until"),
        or_(IS_UNFINISHED, callbacks.c.id.is_not(None)),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """An older submission of the same part: unfinished, or graded with an undelivered callback."""

    submission_id: int
    state: SubmissionState
    callback_id: int | None


def find_older(tx: Transaction, supersede_key: bytes, until: datetime) -> Sequence[Superseded]:
    """What a submission with this key makes pointless, if made at `until` or before."""
    return [
        Superseded(
            submission_id=row.id, state=SubmissionState(row.state), callback_id=row.callback_id
        )
        for row in tx.all(_OLDER, key=supersede_key, until=until)
    ]


def supersede(tx: Transaction, submission_id: int, *, by: int, actor: str) -> bool:
    """Retire a submission, or end its regrade; False if it is finished by now."""
    submission = get_locked(tx, submission_id)
    if submission.state not in UNFINISHED:
        return False
    return transitions.change(
        tx, submission, SubmissionEvent.SUPERSEDE, actor=actor, detail=f"by submission {by}"
    )
