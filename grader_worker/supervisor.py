"""Keeps a changing set of forked processes alive, and ends them together."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from grader_worker.backoff import Backoff
from grader_worker.event_log import log_crash, log_event, log_warning
from grader_worker.scoreboard import Slot, WorkState
from grader_worker.stopping import Stop

LOOK_EVERY_S = 0.2
STEADY_S = 60.0
"""Who lived this long did not die of what it was started with."""
RESTART_S = 1.0
"""After a member that ended by itself, as a worker does that lost its Redis."""
PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """One process: `main` runs in the fork and its return ends it."""

    name: str
    main: Callable[[], None]
    slot: Slot | None = None
    ends_last: bool = False
    """It says how the others end."""
    pid: int | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    is_leaving: bool = False
    """It was asked to end, and is not started again."""
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, cap_s=30.0))


class Supervisor:
    """Must stay without threads of its own: it forks, also long after the start.

    `in_fork` closes in a new process what only the supervisor should hold.
    """

    def __init__(self, stop: Stop, *, in_fork: Callable[[], None] = lambda: None) -> None:
        self.members: list[Member] = []
        self._stop = stop
        self._in_fork = in_fork

    def supervise(self, tend: Callable[[], None], wait: Callable[[float], None]) -> None:
        """Returns when `stop` was set and every member has ended; until it is set, `tend` is called
        in every round, to add members and let go of others."""
        while not self._stop.is_set():
            tend()
            for member in list(self.members):
                self._look_after(member)
            wait(LOOK_EVERY_S)
        while self.members:
            last = all(member.ends_last for member in self.members)
            for member in list(self.members):
                if last or not member.ends_last:
                    self.let_go(member)
                self._look_after(member)
            wait(LOOK_EVERY_S)

    def let_go(self, member: Member) -> None:
        """Ask it, once, to finish what it does and end."""
        if not member.is_leaving:
            member.is_leaving = True
            self._signal(member)

    def end_at_once(self) -> None:
        """Ask everybody again; the second time they do not finish what they do."""
        for member in self.members:
            if not member.is_leaving:
                self.let_go(member)
            self._signal(member)

    def _signal(self, member: Member) -> None:
        if member.pid and not self._has_ended(member):
            os.kill(member.pid, signal.SIGTERM)

    def _look_after(self, member: Member) -> None:
        if member.pid:
            self._has_ended(member)
        if member.pid is None and member.is_leaving:
            self.members.remove(member)
        elif member.pid is None and time.monotonic() >= member.start_at:
            self._start(member)

    def _has_ended(self, member: Member) -> bool:
        if member.pid is None:
            return True
        pid, status = os.waitpid(member.pid, os.WNOHANG)
        if pid != member.pid:
            return False
        member.pid = None
        if not member.is_leaving:
            _note_end(member, status)
        return True

    def _start(self, member: Member) -> None:
        member.started_at = time.monotonic()
        if member.slot:
            member.slot.begin()
        supervisor_pid = os.getpid()
        # Until the fork has its own handlers, a signal for it would set the supervisor's stop.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            member.pid = os.fork() or None
            if member.pid is None:
                self._be(member, supervisor_pid)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        log_event("worker-started", worker=member.name, pid=member.pid)

    def _be(self, member: Member, supervisor_pid: int) -> None:
        """In the fork; never returns, or the supervisor's code would go on twice."""
        status = 1
        try:
            # A terminal's Ctrl-C is the supervisor's to pass on, once.
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            self._in_fork()
            end_with_parent(supervisor_pid)
            member.main()
            status = 0
        except BaseException:  # noqa: BLE001 - the outermost frame of a process
            log_crash("worker-crashed", worker=member.name)
        finally:
            os._exit(status)


def end_with_parent(parent_pid: int) -> None:
    """In a fork: a parent that was killed leaves nobody behind to work beside its successor."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        os._exit(1)


def _note_end(member: Member, status: int) -> None:
    """When to start it again, and what a dead one was doing."""
    lived_s = time.monotonic() - member.started_at
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        member.start_at = time.monotonic() + RESTART_S
        log_event("worker-ended", worker=member.name, lived_s=round(lived_s, 1))
        return
    if lived_s > STEADY_S:
        member.backoff.reset()
    member.start_at = time.monotonic() + member.backoff.next_s()
    doing = member.slot.read() if member.slot else None
    is_grading = doing is not None and doing.state is WorkState.GRADING
    log_warning(
        "worker-died",
        worker=member.name,
        lived_s=round(lived_s, 1),
        submission=doing.submission_id if doing and is_grading else None,
    )
