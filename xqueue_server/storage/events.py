"""The append-only record of who changed what, from which state to which, why and when."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, String, bindparam, cast, insert, literal, select
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.expression import ColumnElement

from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.schema import events


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    id: int
    at: datetime
    submission_id: int | None
    subject: str
    actor: str
    from_state: str | None
    to_state: str | None
    why: str
    detail: str | None
    request_id: str | None


_WEBHOOK = re.compile(r"(webhook_url=https?://[^/?#\s]*)\S*?(?=, |\Z)")
_APPEND = insert(events).values(at=NOW)


def insert_of_submission(
    submission_id: ColumnElement[int], *, from_state: str | None, to_state: str, why: str
) -> Insert:
    """One change of state as a part of the statement that makes it.

    `submission_id` is a column of that statement's other part; its parameters are `event_actor` and
    `event_request` (a column's name would be taken for a value of the other part).
    """
    fields: dict[str, ColumnElement[Any]] = {
        "at": NOW,
        "submission_id": submission_id,
        "subject": literal("submission ").concat(cast(submission_id, String)),
        "actor": bindparam("event_actor", type_=String()),
        "from_state": cast(literal(from_state, String()), String),
        "to_state": literal(to_state, String()),
        "why": literal(why, String()),
        "request_id": cast(bindparam("event_request", type_=String()), String),
    }
    return insert(events).from_select(list(fields), select(*fields.values()))


_COLUMNS = [events.c[name] for name in Event.__dataclass_fields__]
_OF_SUBMISSION = (
    select(*_COLUMNS).where(events.c.submission_id == bindparam("of")).order_by(events.c.id)
)


def append(
    tx: Transaction,
    *,
    subject: str,
    actor: str,
    why: str,
    submission_id: int | None = None,
    from_state: str | None = None,
    to_state: str | None = None,
    detail: str | None = None,
    request_id: str | None = None,
) -> None:
    """Record a change in the transaction that makes it.

    `actor` is "account NAME", "operator NAME" or the name of a process ("deliver").
    """
    tx.run(
        _APPEND,
        now=tx.now,
        subject=subject,
        actor=actor,
        why=why,
        submission_id=submission_id,
        from_state=from_state,
        to_state=to_state,
        detail=detail,
        request_id=request_id,
    )


def submission_changed(
    tx: Transaction,
    submission_id: int,
    from_state: str | None,
    to_state: str,
    *,
    actor: str,
    why: str,
    detail: str | None = None,
    request_id: str | None = None,
) -> None:
    """Record one change of a submission's state."""
    append(
        tx,
        subject=f"submission {submission_id}",
        submission_id=submission_id,
        from_state=from_state,
        to_state=to_state,
        actor=actor,
        why=why,
        detail=detail,
        request_id=request_id,
    )


def of_submission(tx: Transaction, submission_id: int) -> Sequence[Event]:
    """Everything that happened to one submission and its callbacks, oldest first."""
    return [event_of(row) for row in tx.all(_OF_SUBMISSION, of=submission_id)]


def event_of(row: Row[Any]) -> Event:
    """Programs before this version recorded a webhook with its path, which may be a secret."""
    named = dict(row._mapping)
    return Event(**named | {"detail": named["detail"] and without_webhook_paths(named["detail"])})


def without_webhook_paths(detail: str) -> str:
    """Of the address of a webhook only where it goes."""
    return _WEBHOOK.sub(r"\1", detail)
