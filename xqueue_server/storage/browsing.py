"""Read-only lists for people: learners' submissions and events, newest first, a page at a time.

One submission, its results and its callbacks are read by the modules that own them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, literal_column, select

from xqueue_server.models.submission import UNFINISHED, HoldReason, Submission, SubmissionState
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.events import Event
from xqueue_server.storage.schema import IS_OF_LEARNER, events, submissions

_C = submissions.c
_SUBMISSIONS = select(*[_C[f] for f in Submission.__dataclass_fields__]).where(IS_OF_LEARNER)
_EVENTS = select(*[events.c[f] for f in Event.__dataclass_fields__])
# One query for each state: each has a partial index that names that state alone.
_COUNTS = [
    select(
        _C.queue,
        literal_column(f"'{state}'").label("state"),
        func.count().label("count"),
        func.min(_C.arrived_at).label("oldest_at"),
    )
    .where(_C.state == literal_column(f"'{state}'"), IS_OF_LEARNER)
    .group_by(_C.queue)
    for state in UNFINISHED
]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedCount:
    """How many submissions of a queue are in one of the states that are not an end."""

    queue: str
    state: SubmissionState
    count: int
    oldest_at: datetime


def latest_submissions(
    tx: Transaction,
    *,
    queue: str | None = None,
    state: SubmissionState | None = None,
    limit: int = 50,
    before: int | None = None,
) -> Sequence[Submission]:
    """Newest first; `before` is the id that the previous page ended with."""
    statement = _submission_page(state, queue is not None, before is not None)
    rows = tx.all(statement, **_given(page=limit, of_queue=queue, before=before))
    return [_submission(row) for row in rows]


def latest_events(
    tx: Transaction, *, subject: str | None = None, limit: int = 50, before: int | None = None
) -> Sequence[Event]:
    """Who changed what, newest first. `subject` is exact, e.g. "account lms" or "queue q"."""
    statement = _event_page(subject is not None, before is not None)
    rows = tx.all(statement, **_given(page=limit, of_subject=subject, before=before))
    return [Event(**row._mapping) for row in rows]


def unfinished_counts(tx: Transaction) -> Sequence[UnfinishedCount]:
    """For every queue and unfinished state with submissions."""
    return [
        UnfinishedCount(**{**row._mapping, "state": SubmissionState(row.state)})
        for statement in _COUNTS
        for row in tx.all(statement)
    ]


@cache
def _submission_page(
    state: SubmissionState | None, of_one_queue: bool, is_paged: bool
) -> Select[Any]:
    statement = _SUBMISSIONS.order_by(_C.id.desc()).limit(bindparam("page"))
    if state is not None:  # a literal, so that the partial indexes count
        statement = statement.where(_C.state == literal_column(f"'{state}'"))
    if of_one_queue:
        statement = statement.where(_C.queue == bindparam("of_queue"))
    return statement.where(_C.id < bindparam("before")) if is_paged else statement


@cache
def _event_page(of_one_subject: bool, is_paged: bool) -> Select[Any]:
    statement = _EVENTS.order_by(events.c.id.desc()).limit(bindparam("page"))
    if of_one_subject:
        statement = statement.where(events.c.subject == bindparam("of_subject"))
    return statement.where(events.c.id < bindparam("before")) if is_paged else statement


def _given(**params: object) -> dict[str, object]:
    return {name: value for name, value in params.items() if value is not None}


def _submission(row: Row[Any]) -> Submission:
    fields = dict(row._mapping)
    fields["state"] = SubmissionState(fields["state"])
    if fields["held_reason"] is not None:
        fields["held_reason"] = HoldReason(fields["held_reason"])
    return Submission(**fields)
