"""Nothing is leased while the sandbox is down: leasing would only take submissions away from
hosts that can grade them."""

from __future__ import annotations

import mmap
import random
import struct
import threading
import time
from collections.abc import Callable

from grader_worker.backoff import Backoff, Random
from grader_worker.event_log import log_event, log_warning
from grader_worker.grading import Sandbox

FIRST_CHECK_S = 1.0
CHECK_CAP_S = 15.0
REMIND_EVERY_S = 60.0
"""How often the log repeats that the sandbox is down."""

Sleep = Callable[[float], bool]
"""Sleep so many seconds; True when woken because the process is stopping."""

_IS_OPEN = 0
_SAID_AT = struct.Struct("=d")
_SAID_AT_OFFSET = 8


class SandboxGate:
    """Closed at start and after a platform failure, opened by a check that passes.

    Its state is shared by the threads of a process and by all processes forked after it was
    made: a job that finds the sandbox dead closes it for the jobs that follow. `clock` must be
    the same in all of them, as the monotonic clock of a host is.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        rand: Random = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sandbox = sandbox
        self._rand = rand
        self._clock = clock
        self._shared = mmap.mmap(-1, _SAID_AT_OFFSET + _SAID_AT.size)
        self._checking = threading.Lock()
        self._is_checked_elsewhere = False
        self._note_that_it_was_said(never=True)

    @property
    def is_open(self) -> bool:
        return self._shared[_IS_OPEN] == 1

    def close(self, reason: str) -> None:
        if self.is_open:
            log_warning("sandbox-down", reason=reason)
            self._note_that_it_was_said()
        self._shared[_IS_OPEN] = 0

    def leave_checking_to_another(self) -> None:
        """In this process, whose host has one that keeps checking: many would check too often."""
        self._is_checked_elsewhere = True

    def wait_until_open(self, sleep: Sleep) -> bool:
        """False when the process is stopping. One thread checks, the others wait for it."""
        while not self.is_open:
            if self._is_checked_elsewhere or not self._checking.acquire(blocking=False):
                if sleep(FIRST_CHECK_S):
                    return False
                continue
            try:
                if not self._check_until_open(sleep):
                    return False
            finally:
                self._checking.release()
        return True

    def check(self) -> bool:
        """Open if the sandbox works now; whether the gate is open."""
        if self.is_open:
            return True
        health = self._sandbox.check()
        if health.healthy:
            self._shared[_IS_OPEN] = 1
            self._note_that_it_was_said(never=True)
            log_event("sandbox-ready", canary=health.canary)
        elif self._is_reminder_due():
            self._note_that_it_was_said()
            log_warning("sandbox-not-ready", problems=list(health.problems), canary=health.canary)
        return health.healthy

    def _check_until_open(self, sleep: Sleep) -> bool:
        backoff = Backoff(first_s=FIRST_CHECK_S, cap_s=CHECK_CAP_S, rand=self._rand)
        while not self.check():
            if sleep(backoff.next_s()):
                return False
        return True

    def _is_reminder_due(self) -> bool:
        (said_at,) = _SAID_AT.unpack_from(self._shared, _SAID_AT_OFFSET)
        return bool(self._clock() - said_at >= REMIND_EVERY_S)

    def _note_that_it_was_said(self, *, never: bool = False) -> None:
        said_at = float("-inf") if never else self._clock()
        _SAID_AT.pack_into(self._shared, _SAID_AT_OFFSET, said_at)
