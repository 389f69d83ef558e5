"""Messages to the LMSes: what could not be delivered, and sending it again."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response

from xqueue_server.accounts.access import REPAIR, SEE
from xqueue_server.errors import InvalidRequest, NotFound
from xqueue_server.models.account import Role
from xqueue_server.models.callback import Callback, CallbackState
from xqueue_server.settings import origin_of
from xqueue_server.storage import Transaction, callback_pages, callbacks
from xqueue_server.web.admin.call import HIGHEST_ID, AdminCall, Forbidden
from xqueue_server.web.admin.paths import at
from xqueue_server.web.admin.route import Route

PAGE = 50
LISTED = (CallbackState.DEAD, CallbackState.PENDING, CallbackState.DELIVERED)


def show_list(call: AdminCall) -> Response:
    """Dead ones unless asked for others."""
    asked = call.parameter("state") or CallbackState.DEAD
    state = CallbackState(asked) if asked in set(CallbackState) else None
    origin = call.parameter("origin")
    if origin and origin_of(origin) is None:
        raise InvalidRequest(f"{origin!r} is not like https://lms.example.org")
    queue = call.parameter("queue")
    if not queue.isprintable():
        raise InvalidRequest("The queue must be a queue's name")
    with call.storage.read() as tx:
        seen, repaired = call.scope(tx, SEE), call.scope(tx, REPAIR)
        found = callback_pages.latest(
            tx,
            seen,
            state=state,
            origin=origin_of(origin) if origin else None,
            queue=queue or None,
            limit=PAGE,
            before=call.page_before(),
        )
    return call.page(
        "callbacks.html",
        found=found,
        state=state,
        states=LISTED,
        origin=origin,
        queue=queue,
        may_repair=not repaired.is_nothing,
        limit=PAGE,
    )


def show_one(call: AdminCall, callback_id: int) -> Response:
    with call.storage.read() as tx:
        found = _callback(call, tx, callback_id, SEE)
        attempts = callbacks.attempts_of(tx, callback_id)
        may_repair = callback_pages.is_visible(tx, found, call.scope(tx, REPAIR))
    return call.page("callback.html", callback=found, attempts=attempts, may_repair=may_repair)


def replay(call: AdminCall, callback_id: int) -> Response:
    with call.storage.write() as tx:
        found = _callback(call, tx, callback_id, REPAIR)
        callbacks.replay(tx, callback_id, actor=call.actor)
    call.note(callback_id=callback_id)
    return call.done(
        f"Message {callback_id} to {found.origin} is sent again at once.",
        at("callbacks", found.id)
        if found.submission_id is None
        else at("submissions", found.submission_id),
    )


def _callback(
    call: AdminCall, tx: Transaction, callback_id: int, roles: frozenset[Role]
) -> Callback:
    """By its submission or its attempt's course. Raises: NotFound, Forbidden."""
    found = callbacks.find(tx, callback_id) if callback_id <= HIGHEST_ID else None
    if found is not None and found.submission_id is not None:
        call.require_submission(tx, found.submission_id, roles, SEE)
        return found
    if found is None or not callback_pages.is_visible(tx, found, call.scope(tx, SEE)):
        raise NotFound(f"There is no message {callback_id}, or it is not yours to see")
    if not callback_pages.is_visible(tx, found, call.scope(tx, roles)):
        raise Forbidden("This needs the role to repair what belongs to its course")
    return found


ROUTES: Sequence[Route] = (
    Route(method="GET", path="/callbacks", view=show_list, roles=SEE),
    Route(method="GET", path="/callbacks/<int:callback_id>", view=show_one, roles=SEE),
    Route(method="POST", path="/callbacks/<int:callback_id>/replay", view=replay, roles=REPAIR),
)
