"""The RQ job: a nudge that queue so-and-so has work, and nothing else.

What whoever enqueues must agree on, by value, since no server imports this package:

    RQ queue      "xqueue:" + the XQueue queue's name        (`lane`)
    function      "grader_worker.jobs.grade_next"            (a string)
    args          [queue name], no kwargs
    serializer    JSON
    job_timeout   900 s; result_ttl 0; failure_ttl 3600 s; ttl 300 s

A nudge may come twice or never: the job leases over HTTP like the poller does, finds the queue
empty or not, and `grader-worker run` also looks by itself from time to time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from grader_worker.errors import XQueueError
from grader_worker.event_log import log_warning
from grader_worker.turn import Grader, TurnEnd

LANE_PREFIX = "xqueue:"
GRADE_NEXT = "grader_worker.jobs.grade_next"
DRAIN_S = 60.0
"""A job goes on to the next submission for so long: a fork and some fifty Redis commands are
spared, and a warm shutdown or RQ's timeout never waits for a whole deadline's queue."""

GraderFactory = Callable[[], Grader]

_factories: dict[str, GraderFactory] = {}


class NotOurQueue(Exception):
    """A nudge for a queue that this process does not serve."""


def lane(queue: str) -> str:
    """The RQ queue of an XQueue queue."""
    return LANE_PREFIX + queue


def serve_queue(queue: str, new_grader: GraderFactory) -> None:
    """Called before the fork: server, password and socket reach the job as inherited memory,
    never through Redis or a command line."""
    _factories[queue] = new_grader


def grade_next(queue: str) -> None:
    """Grade until the queue is empty, the sandbox fails or `DRAIN_S` have passed."""
    if queue not in _factories:
        raise NotOurQueue(queue)
    grader = _factories[queue]()
    deadline = time.monotonic() + DRAIN_S
    try:
        # Not waiting for a broken sandbox: the nudge is spent, and the process that looks by
        # itself goes on checking.
        while grader.gate.check() and time.monotonic() < deadline:
            if grader.take_turn(long_poll=False) not in (TurnEnd.REPORTED, TurnEnd.ABANDONED):
                return
    except XQueueError as error:
        log_warning("server-trouble", queue=queue, error=str(error))
    finally:
        grader.client.close()
