"""Trials: an author's submission, and waiting for its reply."""

from __future__ import annotations

import json
import threading
from time import monotonic
from typing import Any

from flask import Response

from xqueue_server.authoring import trying
from xqueue_server.models.trial import ENDED, MOST_FILES_BYTES, Standing
from xqueue_server.settings import Settings
from xqueue_server.web.api.answer import answer, instant, instant_or_none
from xqueue_server.web.api.call import HIGHEST_ID, ApiCall
from xqueue_server.web.api.caller import AUTHOR
from xqueue_server.web.api.graders import MAX_PUBLICATION_BYTES
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.call import to_seconds
from xqueue_server.web.waiting import LONGEST_WAIT_S

LOOK_EVERY_S = 0.1


def begin_trial(call: ApiCall) -> Response:
    services, caller = call.services, call.caller
    document = call.document(_most_bytes(services.settings))
    with services.storage.read() as tx:
        queue = caller.require(tx, AUTHOR, document.get("queue"))
    request = trying.read_request(document, services.settings)
    trial_id = trying.begin(
        services.storage,
        services.files,
        caller.account,
        request,
        services.settings.ceilings,
        token_id=caller.token_id,
        request_id=call.request_id,
    )
    call.note(queue=queue, trial_id=trial_id)
    services.dispatcher.nudge(queue)
    response = answer({"id": trial_id, "state": "queued"}, 202)
    response.headers["Location"] = f"/api/v1/trials/{trial_id}"
    return response


def _most_bytes(settings: Settings) -> int:
    """What a trial may have, as JSON: escapes and base64 make it longer."""
    return MAX_PUBLICATION_BYTES + 2 * settings.max_body_bytes + MOST_FILES_BYTES * 4 // 3


def show_trial(call: ApiCall, trial_id: int) -> Response:
    if trial_id > HIGHEST_ID:
        raise ApiError(404, "not-found", "No such trial")
    wait_s = min(to_seconds(call.request.args.get("wait")) or 0.0, LONGEST_WAIT_S)
    standing = trying.mine(call.services.storage, call.caller.account, trial_id)
    if standing.state not in ENDED and wait_s > 0:
        standing = _when_it_has_ended(call, standing, monotonic() + wait_s)
    return answer(_document(standing))


def _when_it_has_ended(call: ApiCall, standing: Standing, deadline: float) -> Standing:
    """Another process writes the end, so the database is asked; a few authors at a time wait."""
    pause = threading.Event()  # never set: an interruptible sleep
    with call.services.waiting.place() as taken:
        while taken and standing.state not in ENDED and monotonic() < deadline:
            pause.wait(min(LOOK_EVERY_S, max(0.0, deadline - monotonic())))
            standing = trying.mine(call.services.storage, call.caller.account, standing.trial.id)
    return standing


def _document(standing: Standing) -> dict[str, Any]:
    trial = standing.trial
    return {
        "id": trial.id,
        "queue": trial.queue,
        "state": standing.state,
        "held_reason": standing.held_reason,
        "detail": standing.detail,
        "forgeable": trial.manifest.is_forgeable,
        "reply": _parsed(standing.reply),
        "record": _parsed(trial.record),
        "created_at": instant(trial.created_at),
        "ended_at": instant_or_none(standing.ended_at),
    }


def _parsed(text: str | None) -> Any:
    """As JSON where it is; workers of others may have answered anything."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text
