"""Keeps a set of forked processes alive, and ends them together."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from grader_worker.backoff import Backoff
from grader_worker.event_log import log_crash, log_event, log_warning
from grader_worker.stopping import Stop

LOOK_EVERY_S = 0.2
STEADY_S = 60.0
"""Who lived this long did not die of what it was started with."""
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True, kw_only=True)
class Member:
    """One process: `main` runs in the fork and its return ends it."""

    name: str
    main: Callable[[], None]
    pid: int | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, cap_s=30.0))


class Supervisor:
    """Must stay without threads of its own: it forks, also long after the start."""

    def __init__(self, members: Sequence[Member], stop: Stop) -> None:
        self._members = members
        self._stop = stop

    def supervise(self) -> None:
        """Returns when `stop` was set and every member has ended."""
        while not self._stop.is_set():
            for member in self._members:
                self._look_after(member)
            self._stop.wait(LOOK_EVERY_S)
        self.terminate()
        while any(member.pid for member in self._members):
            for member in self._members:
                _reap(member)
            time.sleep(LOOK_EVERY_S)

    def terminate(self) -> None:
        """Ask every member to end; the second time they do so at once."""
        for member in self._members:
            if member.pid and not _reap(member):
                os.kill(member.pid, signal.SIGTERM)

    def _look_after(self, member: Member) -> None:
        if member.pid and _reap(member):
            lived_s = time.monotonic() - member.started_at
            if lived_s > STEADY_S:
                member.backoff.reset()
            pause_s = member.backoff.next_s()
            member.start_at = time.monotonic() + pause_s
            log_warning("worker-died", worker=member.name, lived_s=round(lived_s, 1))
        if not member.pid and time.monotonic() >= member.start_at:
            _start(member)


def _start(member: Member) -> None:
    member.started_at = time.monotonic()
    supervisor_pid = os.getpid()
    member.pid = os.fork() or None
    if member.pid is None:
        _be(member, supervisor_pid)
    log_event("worker-started", worker=member.name, pid=member.pid)


def _be(member: Member, supervisor_pid: int) -> None:
    """In the fork; never returns, or the supervisor's code would go on twice."""
    status = 1
    try:
        # A terminal's Ctrl-C is the supervisor's to pass on, once.
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _die_with(supervisor_pid)
        member.main()
        status = 0
    except BaseException:  # noqa: BLE001 - the outermost frame of a process
        log_crash("worker-crashed", worker=member.name)
    finally:
        os._exit(status)


def _die_with(supervisor_pid: int) -> None:
    """A supervisor that was killed leaves nobody behind to work beside its successor."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor_pid:
        os._exit(1)


def _reap(member: Member) -> bool:
    """Whether the member's process has ended."""
    if member.pid and os.waitpid(member.pid, os.WNOHANG)[0] == member.pid:
        member.pid = None
        return True
    return member.pid is None
