"""Changing a submission's state, as the table of states allows and nowhere else."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import bindparam, func, literal_column, update
from sqlalchemy.sql.dml import Update

from xqueue_server.models.submission import (
    ENDED,
    Submission,
    SubmissionEvent,
    SubmissionState,
)
from xqueue_server.storage import capping, events, ordering, regrades
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.schema import submissions


def change(
    tx: Transaction,
    submission: Submission,
    event: SubmissionEvent,
    *,
    actor: str,
    detail: str | None = None,
    request_id: str | None = None,
    available_in_us: int | None = None,
    **columns: Any,
) -> bool:
    """Apply one event of the state table, by compare-and-set on what was read.

    `columns` are written with it; `available_in_us` delays the next lease by that much. Returns
    False, with nothing done, if the row has moved on. What ends a regrade without a new grade
    closes the regrade, too. What goes back to the line with another `priority` stands last of its
    course there, otherwise it is next. Where a capped one leaves the line or comes back to it,
    the learner's cap decides at the end of the transaction.
    """
    after = submission.after(event)
    detail = detail or columns.get("held_detail")
    if after is not SubmissionState.HELD:
        columns = {name: v for name, v in columns.items() if name not in _OF_HOLDS}
    if available_in_us is not None:
        columns["available_in_us"] = available_in_us
    if "priority" in columns and "turn" not in columns:
        columns["turn"] = ordering.turn_for(
            tx, submission.queue, columns["priority"], submission.course
        )
    crosses = submission.is_capped and (submission.state in _IN_LINE) != (after in _IN_LINE)
    if crosses and after in _IN_LINE:
        columns["is_blocked"] = True
    changed = tx.run(
        _change_statement(after, tuple(sorted(columns))),
        of=submission.id,
        state_was=submission.state,
        attempt_was=submission.attempt,
        now=tx.now,
        **columns,
    )
    if changed:
        events.submission_changed(
            tx,
            submission.id,
            submission.state,
            after,
            actor=actor,
            why=event,
            detail=detail,
            request_id=request_id,
        )
    if changed and submission.is_regrade and after in ENDED:
        regrades.end_without_grade(tx, submission.id, event, detail)
    if changed and crosses:
        if after in _IN_LINE:
            tx.arriving.add(submission.id)
        capping.admit_last(
            tx,
            queue=submission.queue,
            learner=submission.learner,
            course=submission.course,
            actor=actor,
        )
    return bool(changed)


_IN_LINE = (SubmissionState.QUEUED, SubmissionState.LEASED)


_OF_HOLDS = frozenset({"held_reason", "held_detail"})


@cache
def _change_statement(after: SubmissionState, columns: tuple[str, ...]) -> Update:
    """One prebuilt statement per kind of change: building costs more than running."""
    values: dict[str, Any] = {name: bindparam(name) for name in columns}
    if after is SubmissionState.QUEUED and "turn" not in values:
        values["turn"] = ordering.at_the_head()
    if "available_in_us" in values:
        values["available_at"] = NOW + values.pop("available_in_us")
    return (
        update(submissions)
        .where(
            submissions.c.id == bindparam("of"),
            submissions.c.state == bindparam("state_was"),
            submissions.c.attempt == bindparam("attempt_was"),
        )
        .values(state=literal_column(f"'{after}'"), **_columns_of(after), **values)
    )


def _columns_of(state: SubmissionState) -> dict[str, Any]:
    """What entering a state sets, whatever the event: leases and holds end, ends are dated."""
    columns: dict[str, Any] = {"lease_key": None, "lease_until": None, "leased_by": None}
    if state is SubmissionState.HELD:
        columns |= {"held_at": func.coalesce(submissions.c.held_at, NOW)}  # the first time counts
    else:
        columns |= {"held_reason": None, "held_detail": None, "held_at": None}
    if state is not SubmissionState.QUEUED:
        columns |= {"is_blocked": False}
    if state in ENDED:
        # The first time counts, too: a regrade does not change when the learner's wait ended.
        columns |= {"ended_at": func.coalesce(submissions.c.ended_at, NOW), "available_at": None}
    return columns
