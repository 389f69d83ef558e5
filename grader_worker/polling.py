"""All pollers of one process: a thread for every grading at once, one stop for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from grader_worker.assignment import ServedQueue
from grader_worker.event_log import log_event
from grader_worker.grading import Sandbox
from grader_worker.poller import IdlePace, Poller
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.stopping import Stop
from grader_worker.turn import Grader, Pace
from grader_worker.xqueue_client import XQueueClient


def poll_queues(
    served: Sequence[ServedQueue],
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
            args=(queue, sandbox, gate, stop, idle(), pace),
            name=f"poll-{queue.assignment.queue}-{number}",
        )
        for queue in served
        for number in range(threads_per_queue or queue.concurrency)
    ]
    log_event("polling", queues=[queue.assignment.queue for queue in served], threads=len(threads))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log_event("polling-ended")


def _poll(
    queue: ServedQueue,
    sandbox: Sandbox,
    gate: SandboxGate,
    stop: Stop,
    idle: IdlePace | None,
    pace: Pace | None,
) -> None:
    client = XQueueClient(queue.account)
    grader = Grader(
        client, queue.assignment, sandbox=sandbox, gate=gate, pace=pace, sleep=stop.wait
    )
    try:
        Poller(grader, sleep=stop.wait, idle=idle).poll_until_stopped()
    finally:
        client.close()
