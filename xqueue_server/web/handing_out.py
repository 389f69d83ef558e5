"""get_submission: handing out the next submission, with our extensions for those who ask."""

from __future__ import annotations

import json
from dataclasses import asdict
from time import monotonic
from typing import Any

from flask import Response

from xqueue_server import leasing
from xqueue_server.grader import LeasedGrader, NoSuchGrader
from xqueue_server.keys import new_submission_key
from xqueue_server.queue import Queue
from xqueue_server.submission import LeasedSubmission, Line
from xqueue_server.web.call import Call
from xqueue_server.web.envelope import failure, success
from xqueue_server.web.waiting import LONGEST_WAIT_S

MOST_HELD_AT_ONCE = 20
"""Submissions that one request may find to be asking for a grader that is not there."""


def get_submission(call: Call) -> Response:
    name = call.parameter("queue_name")
    if name is None:
        return failure("'get_submission' must provide parameter 'queue_name'")
    queue = call.patience.with_database(lambda _: _queue_to_grade(call, name))
    leased = _lease(call, queue) if call.request.method == "GET" else None
    wait_s = min(call.seconds("wait") or 0.0, LONGEST_WAIT_S)
    if leased is None and wait_s > 0 and call.request.method == "GET":
        leased = _lease_when_there_is_work(call, queue, monotonic() + wait_s)
    if leased is None:
        return failure(f"Queue '{name}' is empty")
    call.note(submission_id=leased.submission_id, queue=name, attempt=leased.attempt)
    return success(_for_grader(call, leased))


def _queue_to_grade(call: Call, name: str) -> Queue:
    with call.services.storage.read() as tx:
        return leasing.queue_to_grade(tx, call.signed_in, name)


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


def _lease(call: Call, queue: Queue) -> LeasedSubmission | None:
    """The next submission that can be graded; those before it are held as their grader's fault."""
    for _ in range(MOST_HELD_AT_ONCE):
        leased = _lease_next(call, queue)
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


def _lease_when_there_is_work(call: Call, queue: Queue, deadline: float) -> LeasedSubmission | None:
    waiting = call.services.waiting
    with waiting.place() as taken:
        while taken and waiting.until_work(queue.name, deadline, line=_line(call, queue)):
            if call.client_is_gone():  # it would take the lease to its grave
                return None
            call.patience.start_again()
            leased = _lease(call, queue)
            if leased is not None:
                return leased
    return None


def _for_grader(call: Call, leased: LeasedSubmission) -> str:
    header: dict[str, Any] = {
        "submission_id": leased.submission_id,
        "submission_key": leased.key,
    }
    if isinstance(leased.choice, LeasedGrader):
        header["grader"] = grader_in_header(leased.choice)
    files = {f.name: call.services.addresses.sign(f.blob) for f in leased.files}
    return json.dumps(
        {
            "xqueue_header": json.dumps(header),
            "xqueue_body": leased.body,
            "xqueue_files": json.dumps(files),
        }
    )


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
