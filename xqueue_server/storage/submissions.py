"""Submissions: arriving, being superseded, being counted, and changing state."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Boolean,
    Select,
    and_,
    bindparam,
    cast,
    exists,
    insert,
    select,
)
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeEngine

from xqueue_server.errors import NotFound
from xqueue_server.models.submission import (
    TRIAL_PRIORITY,
    FileReference,
    HoldReason,
    NewSubmission,
    Submission,
    SubmissionEvent,
    SubmissionState,
)
from xqueue_server.storage import events
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.ordering import next_turn
from xqueue_server.storage.schema import (
    contents,
    queues,
    submissions,
)

_GIVEN_FIELDS = (
    "queue",
    "priority",
    "request_id",
    "submitted_by",
    "callback_url",
    "lms_key",
    "learner_submitted_at",
    "course",
    "learner",
    "exam_id",
)
_CONTENT_FIELDS = (
    "header",
    "body",
    "files",
    "supersede_key",
    "traceparent",
    "course",
    "learner",
    "problem",
)
_INSERT_CONTENTS = insert(contents)
_GIVEN = {name: bindparam(name, type_=submissions.c[name].type) for name in _GIVEN_FIELDS}
_may_be_capped = and_(
    bindparam("has_learner", type_=Boolean()),
    exists().where(queues.c.name == _GIVEN["queue"], queues.c.learner_cap.is_not(None)),
)
_INSERT = (
    insert(submissions)
    .values(
        state="queued",
        attempt=1,
        platform_failures=0,
        arrived_at=NOW,
        turn=next_turn(_GIVEN["queue"], _GIVEN["priority"], _GIVEN["course"]),
        is_capped=_may_be_capped,
        is_blocked=_may_be_capped,  # until `capping.admit` has decided
        **_GIVEN,
    )
    .returning(submissions.c.id, submissions.c.is_blocked)
)


def _insert_at_once() -> Select[Any]:
    """The row, its contents and its first event in one statement, for PostgreSQL.

    There every statement is a round trip, which costs more than what it does.
    """
    new = _INSERT.cte("new")
    given = [_nullable(name, contents.c[name].type) for name in _CONTENT_FIELDS]
    kept = insert(contents).from_select(
        ["submission_id", *_CONTENT_FIELDS], select(new.c.id, *given)
    )
    noted = events.insert_of_submission(
        new.c.id, from_state=None, to_state=SubmissionState.QUEUED, why=SubmissionEvent.ARRIVE
    )
    return select(new.c.id, new.c.is_blocked).add_cte(kept.cte("kept"), noted.cte("noted"))


def _nullable(name: str, kind: TypeEngine[Any]) -> ColumnElement[Any]:
    """A parameter of a SELECT list, where PostgreSQL would take a bare NULL for text."""
    return cast(bindparam(name, type_=kind), kind)


_INSERT_AT_ONCE = _insert_at_once()
_CONTENTS = select(contents.c.header, contents.c.body, contents.c.files).where(
    contents.c.submission_id == bindparam("of")
)
_HAS_CONTENTS = select(contents.c.submission_id).where(
    contents.c.submission_id == bindparam("of"),
    contents.c.header != "",  # emptied when it was kept long enough, or erased
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    id: int
    is_blocked: bool
    """It counts to its learner's cap: `capping.admit` has yet to decide."""


def insert_new(tx: Transaction, new: NewSubmission) -> int:
    """Store a submission of a queue without a learner's cap, and its contents; returns its id."""
    return store(tx, new).id


def store(tx: Transaction, new: NewSubmission) -> Stored:
    """Store a submission and its contents."""
    actor = f"account {new.submitted_by}"
    content = {
        "header": new.header,
        "body": new.body,
        "files": files_to_json(new.files),
        "supersede_key": new.supersede_key,
        "traceparent": new.traceparent,
        "course": new.place.course,
        "learner": new.place.learner,
        "problem": new.place.problem,
    }
    row = {name: getattr(new, name) for name in _GIVEN_FIELDS if name not in content} | {
        "course": new.place.course,
        "learner": new.place.learner,
        "has_learner": bool(new.place.learner) and new.priority > TRIAL_PRIORITY,
    }
    if tx.is_postgres:
        event = {"event_actor": actor, "event_request": new.request_id}
        return _stored(tx.one(_INSERT_AT_ONCE, now=tx.now, **(row | content | event)))
    stored = _stored(tx.one(_INSERT, now=tx.now, **row))
    tx.run(_INSERT_CONTENTS, submission_id=stored.id, **content)
    events.submission_changed(
        tx,
        stored.id,
        None,
        SubmissionState.QUEUED,
        actor=actor,
        why=SubmissionEvent.ARRIVE,
        request_id=new.request_id,
    )
    return stored


def _stored(row: Any) -> Stored:
    return Stored(id=row.id, is_blocked=row.is_blocked)


def files_to_json(files: Iterable[FileReference]) -> str | None:
    listed = [{"name": f.name, "blob": f.blob, "size_bytes": f.size_bytes} for f in files]
    return json.dumps(listed) if listed else None


def files_from_json(text: str | None) -> tuple[FileReference, ...]:
    return tuple(FileReference(**f) for f in json.loads(text)) if text else ()


def id_of_request(tx: Transaction, request_id: str) -> int | None:
    """The submission that this request has stored, if an earlier try of it got that far.

    Looks only at the latest: a retry follows its first try within seconds.
    """
    found: int | None = tx.scalar(_OF_REQUEST, request=request_id)
    return found


# -- looking -------------------------------------------------------------------------------------


def find(tx: Transaction, submission_id: int) -> Submission | None:
    row = tx.one(_BY_ID, of=submission_id)
    return submission_of(row._mapping) if row else None


def get_locked(tx: Transaction, submission_id: int) -> Submission:
    """The row, locked until the transaction ends. Raises: NotFound."""
    row = tx.one(_BY_ID_LOCKED, of=submission_id)
    if row is None:
        raise NotFound("Submission does not exist")
    return submission_of(row._mapping)


def submission_of(row: Any) -> Submission:
    """From a mapping of the columns that are the fields of `Submission`."""
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


def has_contents(tx: Transaction, submission_id: int) -> bool:
    """Whether what the learner wrote is still kept."""
    return tx.one(_HAS_CONTENTS, of=submission_id) is not None


def contents_of(tx: Transaction, submission_id: int) -> Contents:
    row = tx.one(_CONTENTS, of=submission_id)
    if row is None:
        raise NotFound("Submission does not exist")
    return Contents(header=row.header, body=row.body, files=files_from_json(row.files))
