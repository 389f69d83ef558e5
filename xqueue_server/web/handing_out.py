"""get_submission: handing out the next submission, with our extensions for those who ask."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from time import monotonic, time_ns
from typing import Any

from flask import Response

from xqueue_server.keys import new_submission_key
from xqueue_server.models.grader import LeasedGrader, NoSuchGrader
from xqueue_server.models.queue import Queue
from xqueue_server.models.submission import LeasedSubmission, Line
from xqueue_server.monitoring import telemetry, traceparent
from xqueue_server.submissions import leasing
from xqueue_server.web.call import Call
from xqueue_server.web.envelope import failure, success
from xqueue_server.web.waiting import LONGEST_WAIT_S, Lane

OUR_PARAMETERS = ("grader", "wait", "lease_s")
"""Who sends none of them is a client that does not know us, and gets what it always got."""
MOST_QUEUES = 100
MOST_HELD_AT_ONCE = 20
"""Submissions that one request may find to be asking for a grader that is not there."""


def get_submission(call: Call) -> Response:
    names = call.parameters("queue_name")
    if not names:
        return failure("'get_submission' must provide parameter 'queue_name'")
    if len(names) > MOST_QUEUES:
        return failure(f"'queue_name' may be given {MOST_QUEUES} times, not {len(names)}")
    queues = call.patience.with_database(lambda _: _queues_to_grade(call, names))
    leased = _lease_from(call, queues) if call.request.method == "GET" else None
    wait_s = min(call.seconds("wait") or 0.0, LONGEST_WAIT_S)
    if leased is None and wait_s > 0 and call.request.method == "GET":
        leased = _lease_when_there_is_work(call, queues, monotonic() + wait_s)
    if leased is None:
        return failure(_empty(names))
    call.note(submission_id=leased.submission_id, queue=leased.queue, attempt=leased.attempt)
    if leased.traceparent:
        call.note(trace_id=traceparent.trace_id(leased.traceparent))
    return success(_for_grader(call, leased, is_one_of_several=len(names) > 1))


def _empty(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"Queue '{names[0]}' is empty"
    listed = ", ".join(f"'{name}'" for name in names)
    return f"Queues {listed} are empty"


def _queues_to_grade(call: Call, names: Sequence[str]) -> Sequence[Queue]:
    with call.services.storage.read() as tx:
        return [leasing.queue_to_grade(tx, call.signed_in, name) for name in names]


def _line(call: Call, queue: Queue) -> Line:
    """`grader=1` asks with which published grader a submission goes out; with `grader=only` the
    worker has no other, and learners' work waits until there is one."""
    match call.parameter("grader"):
        case "1":
            return Line.ALL
        case "only":
            return call.patience.with_database(lambda _: _line_of_published(call, queue))
    return Line.LEARNERS


def _line_of_published(call: Call, queue: Queue) -> Line:
    with call.services.storage.read() as tx:
        has_any = call.services.choosing.has_any(tx, queue.name)
    return Line.ALL if has_any else Line.TRIALS


def _lease_from(call: Call, queues: Sequence[Queue]) -> LeasedSubmission | None:
    """Of the queue with the highest priority that has something."""
    if len(queues) == 1:
        return _lease(call, queues[0])
    named = {queue.name: queue for queue in queues}
    lines = {queue.name: _line(call, queue) for queue in queues}
    names = call.patience.with_database(
        lambda _: leasing.queues_in_turn(call.services.storage, lines)
    )
    for name in names:
        leased = _lease(call, named[name])
        if leased is not None:
            return leased
    return None


def _lease(call: Call, queue: Queue) -> LeasedSubmission | None:
    """The next submission that can be graded; those before it are held as their grader's fault."""
    for _ in range(MOST_HELD_AT_ONCE):
        began_ns = time_ns()
        leased = _lease_next(call, queue)
        if leased is not None:
            telemetry.record(
                "lease",
                leased.traceparent,
                began_ns=began_ns,
                submission_id=leased.submission_id,
                queue=queue.name,
                attempt=leased.attempt,
            )
        if leased is None or not isinstance(leased.choice, NoSuchGrader):
            return leased
        _hold(call, leased)
    return None


def _hold(call: Call, leased: LeasedSubmission) -> None:
    call.patience.with_database(
        lambda _: leasing.hold_for_choice(
            call.services.storage, call.signed_in, leased, request_id=call.request_id
        )
    )


def _lease_next(call: Call, queue: Queue) -> LeasedSubmission | None:
    key = new_submission_key()
    line = _line(call, queue)
    return call.patience.with_database(
        lambda is_retry: leasing.lease(
            call.services.storage,
            call.signed_in,
            queue,
            key=key,
            lease_s=call.seconds("lease_s"),
            request_id=call.request_id,
            is_retry=is_retry,
            choose=None if line is Line.LEARNERS else call.services.choosing.choose,
            line=line,
        )
    )


def _lease_when_there_is_work(
    call: Call, queues: Sequence[Queue], deadline: float
) -> LeasedSubmission | None:
    waiting = call.services.waiting
    with waiting.place() as taken:
        while taken and waiting.until_any(_lanes(call, queues), deadline):
            if call.client_is_gone():  # it would take the lease to its grave
                return None
            call.patience.start_again()
            leased = _lease_from(call, queues)
            if leased is not None:
                return leased
    return None


def _lanes(call: Call, queues: Sequence[Queue]) -> set[Lane]:
    return {Lane(queue=queue.name, line=_line(call, queue)) for queue in queues}


def _for_grader(call: Call, leased: LeasedSubmission, *, is_one_of_several: bool) -> str:
    header: dict[str, Any] = {
        "submission_id": leased.submission_id,
        "submission_key": leased.key,
    }
    if is_one_of_several:
        header["queue_name"] = leased.queue
    if isinstance(leased.choice, LeasedGrader):
        header["grader"] = grader_in_header(leased.choice)
    if leased.traceparent and _knows_us(call):
        header[traceparent.HEADER] = leased.traceparent
    files = {f.name: _address(call, f.blob) for f in leased.files}
    return json.dumps(
        {
            "xqueue_header": json.dumps(header),
            "xqueue_body": leased.body,
            "xqueue_files": json.dumps(files),
        }
    )


def _knows_us(call: Call) -> bool:
    return any(call.parameter(name) for name in OUR_PARAMETERS)


def _address(call: Call, blob: str) -> str:
    """Hosts of our worker run hostile code, and need to reach nothing but this server; others
    fetch from where the file lies."""
    elsewhere = None if _knows_us(call) else call.services.files.address(blob)
    return elsewhere or call.services.addresses.sign(blob)


def grader_in_header(choice: LeasedGrader) -> dict[str, Any]:
    source = choice.source
    shown: dict[str, Any] = {
        "name": choice.name,
        "version": choice.version,
        "digest": source.digest and f"sha256:{source.digest}",
        "image": source.image,
    }
    if choice.queue_isolation is not None:
        shown["queue_isolation"] = asdict(choice.queue_isolation)
    if choice.trial_id is not None:
        shown["trial"] = choice.trial_id
    return shown
