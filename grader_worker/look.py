"""The process of a host that looks after what its workers share: whether Redis and the sandbox
answer, which graders are published, and what the servers are told of this host. It grades nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from grader_worker.announcing import Announcer
from grader_worker.control import ControlClient
from grader_worker.errors import ControlUnavailable
from grader_worker.nudging import PING_S, RedisAddress, RedisWatch
from grader_worker.pool import Pool, queues_of
from grader_worker.preparing import OwnGraders
from grader_worker.published.publications import Publications
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.sandboxd.client import SandboxdClient
from grader_worker.shared_flag import SharedFlag
from grader_worker.stopping import Stop, stop_on_signals
from grader_worker.xqueue_client import XQueueClient

ROUND_S = 1.0
END_S = 5.0
"""How long threads in the middle of a request may take to end; they are daemons."""

Loop = Callable[[], None]


def look(
    pools: tuple[Pool, ...],
    publications: Publications,
    redis: RedisAddress,
    sandbox: SandboxdClient,
    gate: SandboxGate,
    redis_answers: SharedFlag,
    control: ControlClient,
    *,
    host: str,
    every_s: float,
) -> None:
    """Returns when told to stop."""
    stop = Stop()
    stop_on_signals(stop)
    published = publications.keepers(sandbox, stop.wait)
    own = OwnGraders(queues_of(pools), sandbox=sandbox, sleep=stop.wait)
    announcers = [
        Announcer(XQueueClient(account), control, sandbox, host=host, sleep=stop.wait)
        for account in dict.fromkeys(pool.account for pool in pools)
    ]
    threads = _start(
        partial(_keep_checking, gate, stop),
        own.keep_until_stopped,
        *(keeper.keep_until_stopped for keeper in published),
        *(announcer.announce_until_stopped for announcer in announcers),
    )
    watch = RedisWatch(redis.connect(timeout_s=PING_S), redis_answers, every_s=every_s)
    watch.look(lambda: _idle_workers(control))
    while not stop.wait(min(ROUND_S, every_s)):
        watch.look(lambda: _idle_workers(control))
    deadline = time.monotonic() + END_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _start(*loops: Loop) -> list[threading.Thread]:
    threads = [threading.Thread(target=loop, name="look", daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    return threads


def _keep_checking(gate: SandboxGate, stop: Stop) -> None:
    while gate.wait_until_open(stop.wait) and not stop.wait(ROUND_S):
        pass


def _idle_workers(control: ControlClient) -> Mapping[str, int]:
    """By the first queue of their pool: a nudge for any of its queues is for all."""
    try:
        status = control.status()
    except ControlUnavailable:
        return {}
    return {
        pool["queues"][0]: sum(
            worker["pool"] == pool["name"] and worker["state"] == "idle"
            for worker in status["workers"]
        )
        for pool in status["pools"]
    }
