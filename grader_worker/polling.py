"""All pollers of one process: a thread for every grading at once, one for each server with
published graders, one stop for all."""

from __future__ import annotations

import threading
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
    own = OwnGraders(served, sandbox=sandbox, sleep=stop.wait)
    published = publications.keepers(sandbox, stop.wait)
    for keep in (own.keep_until_stopped, *(keeper.keep_until_stopped for keeper in published)):
        # Not waited for at the end: it may be in the middle of a long download.
        threading.Thread(target=keep, name="keeper", daemon=True).start()
    log_event("polling", queues=[queue.name for queue in served], threads=len(threads))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log_event("polling-ended")


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
