"""Callbacks as somebody may see them, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, bindparam, exists, literal_column, select

from xqueue_server.models.callback import Callback, CallbackState
from xqueue_server.models.scope import Scope
from xqueue_server.storage import callbacks, schema
from xqueue_server.storage import submissions as stored_submissions
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.proctoring_schema import exam_attempts
from xqueue_server.storage.schema import submissions
from xqueue_server.storage.scoping import is_callback_in_scope

_C = schema.callbacks.c
_PAGE = callbacks.SELECT.order_by(_C.id.desc())

_COURSE = select(exam_attempts.c.course_id).where(exam_attempts.c.id == bindparam("of"))


def is_visible(tx: Transaction, callback: Callback, scope: Scope) -> bool:
    """By its submission, or by the course of its attempt; what is of neither, to whoever may see
    everything."""
    if callback.submission_id is not None:
        found = stored_submissions.find(tx, callback.submission_id)
        return found is not None and scope.covers(found.queue, found.course)
    course = tx.scalar(_COURSE, of=callback.attempt_id) if callback.attempt_id else None
    return scope.is_everything or course in scope.courses


def latest(
    tx: Transaction,
    scope: Scope,
    *,
    state: CallbackState | None = None,
    origin: str | None = None,
    queue: str | None = None,
    limit: int = 50,
    before: int | None = None,
) -> Sequence[Callback]:
    """Those in the scope; `before` is the id that the previous page ended with."""
    statement = _PAGE.where(is_callback_in_scope(scope)).limit(limit)
    if state is not None:  # a literal, so that the partial indexes count
        statement = statement.where(_C.state == literal_column(f"'{state}'"))
    if origin is not None:
        statement = statement.where(_C.origin == origin)
    if queue is not None:
        of_queue = and_(submissions.c.id == _C.submission_id, submissions.c.queue == queue)
        statement = statement.where(exists().where(of_queue))
    if before is not None:
        statement = statement.where(_C.id < before)
    return [callbacks.callback_of(row) for row in tx.all(statement)]
