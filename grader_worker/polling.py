"""All pollers of one process: a thread for every grading at once, one for each server with
published graders, one stop for all."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from grader_worker.assignment import ServedQueue
from grader_worker.event_log import log_event
from grader_worker.grading import Sandbox
from grader_worker.poller import Poller
from grader_worker.pool import Pool, queues_of
from grader_worker.preparing import OwnGraders
from grader_worker.published.publications import Publications
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.stopping import Stop
from grader_worker.turn import Grader, Pace
from grader_worker.xqueue_client import XQueueClient

KEEPERS_END_S = 2.0


def poll_pools(
    pools: Sequence[Pool],
    publications: Publications,
    *,
    sandbox: Sandbox,
    gate: SandboxGate,
    stop: Stop,
    pace: Pace | None = None,
) -> None:
    """Returns when `stop` was set and every grading in progress has ended."""
    threads = [
        threading.Thread(
            target=_poll,
            args=(pool, publications, sandbox, gate, stop, pace),
            name=f"poll-{pool.name}-{number}",
        )
        for pool in pools
        for number in range(pool.concurrency)
    ]
    served = queues_of(tuple(pools))
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
    pool: Pool,
    publications: Publications,
    sandbox: Sandbox,
    gate: SandboxGate,
    stop: Stop,
    pace: Pace | None,
) -> None:
    client = XQueueClient(pool.account)
    grader = Grader(
        client,
        publications.books_of(pool, client),
        sandbox=sandbox,
        gate=gate,
        pace=pace,
        sleep=stop.wait,
    )
    try:
        Poller(grader, sleep=stop.wait).poll_until_stopped()
    finally:
        client.close()
