"""What both ways of starting a program share: descriptors, limits, signals of a forked child."""

from __future__ import annotations

import fcntl
import math
import os
import resource
import signal

from sandbox.supervisor.placing import failure_kind
from sandbox.supervisor.programs import PlatformFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandbox.supervisor.programs import Bounds, LearnerProgram
    from sandbox.supervisor.watching import Watch

OPEN_FILES = 256
GRADER_OOM_SCORE = 300
LEARNER_OOM_SCORE = 1000
"""The learner's processes are the first the kernel kills when memory runs out."""
LAST_FD = 65536


class NotStarted(Exception):
    """The program could not become what it should; `kind` says whose fault that is."""

    MISSING = "missing"
    """No such program, or one the kernel cannot execute."""
    BAD_ARGUMENTS = "bad-arguments"
    """Arguments no program can be given: too long, or not text without NUL."""
    NO_SPACE = "no-space"
    """Its files do not fit."""
    FAILED = "failed"
    """Our own steps did not work."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Cell:
    """One started program together with everything it may start itself."""

    pid: int

    def end(self, watch: Watch, until: float) -> None:
        """Kill all of it and wait until none of it is left; PlatformFailed when some is."""
        raise NotImplementedError

    def exit_code(self) -> int:
        """0-255, 128 + signal for a program that a signal ended. Only after `end`."""
        raise NotImplementedError

    def killed_for_memory(self) -> bool:
        """Whether the kernel killed some of it because memory ran out. Only once it has ended."""
        raise NotImplementedError


class Isolation:
    """A way of keeping the grader, the learner's code and the supervisor apart."""

    memory_is_shared = False
    """Whether grader and learner draw on one memory limit."""

    def start_grader(
        self, files: Iterable[Mapping[str, object]], channel_fd: int, log_fd: int, watch: Watch
    ) -> Cell:
        """Start the grader with its socket at fd 3; NotStarted when it has no entry point."""
        raise NotImplementedError

    def start_learner(
        self, program: LearnerProgram, stdio: tuple[int, int, int], watch: Watch
    ) -> Cell:
        """Start the learner's program on three pipes and nothing else."""
        raise NotImplementedError


def fork_into(become: Callable[[], None]) -> int:
    """Fork a child that runs `become`, which must exec; gives its pid once it has.

    Raises:
        NotStarted: `become` failed; the child is gone.
        PlatformFailed: no process could be made.
    """
    error_fd, error_write_fd = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(error_fd)
        os.close(error_write_fd)
        raise PlatformFailed(f"cannot start a process: {error}") from error
    if pid == 0:
        _child(become, error_write_fd)
    os.close(error_write_fd)
    raise_reported_failure(error_fd)
    return pid


def raise_reported_failure(error_fd: int) -> None:
    """Wait until the descriptor closes, which an exec does; text on it is a failure."""
    with os.fdopen(error_fd, "rb") as file:
        kind, _, detail = file.read(2000).decode(errors="replace").partition(":")
    if kind:
        raise NotStarted(kind, detail)


def _child(become: Callable[[], None], error_write_fd: int) -> None:
    try:
        restore_signals()
        os.setsid()
        become()
    except BaseException as error:  # noqa: BLE001 - the outermost frame of this process
        os.write(error_write_fd, f"{failure_kind(error)}:{error}".encode()[:1000])
    finally:
        os._exit(127)


def restore_signals() -> None:
    """Give the child the dispositions a program expects; Python ignores two of them."""
    signal.set_wakeup_fd(-1)
    for signum in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signum, signal.SIG_DFL)


def arrange_descriptors(wanted: Mapping[int, int], keep: Iterable[int] = ()) -> dict[int, int]:
    """Make `wanted` (target -> source) the only descriptors that survive an exec, beside `keep`.

    Gives the new numbers of `keep`; those stay open across an exec as well. Descriptors that
    close on exec anyway (the error pipe) are left alone.
    """
    high = {fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in {*wanted.values(), *keep}}
    for target, source in wanted.items():
        os.dup2(high[source], target)
    for fd in keep:
        os.set_inheritable(high[fd], True)
    return {fd: high[fd] for fd in keep}


def learner_rlimits(bounds: Bounds) -> dict[int, int]:
    """Per process; the whole of them is bounded by a cgroup where there is one."""
    return {
        resource.RLIMIT_CPU: math.ceil(bounds.cpu_s),
        resource.RLIMIT_FSIZE: bounds.scratch_bytes,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }


GRADER_RLIMITS = {resource.RLIMIT_NOFILE: OPEN_FILES, resource.RLIMIT_CORE: 0}


def apply_rlimits(limits: Mapping[int, int]) -> None:
    for which, value in limits.items():
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def set_oom_score(score: int) -> None:
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - start-up time
        file.write(str(score))


def shell_code(status: int) -> int:
    """A wait status as a shell shows it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def memory_kills(paths: Iterable[str]) -> int:
    """How often the kernel killed for memory, from `memory.oom_control` or `memory.events`."""
    for path in paths:
        try:
            with open(path) as file:  # noqa: PTH123
                lines = file.read().splitlines()
        except OSError:
            continue
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return 0
