"""Callbacks as somebody may see them, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, exists, literal_column, select

from xqueue_server.callback import Callback, CallbackKind, CallbackState
from xqueue_server.scope import Scope
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.schema import callbacks, submissions
from xqueue_server.storage.scoping import is_of_submission_in_scope

_C = callbacks.c
_PAGE = select(*[_C[name] for name in Callback.__dataclass_fields__]).order_by(_C.id.desc())


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
    """Those of submissions in the scope; `before` is the id that the previous page ended with."""
    statement = _PAGE.where(is_of_submission_in_scope(scope)).limit(limit)
    if state is not None:  # a literal, so that the partial indexes count
        statement = statement.where(_C.state == literal_column(f"'{state}'"))
    if origin is not None:
        statement = statement.where(_C.origin == origin)
    if queue is not None:
        of_queue = and_(submissions.c.id == _C.submission_id, submissions.c.queue == queue)
        statement = statement.where(exists().where(of_queue))
    if before is not None:
        statement = statement.where(_C.id < before)
    return [
        Callback(
            **{
                **row._mapping,
                "state": CallbackState(row.state),
                "kind": CallbackKind(row.kind),
            }
        )
        for row in tx.all(statement)
    ]
