"""Finding what the caller named, if it is in his scope. Else it is not there for him."""

from __future__ import annotations

from typing import NoReturn

from xqueue_server.accounts.access import SEE
from xqueue_server.models.account import Role
from xqueue_server.models.callback import Callback
from xqueue_server.models.scope import Scope
from xqueue_server.models.submission import Submission
from xqueue_server.storage import Transaction, callbacks, submissions
from xqueue_server.storage.callback_pages import is_visible
from xqueue_server.web.api.call import HIGHEST_ID, ApiCall
from xqueue_server.web.api.problem import ApiError


def submission_for(
    call: ApiCall, tx: Transaction, submission_id: int, roles: frozenset[Role] = SEE
) -> Submission:
    """Raises: ApiError 404 where the caller may not even see it, 403 where he may only see it."""
    found = submissions.find(tx, submission_id) if submission_id <= HIGHEST_ID else None
    if found is None or found.is_trial or not _covers(call.caller.scope(tx, SEE), found):
        _missing("Submission", submission_id)
    if roles != SEE and not _covers(call.caller.scope(tx, roles), found):
        _forbidden(roles)
    return found


def callback_for(
    call: ApiCall, tx: Transaction, callback_id: int, roles: frozenset[Role] = SEE
) -> Callback:
    """By its submission or its attempt's course. Raises: ApiError 404, 403."""
    found = callbacks.find(tx, callback_id) if callback_id <= HIGHEST_ID else None
    if found is None or not is_visible(tx, found, call.caller.scope(tx, SEE)):
        _missing("Callback", callback_id)
    if roles != SEE and not is_visible(tx, found, call.caller.scope(tx, roles)):
        _forbidden(roles)
    return found


def _covers(scope: Scope, submission: Submission) -> bool:
    return scope.covers(submission.queue, submission.course)


def _missing(kind: str, of: int) -> NoReturn:
    raise ApiError(404, "not-found", f"{kind} {of} not found")


def _forbidden(roles: frozenset[Role]) -> NoReturn:
    needed = " or ".join(sorted(roles))
    raise ApiError(403, "forbidden", f"This needs the role {needed}")
