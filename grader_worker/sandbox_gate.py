"""Nothing is leased while the sandbox is down: leasing would only take submissions away from
hosts that can grade them."""

from __future__ import annotations

import mmap
import random
import threading
from collections.abc import Callable

from grader_worker.backoff import Backoff, Random
from grader_worker.event_log import log_event, log_warning
from grader_worker.grading import Sandbox

FIRST_CHECK_S = 1.0
CHECK_CAP_S = 15.0

Sleep = Callable[[float], bool]
"""Sleep so many seconds; True when woken because the process is stopping."""


class SandboxGate:
    """Closed at start and after a platform failure, opened by a check that passes.

    Its state is shared by the threads of a process and by all processes forked after it was
    made: a job that finds the sandbox dead closes it for the jobs that follow.
    """

    def __init__(self, sandbox: Sandbox, *, rand: Random = random.random) -> None:
        self._sandbox = sandbox
        self._rand = rand
        self._shared = mmap.mmap(-1, 1)
        self._checking = threading.Lock()

    @property
    def is_open(self) -> bool:
        return self._shared[0] == 1

    def close(self, reason: str) -> None:
        if self.is_open:
            log_warning("sandbox-down", reason=reason)
        self._shared[0] = 0

    def wait_until_open(self, sleep: Sleep) -> bool:
        """False when the process is stopping. One thread checks, the others wait for it."""
        backoff = Backoff(first_s=FIRST_CHECK_S, cap_s=CHECK_CAP_S, rand=self._rand)
        while not self.is_open:
            if not self._checking.acquire(blocking=False):
                if sleep(FIRST_CHECK_S):
                    return False
                continue
            try:
                self.check()
            finally:
                self._checking.release()
            if not self.is_open and sleep(backoff.next_s()):
                return False
        return True

    def check(self) -> bool:
        """Open if the sandbox works now; whether the gate is open."""
        if self.is_open:
            return True
        health = self._sandbox.check()
        if health.healthy:
            self._shared[0] = 1
            log_event("sandbox-ready", canary=health.canary)
        else:
            log_warning("sandbox-not-ready", problems=list(health.problems), canary=health.canary)
        return health.healthy
