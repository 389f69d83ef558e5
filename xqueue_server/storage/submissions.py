"""Submissions: arriving, being superseded, being counted, and changing state."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Select,
    and_,
    bindparam,
    cast,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import Update
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeEngine

from xqueue_server.errors import NotFound
from xqueue_server.instant import SECOND_US
from xqueue_server.storage import events
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.schema import (
    IS_HELD,
    IS_PENDING,
    IS_READY,
    IS_UNFINISHED,
    callbacks,
    contents,
    queues,
    submissions,
)
from xqueue_server.submission import (
    ENDED,
    TRANSITIONS,
    UNFINISHED,
    FileReference,
    HoldReason,
    NewSubmission,
    Submission,
    SubmissionEvent,
    SubmissionState,
)

_INSERT = (
    insert(submissions)
    .values(state="queued", attempt=1, platform_failures=0, arrived_at=NOW)
    .returning(submissions.c.id)
)
_GIVEN_FIELDS = (
    "queue",
    "priority",
    "request_id",
    "submitted_by",
    "callback_url",
    "lms_key",
    "learner_submitted_at",
)
_CONTENT_FIELDS = ("header", "body", "files", "supersede_key")
_INSERT_CONTENTS = insert(contents)


def _insert_at_once() -> Select[Any]:
    """The row, its contents and its first event in one statement, for PostgreSQL.

    There every statement is a round trip, which costs more than what it does.
    """
    new = _INSERT.values(
        {name: bindparam(name, type_=submissions.c[name].type) for name in _GIVEN_FIELDS}
    ).cte("new")
    given = [_nullable(name, contents.c[name].type) for name in _CONTENT_FIELDS]
    kept = insert(contents).from_select(
        ["submission_id", *_CONTENT_FIELDS], select(new.c.id, *given)
    )
    noted = events.insert_of_submission(
        new.c.id, from_state=None, to_state=SubmissionState.QUEUED, why=SubmissionEvent.ARRIVE
    )
    return select(new.c.id).add_cte(kept.cte("kept"), noted.cte("noted"))


def _nullable(name: str, kind: TypeEngine[Any]) -> ColumnElement[Any]:
    """A parameter of a SELECT list, where PostgreSQL would take a bare NULL for text."""
    return cast(bindparam(name, type_=kind), kind)


_INSERT_AT_ONCE = _insert_at_once()
_CONTENTS = select(contents.c.header, contents.c.body, contents.c.files).where(
    contents.c.submission_id == bindparam("of")
)
_BY_ID = select(*[submissions.c[f] for f in Submission.__dataclass_fields__]).where(
    submissions.c.id == bindparam("of")
)
_BY_ID_LOCKED = _BY_ID.with_for_update()
_LATEST = (
    select(submissions.c.id, submissions.c.request_id)
    .order_by(submissions.c.id.desc())
    .limit(10_000)
    .subquery()
)
_OF_REQUEST = select(_LATEST.c.id).where(_LATEST.c.request_id == bindparam("request"))


def insert_new(tx: Transaction, new: NewSubmission) -> int:
    """Store a submission and its contents; returns its id."""
    actor = f"account {new.submitted_by}"
    row = {name: getattr(new, name) for name in _GIVEN_FIELDS}
    content = {
        "header": new.header,
        "body": new.body,
        "files": files_to_json(new.files),
        "supersede_key": new.supersede_key,
    }
    if tx.is_postgres:
        event = {"event_actor": actor, "event_request": new.request_id}
        return int(tx.scalar(_INSERT_AT_ONCE, now=tx.now, **row, **content, **event))
    submission_id = int(tx.scalar(_INSERT, now=tx.now, **row))
    tx.run(_INSERT_CONTENTS, submission_id=submission_id, **content)
    events.submission_changed(
        tx,
        submission_id,
        None,
        SubmissionState.QUEUED,
        actor=actor,
        why=SubmissionEvent.ARRIVE,
        request_id=new.request_id,
    )
    return submission_id


def files_to_json(files: Iterable[FileReference]) -> str | None:
    listed = [{"name": f.name, "blob": f.blob, "size_bytes": f.size_bytes} for f in files]
    return json.dumps(listed) if listed else None


def files_from_json(text: str | None) -> tuple[FileReference, ...]:
    return tuple(FileReference(**f) for f in json.loads(text)) if text else ()


# -- looking -------------------------------------------------------------------------------------


def find(tx: Transaction, submission_id: int) -> Submission | None:
    row = tx.one(_BY_ID, of=submission_id)
    return _submission(row._mapping) if row else None


def get_locked(tx: Transaction, submission_id: int) -> Submission:
    """The row, locked until the transaction ends. Raises: NotFound."""
    row = tx.one(_BY_ID_LOCKED, of=submission_id)
    if row is None:
        raise NotFound("Submission does not exist")
    return _submission(row._mapping)


def _submission(row: Any) -> Submission:
    fields = dict(row)
    fields["state"] = SubmissionState(fields["state"])
    if fields["held_reason"] is not None:
        fields["held_reason"] = HoldReason(fields["held_reason"])
    return Submission(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    header: str = field(repr=False)
    body: str = field(repr=False)
    files: tuple[FileReference, ...]


def contents_of(tx: Transaction, submission_id: int) -> Contents:
    row = tx.one(_CONTENTS, of=submission_id)
    if row is None:
        raise NotFound("Submission does not exist")
    return Contents(header=row.header, body=row.body, files=files_from_json(row.files))


# -- superseding ---------------------------------------------------------------------------------

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
    """Retire a submission; False if it is finished by now."""
    submission = get_locked(tx, submission_id)
    if submission.state not in UNFINISHED:
        return False
    return change(
        tx, submission, SubmissionEvent.SUPERSEDE, actor=actor, detail=f"by submission {by}"
    )


def id_of_request(tx: Transaction, request_id: str) -> int | None:
    """The submission that this request has stored, if an earlier try of it got that far.

    Looks only at the latest: a retry follows its first try within seconds.
    """
    found: int | None = tx.scalar(_OF_REQUEST, request=request_id)
    return found


# -- counting ------------------------------------------------------------------------------------

# In index order, see `leases`: else PostgreSQL may look for the rows in all the history.
_READY_IDS = (
    select(literal(1))
    .where(submissions.c.queue == bindparam("q"), IS_READY)
    .order_by(submissions.c.priority.desc(), submissions.c.id)
)
_COUNT_UP_TO = select(func.count()).select_from(_READY_IDS.limit(bindparam("most")).subquery())
_COUNT = (
    select(func.count())
    .select_from(submissions)
    .where(submissions.c.queue == bindparam("q"), IS_READY)
)


def count_ready_up_to(tx: Transaction, queue: str, most: int) -> int:
    """Submissions that a grader could lease now, counted no further than `most`."""
    return int(tx.scalar(_COUNT_UP_TO, q=queue, most=most))


def count_ready(tx: Transaction, queue: str) -> int:
    """All of them: O(backlog)."""
    return int(tx.scalar(_COUNT, q=queue))


# -- holds that last too long ----------------------------------------------------------------------

_SHORTEST_HOLD_S = (
    select(cast(func.min(queues.c.give_up_after_s), BigInteger))
    .where(queues.c.give_up_after_s > 0)
    .scalar_subquery()
)
_HOLDS_TO_END = (
    select(submissions.c.id)
    .join(queues, queues.c.name == submissions.c.queue)
    .where(
        IS_HELD,
        queues.c.give_up_after_s > 0,
        submissions.c.held_at <= ONCE_NOW - _SHORTEST_HOLD_S * SECOND_US,  # bounds the index scan
        submissions.c.held_at <= ONCE_NOW - cast(queues.c.give_up_after_s, BigInteger) * SECOND_US,
    )
    .order_by(submissions.c.held_at)
    .limit(bindparam("most"))
)
_HOLDS_TO_END_LOCKED = _HOLDS_TO_END.with_for_update(skip_locked=True, of=submissions)


def has_hold_to_end(tx: Transaction) -> bool:
    """Whether a held submission has waited its queue's `give_up_after_s`."""
    return tx.one(_HOLDS_TO_END, most=1, now=tx.now) is not None


def lock_holds_to_end(tx: Transaction, most: int) -> Sequence[int]:
    """Ids of such submissions, locked until the transaction ends."""
    return [row.id for row in tx.all(_HOLDS_TO_END_LOCKED, most=most, now=tx.now)]


# -- changing state ------------------------------------------------------------------------------


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
    False, with nothing done, if the row has moved on.
    """
    after = TRANSITIONS[(submission.state, event)]
    if available_in_us is not None:
        columns["available_in_us"] = available_in_us
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
    return bool(changed)


@cache
def _change_statement(after: SubmissionState, columns: tuple[str, ...]) -> Update:
    """One prebuilt statement per kind of change: building costs more than running."""
    values: dict[str, Any] = {name: bindparam(name) for name in columns}
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
    if state in ENDED:
        columns |= {"ended_at": NOW, "available_at": None}
    return columns
