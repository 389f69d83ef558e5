"""How much there is to do, was, and how many workers that needs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import Response

from xqueue_server.accounts.access import SEE
from xqueue_server.instant import to_datetime
from xqueue_server.storage import load
from xqueue_server.storage.load import LoadMinute
from xqueue_server.web.api.answer import answer_unless_known, instant
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.reading import moment_of
from xqueue_server.web.api.route import Query, Route
from xqueue_server.web.api.schema import (
    INSTANT,
    NUMBER,
    TEXT,
    WHOLE,
    holding,
    map_of,
    nullable,
    record,
)

STEPS_S = (60, 300, 3600)
MOST_STEPS = 2000
"""Of each queue, in one answer."""
USUAL_SPAN = timedelta(hours=24)


def show_scaling(call: ApiCall) -> Response:
    with call.services.storage.read() as tx:
        seen = set(call.caller.chosen_queues(tx, SEE, call.parameters("queue")))
    found = [d for d in call.services.desires.present() if d.queue in seen]
    documents = [
        {"queue": d.queue, "workers": d.workers, "reason": d.reason, "inputs": d.inputs}
        for d in found
    ]
    return answer_unless_known(call.request, {"scaling": documents})


def show_load(call: ApiCall) -> Response:
    queue = call.request.args.get("queue")
    if queue is None:
        raise ApiError(422, "invalid", "queue must be given")
    step_s = call.whole_number("step", STEPS_S[0], most=STEPS_S[-1]) or STEPS_S[0]
    if step_s not in STEPS_S:
        raise ApiError(422, "invalid", f"step must be one of {', '.join(map(str, STEPS_S))}")
    until = _moment(call, "until") or to_datetime(call.services.storage.now_us())
    since = _moment(call, "since") or until - USUAL_SPAN
    if not timedelta(0) < until - since <= timedelta(seconds=step_s * MOST_STEPS):
        raise ApiError(
            422, "invalid", f"since must be before until, by at most {MOST_STEPS} steps; take "
            "a greater step"
        )  # fmt: skip
    with call.services.storage.read() as tx:
        call.caller.require(tx, SEE, queue)
        if step_s == STEPS_S[0]:
            found = load.minutes(tx, queue, since, until)
        else:
            found = load.steps(tx, queue, since, until, step_s=step_s)
    document = {
        "queue": queue,
        "since": instant(since),
        "until": instant(until),
        "step_s": step_s,
        "steps": [_load_document(minute) for minute in found],
    }
    return answer_unless_known(call.request, document)


def _moment(call: ApiCall, name: str) -> datetime | None:
    text = call.request.args.get(name)
    if text is None:
        return None
    # A plus sign that was not encoded came as a space.
    moment = moment_of(text.replace(" ", "+"))
    if moment is None:
        raise ApiError(
            422, "invalid", f"{name} must be ISO 8601 with an offset, like 2026-11-20T18:00:00Z"
        )
    return moment


def _load_document(minute: LoadMinute) -> dict[str, Any]:
    return {
        "at": instant(minute.minute),
        "arrived": minute.arrived,
        "graded": minute.graded,
        "mean_service_s": _mean_s(minute.service_us, minute.graded),
        "mean_wait_s": _mean_s(minute.wait_us, minute.graded),
        "longest_wait_s": minute.longest_wait_us / 1e6,
        "queued": minute.queued,
        "leased": minute.leased,
        "oldest_s": None if minute.oldest_us is None else minute.oldest_us / 1e6,
        "workers": minute.workers,
        "desired": minute.desired,
    }


def _mean_s(total_us: int, count: int) -> float | None:
    return round(total_us / count / 1e6, 3) if count else None


STEP = record(
    "LoadStep",
    at=INSTANT,
    arrived=WHOLE,
    graded=WHOLE,
    mean_service_s=nullable(NUMBER),
    mean_wait_s=nullable(NUMBER),
    longest_wait_s=NUMBER,
    queued=nullable(WHOLE),
    leased=nullable(WHOLE),
    oldest_s=nullable(NUMBER),
    workers=nullable(WHOLE),
    desired=nullable(WHOLE),
)

DESIRED = record("Desired", queue=TEXT, workers=WHOLE, reason=TEXT, inputs=map_of(NUMBER))

ROUTES = (
    Route(
        method="GET",
        path="/scaling",
        view=show_scaling,
        about="How many workers each queue should have now, why, and from which figures",
        who="viewer, operator or admin",
        query=(Query(name="queue", about="Only this queue", is_repeatable=True),),
        answers={200: holding("scaling", DESIRED), 304: None},
    ),
    Route(
        method="GET",
        path="/load",
        view=show_load,
        about="What a queue had to do, minute by minute or in longer steps",
        who="viewer, operator or admin",
        query=(
            Query(name="queue", about="A queue; must be given"),
            Query(name="since", about="A moment; a day before `until` if left out"),
            Query(name="until", about="A moment; now if left out"),
            Query(name="step", about="Seconds: 60, 300 or 3600", schema=WHOLE),
        ),
        answers={
            200: record(
                "Load",
                queue=TEXT,
                since=INSTANT,
                until=INSTANT,
                step_s=WHOLE,
                steps={"type": "array", "items": STEP},
            ),
            304: None,
        },
    ),
)
