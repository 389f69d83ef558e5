"""Keeps grader and learner apart by uid, inside one container whose PID 1 we are.

PID 1 is root with SETUID, SETGID and KILL only: it cannot even open the learner's files, which
is why everything below a learner's folder is done by a child that has already become the learner.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time

from sandbox.supervisor import placing
from sandbox.supervisor.programs import PlatformFailed
from sandbox.supervisor.starting import (
    GRADER_OOM_SCORE,
    GRADER_RLIMITS,
    LEARNER_OOM_SCORE,
    Cell,
    Isolation,
    NotStarted,
    apply_rlimits,
    arrange_descriptors,
    fork_into,
    learner_rlimits,
    memory_kills,
    set_oom_score,
    shell_code,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.supervisor.programs import LearnerProgram
    from sandbox.supervisor.watching import Watch

GRADER_UID = 10001
BOX_DIR = "/box"
LEARNER_TMP_DIR = "/tmp"  # noqa: S108 - a tmpfs of this container, the learner's own
PROGRAM_DIRS = ("/usr/local/bin", "/usr/bin", "/bin")
OOM_COUNTERS = ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events")


class UidIsolation(Isolation):
    """Starts programs under the grader's uid or this container's learner uid."""

    memory_is_shared = True

    def __init__(self) -> None:
        # The host gave /box to a uid that no other container uses; that is how we learn it.
        self._learner_uid = os.stat(BOX_DIR).st_uid  # noqa: PTH116
        if self._learner_uid in (0, GRADER_UID):
            raise PlatformFailed("/box must belong to the learner's uid")
        self._killer = Killer(self._learner_uid)

    def start_grader(
        self,
        files: Iterable[Mapping[str, object]],
        channel_fd: int,
        log_fd: int,
        watch: Watch,
    ) -> Cell:
        grade = os.stat(placing.GRADE_DIR)  # noqa: PTH116
        if grade.st_uid != GRADER_UID or grade.st_mode & 0o077:
            raise NotStarted(
                NotStarted.MISSING, f"/grade must belong to uid {GRADER_UID} with mode 0700"
            )
        files = list(files)

        def become() -> None:
            set_oom_score(GRADER_OOM_SCORE)
            null = os.open("/dev/null", os.O_RDONLY)
            arrange_descriptors({0: null, 1: log_fd, 2: log_fd, placing.CHANNEL_FD: channel_fd})
            apply_rlimits(GRADER_RLIMITS)
            become_uid(GRADER_UID)
            placing.become_grader(sys.executable, files)

        return self._cell(fork_into(become), None, watch)

    def start_learner(
        self, program: LearnerProgram, stdio: tuple[int, int, int], watch: Watch
    ) -> Cell:
        argv = [_program_path(program.argv[0]), *program.argv[1:]]
        limits = learner_rlimits(program.bounds)
        limits[resource.RLIMIT_NPROC] = program.bounds.pids

        def become() -> None:
            set_oom_score(LEARNER_OOM_SCORE)
            arrange_descriptors(dict(enumerate(stdio)))
            apply_rlimits(limits)
            become_uid(self._learner_uid)
            os.chdir(BOX_DIR)
            empty_folder(BOX_DIR)
            empty_folder(LEARNER_TMP_DIR)
            for name, content in program.files.items():
                placing.write_new_file(name, content)
            os.execve(argv[0], argv, {})  # noqa: S606 - no shell is the point

        return self._cell(fork_into(become), self._killer, watch)

    def _cell(self, pid: int, killer: Killer | None, watch: Watch) -> Cell:
        watch.track(pid)
        return UidCell(pid, killer)


class UidCell(Cell):
    """A program and, with a killer, whatever else its uid has started.

    The grader has none: what it leaves behind dies with PID 1 at the end of the run.
    """

    def __init__(self, pid: int, killer: Killer | None) -> None:
        self.pid = pid
        self._killer = killer
        self._status: int | None = None
        self._kills_before = memory_kills(OOM_COUNTERS)

    def end(self, watch: Watch, until: float) -> None:
        # By pid as well: a child that has not become the learner yet is out of the killer's reach.
        if self.pid not in watch.ended:
            os.kill(self.pid, signal.SIGKILL)
        while not watch.wait_for(lambda: self.pid in watch.ended, time.monotonic()) or (
            self._killer is not None and self._killer.left_any()
        ):
            if time.monotonic() > until:
                raise PlatformFailed("a program and its children could not be killed")
        self._status = watch.ended.pop(self.pid)

    def exit_code(self) -> int:
        assert self._status is not None
        return shell_code(self._status)

    def killed_for_memory(self) -> bool:
        return memory_kills(OOM_COUNTERS) > self._kills_before


class Killer:
    """A process forked before any learner's code runs, to kill everything of the learner's uid.

    With a fork bomb at work our own fork would fail. It acts with the learner's *effective* uid
    only, so that the learner can neither signal nor trace it, and is root again at once.
    """

    def __init__(self, uid: int) -> None:
        self._uid = uid
        order_read_fd, self._order_fd = os.pipe()
        self._answer_fd, answer_write_fd = os.pipe()
        os.set_blocking(self._answer_fd, True)
        if os.fork() == 0:
            try:
                os.close(self._order_fd)
                _obey(uid, order_read_fd, answer_write_fd)
            finally:
                os._exit(1)
        os.close(order_read_fd)
        os.close(answer_write_fd)

    def left_any(self) -> bool:
        """Send SIGKILL to every process of the uid; True while some of them are still there."""
        if not processes_of(self._uid):
            return False
        self._fire()
        return True

    def _fire(self) -> None:
        os.write(self._order_fd, b"k")
        if os.read(self._answer_fd, 1) != b"k":
            raise PlatformFailed("the killer process is gone")


def _obey(uid: int, order_fd: int, answer_fd: int) -> None:
    signal.set_wakeup_fd(-1)
    while os.read(order_fd, 1):
        os.setresuid(0, uid, 0)
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            pass
        finally:
            os.setresuid(0, 0, 0)
        os.write(answer_fd, b"k")


def become_uid(uid: int) -> None:
    os.umask(0o077)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def processes_of(uid: int) -> list[int]:
    """Living processes whose real uid is this one."""
    return [pid for pid in _pids() if _real_uid_of_living(pid) == uid]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _real_uid_of_living(pid: int) -> int | None:
    # The owner of /proc/<pid> would lie for a process that made itself undumpable.
    try:
        with open(f"/proc/{pid}/status") as file:  # noqa: PTH123
            fields = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return None
    # A first thread that ended alone leaves a zombie's state to a process whose others run on.
    is_dead = fields["State"].strip().startswith("Z") and int(fields["Threads"]) <= 1
    return None if is_dead else int(fields["Uid"].split()[0])


def _program_path(name: str) -> str:
    """The learner's environment is empty, so its PATH is this."""
    if name == "python3":
        return sys.executable
    if "/" in name:
        return name
    found = (f"{folder}/{name}" for folder in PROGRAM_DIRS)
    return next((path for path in found if os.access(path, os.X_OK)), name)


