"""What somebody may see, as a condition on rows."""

from __future__ import annotations

from sqlalchemy import exists, false, or_, true
from sqlalchemy.sql.expression import ColumnElement

from xqueue_server.models.scope import Scope
from xqueue_server.storage.proctoring_schema import exam_attempts
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


def is_callback_in_scope(scope: Scope) -> ColumnElement[bool]:
    """Of a row of `callbacks`: by its submission, or by the course of its attempt."""
    if scope.queues is None:
        return true()
    if scope.is_nothing:
        return false()
    of_submission = exists().where(
        submissions.c.id == callbacks.c.submission_id, is_in_scope(scope)
    )
    of_attempt = exists().where(
        exam_attempts.c.id == callbacks.c.attempt_id,
        exam_attempts.c.course_id.in_(sorted(scope.courses)),
    )
    return or_(of_submission, of_attempt) if scope.courses else of_submission
