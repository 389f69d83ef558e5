"""All pollers of one process: a thread for every grading at once, one for each server with
published graders, one stop for all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from grader_worker.assignment import ServedQueue
from grader_worker.event_log import log_event
from grader_worker.grading import Sandbox
from grader_worker.poller import IdlePace, Poller
from grader_worker.preparing import OwnGraders
from grader_worker.published.publications import Publications
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.stopping import Stop
from grader_worker.turn import Grader, Pace
from grader_worker.xqueue_client import XQueueClient

KEEPERS_END_S = 2.0


def poll_queues(
    served: Sequence[ServedQueue],
    publications: Publications,
    *,
    sandbox: Sandbox,
    gate: SandboxGate,
    stop: Stop,
    idle: Callable[[], IdlePace | None] = lambda: None,
    pace: Pace | None = None,
    threads_per_queue: int | None = None,
) -> None:
    """Returns when `stop` was set and every grading in progress has ended."""
    threads = [
        threading.Thread(
            target=_poll,
            args=(queue, publications, sandbox, gate, stop, idle(), pace),
            name=f"poll-{queue.name}-{number}",
        )
        for queue in served
        for number in range(threads_per_queue or queue.concurrency)
    ]
    log_event("polling", queues=[queue.name for queue in served], threads=len(threads))
    keepers = _start_keepers(served, publications, sandbox, stop)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # An idle one ends at once. For one in a long download nobody waits; it is a daemon.
    deadline = time.monotonic() + KEEPERS_END_S
    for keeper in keepers:
        keeper.join(max(0.0, deadline - time.monotonic()))
    log_event("polling-ended")


def _start_keepers(
    served: Sequence[ServedQueue], publications: Publications, sandbox: Sandbox, stop: Stop
) -> list[threading.Thread]:
    own = OwnGraders(served, sandbox=sandbox, sleep=stop.wait)
    published = publications.keepers(sandbox, stop.wait)
    loops = (own.keep_until_stopped, *(keeper.keep_until_stopped for keeper in published))
    threads = [threading.Thread(target=keep, name="keeper", daemon=True) for keep in loops]
    for thread in threads:
        thread.start()
    return threads


def _poll(
    queue: ServedQueue,
    publications: Publications,
    sandbox: Sandbox,
    gate: SandboxGate,
    stop: Stop,
    idle: IdlePace | None,
    pace: Pace | None,
) -> None:
    client = XQueueClient(queue.account)
    grader = Grader(
        client,
        publications.assignments_of(queue, client),
        sandbox=sandbox,
        gate=gate,
        pace=pace,
        sleep=stop.wait,
    )
    try:
        Poller(grader, sleep=stop.wait, idle=idle).poll_until_stopped()
    finally:
        client.close()
