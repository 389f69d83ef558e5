"""Queues: their terms, how they stand, pausing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Response

from xqueue_server.accounts.access import ADMINISTER, REPAIR, SEE
from xqueue_server.models.queue import NAME, Queue
from xqueue_server.models.submission import (
    LEAST_PRIORITY,
    MOST_PRIORITY,
    UNFINISHED,
    SubmissionState,
)
from xqueue_server.storage import Transaction, browsing, ordering, policies, queues
from xqueue_server.storage.course_grants import MOST_CHARS
from xqueue_server.storage.policies import Policy
from xqueue_server.web.api.answer import (
    answer,
    answer_unless_known,
    instant,
    instant_or_none,
    nothing,
)
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.operating.policy import (
    KEYS,
    POLICY,
    POLICY_CHANGES,
    policy_document,
    read_policy,
)
from xqueue_server.web.api.reading import SMALL_BYTES, Fields
from xqueue_server.web.api.route import Route
from xqueue_server.web.api.schema import (
    INSTANT,
    OBJECT,
    TEXT,
    WHOLE,
    Schema,
    changes,
    extended,
    holding,
    map_of,
    nullable,
    record,
)

A_YEAR_S = 366 * 24 * 3600
TERMS = {
    "lease_s": (1, A_YEAR_S),
    "max_attempts": (1, 1000),
    "give_up_after_s": (0, A_YEAR_S),
    "max_platform_failures": (1, 100_000),
    "priority": (LEAST_PRIORITY, MOST_PRIORITY),
    "learner_cap": (1, 1000),
}
"""Term -> the least and the most."""
MAY_BE_NULL = "learner_cap"
MAX_REASON_CHARS = 1000


# -- looking -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    counts: Mapping[SubmissionState, int]
    oldest_queued_at: datetime | None


def list_queues(call: ApiCall) -> Response:
    with call.services.storage.read() as tx:
        seen = set(call.caller.queues_with(tx, SEE))
        found = [queue for queue in queues.all_queues(tx) if queue.name in seen]
        standings = _standings(tx)
    documents = [_document(queue, standings.get(queue.name)) for queue in found]
    return answer_unless_known(call.request, {"queues": documents})


def show_queue(call: ApiCall, name: str) -> Response:
    with call.services.storage.read() as tx:
        call.caller.require(tx, SEE, name)
        document = _in_full(tx, name)
    return answer_unless_known(call.request, document)


def _standings(tx: Transaction) -> dict[str, _Standing]:
    found: dict[str, _Standing] = {}
    for entry in browsing.unfinished_counts(tx):
        before = found.get(entry.queue, _Standing(counts={}, oldest_queued_at=None))
        is_queued = entry.state is SubmissionState.QUEUED
        found[entry.queue] = _Standing(
            counts={**before.counts, entry.state: entry.count},
            oldest_queued_at=entry.oldest_at if is_queued else before.oldest_queued_at,
        )
    return found


def _document(queue: Queue, standing: _Standing | None) -> dict[str, Any]:
    counts = standing.counts if standing else {}
    return {
        "name": queue.name,
        **{term: getattr(queue, term) for term in TERMS},
        "unfinished": {state.value: counts.get(state, 0) for state in UNFINISHED},
        "oldest_queued_at": instant_or_none(standing.oldest_queued_at if standing else None),
        "paused": None
        if queue.paused_at is None
        else {
            "at": instant(queue.paused_at),
            "by": queue.paused_by or "",
            "reason": queue.paused_reason or "",
        },
    }


def _in_full(tx: Transaction, name: str) -> dict[str, Any]:
    queue, policy = queues.get(tx, name), policies.of_queue(tx, name)
    return _document(queue, _standings(tx).get(name)) | {
        "policy": policy_document(policy),
        "course_weights": ordering.weights_of(tx, name),
    }


# -- changing ------------------------------------------------------------------------------------


def add_queue(call: ApiCall) -> Response:
    call.caller.require_everywhere(ADMINISTER)
    fields = Fields(call.document(SMALL_BYTES), ("name", *TERMS))
    name = fields.text("name", most=128)
    if name and not NAME.fullmatch(name):
        fields.wrong("name", "may have letters, digits, spaces and . : @ + - _")
    terms = _terms(fields)
    fields.check()
    with call.services.storage.write() as tx:
        queues.add(tx, Queue(name=name, **terms), actor=call.caller.actor)
        document = _in_full(tx, name)
    return answer(document, 201)


def change_queue(call: ApiCall, name: str) -> Response:
    fields = Fields(call.document(SMALL_BYTES), TERMS)
    with call.services.storage.write() as tx:
        call.caller.require(tx, ADMINISTER, name)
        terms = _terms(fields)
        fields.check()
        if terms:
            changed = dataclasses.replace(queues.get(tx, name), **terms)
            queues.change(tx, changed, actor=call.caller.actor)
        document = _in_full(tx, name)
    return answer(document)


def remove_queue(call: ApiCall, name: str) -> Response:
    with call.services.storage.write() as tx:
        call.caller.require(tx, ADMINISTER, name)
        call.caller.require_everywhere(ADMINISTER)
        queues.remove(tx, name, actor=call.caller.actor)
    return nothing()


def _terms(fields: Fields) -> dict[str, Any]:
    terms: dict[str, Any] = {}
    for name, (least, most) in TERMS.items():
        if fields.has(name):
            is_taken_back = name == MAY_BE_NULL and fields.raw(name) is None
            terms[name] = None if is_taken_back else fields.whole(name, least, most)
    return terms


def change_policy(call: ApiCall, name: str) -> Response:
    fields = Fields(call.document(SMALL_BYTES), KEYS)
    with call.services.storage.write() as tx:
        call.caller.require(tx, ADMINISTER, name)
        terms = read_policy(fields, call.services.settings)
        fields.check()
        changed: Policy = policies.of_queue(tx, name)
        if terms:
            changed = policies.change(tx, name, actor=call.caller.actor, why="policy", **terms)
    call.services.choosing.forget(name)
    return answer(policy_document(changed))


def set_weight(call: ApiCall, name: str) -> Response:
    fields = Fields(call.document(SMALL_BYTES), ("course", "weight"))
    with call.services.storage.write() as tx:
        call.caller.require(tx, ADMINISTER, name)
        course = fields.text("course", most=MOST_CHARS)
        weight = fields.whole("weight", 1, 1000)
        fields.check()
        if weight == 1:  # as without a row
            ordering.remove_weight(tx, name, course, actor=call.caller.actor)
        else:
            ordering.set_weight(tx, name, course, weight, actor=call.caller.actor)
        document = _in_full(tx, name)
    return answer(document)


def pause_queue(call: ApiCall, name: str) -> Response:
    fields = Fields(call.document(SMALL_BYTES), ("reason",))
    with call.services.storage.write() as tx:
        call.caller.require(tx, REPAIR, name)
        reason = fields.words("reason", most=MAX_REASON_CHARS)
        fields.check()
        queues.pause(tx, name, reason=reason, actor=call.caller.actor)
        document = _in_full(tx, name)
    return answer(document)


def resume_queue(call: ApiCall, name: str) -> Response:
    fields = Fields(call.document(SMALL_BYTES), ())
    with call.services.storage.write() as tx:
        call.caller.require(tx, REPAIR, name)
        fields.check()
        queues.resume(tx, name, actor=call.caller.actor)
        document = _in_full(tx, name)
    call.services.dispatcher.nudge(name)
    return answer(document)


# -- routes --------------------------------------------------------------------------------------

_TERMS: dict[str, Schema] = {
    name: nullable(WHOLE) if name == MAY_BE_NULL else WHOLE for name in TERMS
}
QUEUE = record(
    "Queue",
    name=TEXT,
    **_TERMS,
    unfinished=record("Unfinished", queued=WHOLE, leased=WHOLE, held=WHOLE),
    oldest_queued_at=nullable(INSTANT),
    paused=nullable(record("Pause", at=INSTANT, by=TEXT, reason=TEXT)),
)
QUEUE_IN_FULL = extended(QUEUE, "QueueInFull", policy=POLICY, course_weights=map_of(WHOLE))

ROUTES = (
    Route(
        method="GET",
        path="/queues",
        view=list_queues,
        about="Queues with their terms and how they stand",
        who="viewer, operator or admin",
        answers={200: holding("queues", QUEUE), 304: None},
    ),
    Route(
        method="POST",
        path="/queues",
        view=add_queue,
        about="Add a queue",
        who="admin on all queues",
        body=record("NewQueue", optional=tuple(TERMS), name=TEXT, **_TERMS),
        answers={201: QUEUE_IN_FULL},
    ),
    Route(
        method="GET",
        path="/queues/<name>",
        view=show_queue,
        about="One queue, with its policy and the weights of its courses",
        who="viewer, operator or admin",
        answers={200: QUEUE_IN_FULL, 304: None},
    ),
    Route(
        method="PATCH",
        path="/queues/<name>",
        view=change_queue,
        about="Change terms of a queue",
        who="admin",
        body=changes("QueueChanges", **_TERMS),
        answers={200: QUEUE_IN_FULL},
    ),
    Route(
        method="DELETE",
        path="/queues/<name>",
        view=remove_queue,
        about="Remove a queue that has no submissions",
        who="admin on all queues",
        answers={204: None},
    ),
    Route(
        method="PATCH",
        path="/queues/<name>/policy",
        view=change_policy,
        about="Change what graders may ask for and where faults are notified; null takes back",
        who="admin",
        body=POLICY_CHANGES,
        answers={200: POLICY},
    ),
    Route(
        method="PUT",
        path="/queues/<name>/weights",
        view=set_weight,
        about="Set the share of a course among those that wait; 1 is the usual one",
        who="admin",
        body=record("CourseWeight", course=TEXT, weight=WHOLE),
        answers={200: QUEUE_IN_FULL},
    ),
    Route(
        method="POST",
        path="/queues/<name>/pause",
        view=pause_queue,
        about="Hand out nothing more of a queue until it is resumed",
        who="operator or admin",
        body=record("PauseReason", reason=TEXT),
        answers={200: QUEUE_IN_FULL},
    ),
    Route(
        method="POST",
        path="/queues/<name>/resume",
        view=resume_queue,
        about="Hand out again",
        who="operator or admin",
        body=OBJECT,
        answers={200: QUEUE_IN_FULL},
    ),
)