def empty_folder(top: str) -> None:
    """Delete all below a folder that hostile code filled, with few descriptors at any depth.

    Runs as the learner, so that a planted link can reach only what the learner could reach.
    Folders are flattened into `top` instead of being walked down.
    """
    os.chmod(top, 0o700)  # noqa: PTH101
    for _ in range(1_000_000):
        names = os.listdir(top)  # noqa: PTH208
        if not names:
            return
        for name in names:
            _unlink_or_flatten(top, name)
    raise PlatformFailed("a folder that does not get empty")


def _unlink_or_flatten(top: str, name: str) -> None:
    path = f"{top}/{name}"
    try:
        os.unlink(path)  # noqa: PTH108
        return
    except IsADirectoryError:
        pass
    os.chmod(path, 0o700)  # noqa: PTH101
    for inner in os.listdir(path):  # noqa: PTH208
        try:
            os.unlink(f"{path}/{inner}")  # noqa: PTH108
        except IsADirectoryError:
            # A folder must be writable to be moved, because its `..` changes.
            os.chmod(f"{path}/{inner}", 0o700)  # noqa: PTH101
            # Random, because whatever could be foreseen could be there already.
            os.rename(f"{path}/{inner}", f"{top}/{os.urandom(16).hex()}")  # noqa: PTH104
    os.rmdir(path)  # noqa: PTH106
