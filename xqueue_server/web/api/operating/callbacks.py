"""Messages to the LMSes: what they were told, are to be told, or could not be told."""

from __future__ import annotations

from typing import Any

from flask import Response

from xqueue_server.accounts.access import REPAIR, SEE
from xqueue_server.callbacks import delivery
from xqueue_server.models.callback import Callback, CallbackKind, CallbackState
from xqueue_server.settings import origin_of
from xqueue_server.storage import callback_pages, callbacks
from xqueue_server.storage.callbacks import Attempt
from xqueue_server.web.api.answer import answer, answer_unless_known, instant, instant_or_none
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.operating.seeing import callback_for
from xqueue_server.web.api.paging import page_of
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.reading import SMALL_BYTES, Fields
from xqueue_server.web.api.route import PAGE, Query, Route
from xqueue_server.web.api.schema import (
    ID,
    INSTANT,
    OBJECT,
    TEXT,
    WHOLE,
    extended,
    list_of,
    nullable,
    one_of,
    page,
    record,
)


def list_callbacks(call: ApiCall) -> Response:
    state, origin = call.request.args.get("state"), call.request.args.get("origin")
    queue = call.request.args.get("queue")
    if state is not None and state not in set(CallbackState):
        raise ApiError(422, "invalid", f"state must be one of {', '.join(CallbackState)}")
    if origin is not None and origin_of(origin) is None:
        raise ApiError(422, "invalid", "origin must be like https://lms.example.org")
    asked = page_of(call)
    with call.services.storage.read() as tx:
        if queue is not None:
            call.caller.require(tx, SEE, queue)
        found = callback_pages.latest(
            tx,
            call.caller.scope(tx, SEE),
            state=None if state is None else CallbackState(state),
            origin=None if origin is None else origin_of(origin),
            queue=queue,
            limit=asked.with_next,
            before=asked.before,
        )
    return answer(asked.answer("callbacks", found, callback_document, lambda c: c.id))


def show_callback(call: ApiCall, callback_id: int) -> Response:
    with call.services.storage.read() as tx:
        found = callback_for(call, tx, callback_id)
        attempts = callbacks.attempts_of(tx, callback_id)
    document = callback_document(found) | {"attempts": [attempt_document(a) for a in attempts]}
    return answer_unless_known(call.request, document)


def replay_callback(call: ApiCall, callback_id: int) -> Response:
    Fields(call.document(SMALL_BYTES), ()).check()
    with call.services.storage.write() as tx:
        callback_for(call, tx, callback_id, REPAIR)
        callbacks.replay(tx, callback_id, actor=call.caller.actor)
        found = callbacks.get(tx, callback_id)
    call.note(callback_id=callback_id)
    return answer(callback_document(found))


def replay_origin(call: ApiCall) -> Response:
    """All dead ones to one LMS. Those of a selection: `POST /submissions/bulk`."""
    call.caller.require_everywhere(REPAIR)
    fields = Fields(call.document(SMALL_BYTES), ("origin", "since"))
    origin = origin_of(fields.text("origin", most=300))
    since = fields.moment("since", is_needed=False)
    if origin is None:
        fields.wrong("origin", "must be like https://lms.example.org")
    fields.check()
    assert origin is not None
    count = delivery.replay_origin(
        call.services.storage, origin, actor=call.caller.actor, since=since
    )
    return answer({"count": count})


def callback_document(found: Callback) -> dict[str, Any]:
    return {
        "id": found.id,
        "submission_id": found.submission_id,
        "attempt_id": found.attempt_id,
        "kind": found.kind,
        "recipient": found.recipient,
        "purpose": found.purpose,
        "url": found.url,
        "origin": found.origin,
        "state": found.state,
        "attempt": found.attempt,
        "next_at": instant_or_none(found.next_at),
        "created_at": instant(found.created_at),
        "finished_at": instant_or_none(found.finished_at),
        "last_status": found.last_status,
        "last_error": found.last_error,
    }


def attempt_document(attempt: Attempt) -> dict[str, Any]:
    return {
        "started_at": instant(attempt.started_at),
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "error": attempt.error,
        "response": attempt.response,
    }


CALLBACK = record(
    "Callback",
    id=ID,
    submission_id=nullable(ID),
    attempt_id=nullable(ID),
    kind=one_of(CallbackKind),
    recipient=nullable(TEXT),
    purpose=nullable(TEXT),
    url=TEXT,
    origin=TEXT,
    state=one_of(CallbackState),
    attempt=WHOLE,
    next_at=nullable(INSTANT),
    created_at=INSTANT,
    finished_at=nullable(INSTANT),
    last_status=nullable(WHOLE),
    last_error=nullable(TEXT),
)
ATTEMPT = record(
    "CallbackAttempt",
    started_at=INSTANT,
    duration_ms=WHOLE,
    status=nullable(WHOLE),
    error=nullable(TEXT),
    response=nullable(TEXT),
)
CALLBACK_IN_FULL = extended(CALLBACK, "CallbackInFull", attempts=list_of(ATTEMPT))

ROUTES = (
    Route(
        method="GET",
        path="/callbacks",
        view=list_callbacks,
        about="Callbacks, newest first",
        who="viewer, operator or admin",
        query=(
            Query(name="state", about="Only in this state", schema=one_of(CallbackState)),
            Query(name="origin", about="Only to this LMS"),
            Query(name="queue", about="Only of this queue"),
            *PAGE,
        ),
        answers={200: page("callbacks", CALLBACK)},
    ),
    Route(
        method="GET",
        path="/callbacks/<int:callback_id>",
        view=show_callback,
        about="One callback and every try to send it",
        who="viewer, operator or admin",
        answers={200: CALLBACK_IN_FULL, 304: None},
    ),
    Route(
        method="POST",
        path="/callbacks/replay",
        view=replay_origin,
        about="Send all dead callbacks to an LMS again, or those that died since a moment",
        who="operator or admin on all queues",
        body=record("OriginReplay", optional=("since",), origin=TEXT, since=nullable(INSTANT)),
        answers={200: record("Replayed", count=WHOLE)},
    ),
    Route(
        method="POST",
        path="/callbacks/<int:callback_id>/replay",
        view=replay_callback,
        about="Send a dead callback again",
        who="operator or admin",
        body=OBJECT,
        answers={200: CALLBACK},
    ),
)
