"""What somebody may see, as a condition on rows."""

from __future__ import annotations

from sqlalchemy import exists, false, or_, true
from sqlalchemy.sql.expression import ColumnElement

from xqueue_server.scope import Scope
from xqueue_server.storage.schema import callbacks, submissions


def is_in_scope(scope: Scope) -> ColumnElement[bool]:
    """Of a row of `submissions`. Nothing, unless something is granted."""
    if scope.queues is None:
        return true()
    kinds: list[ColumnElement[bool]] = []
    if scope.queues:
        kinds.append(submissions.c.queue.in_(sorted(scope.queues)))
    if scope.courses:
        kinds.append(submissions.c.course.in_(sorted(scope.courses)))
    return or_(*kinds) if kinds else false()


def is_of_submission_in_scope(scope: Scope) -> ColumnElement[bool]:
    """Of a row of `callbacks`."""
    if scope.queues is None:
        return true()
    if scope.is_nothing:
        return false()
    return exists().where(submissions.c.id == callbacks.c.submission_id, is_in_scope(scope))
