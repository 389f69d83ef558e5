"""Keeps grader and learner apart by two bubblewrap boxes side by side on a host.

Run as root, each box is first given a host uid that nothing else uses: bubblewrap's own `--uid`
only renames, and under root the box would still be root to the host's files and limits.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal

from sandbox.supervisor import placing
from sandbox.supervisor.frames import unpack_bytes
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
    raise_reported_failure,
    set_oom_score,
    shell_code,
)
from sandbox.supervisor.watching import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from sandbox.supervisor.programs import Bounds, LearnerProgram
    from sandbox.supervisor.watching import Watch

KEYCTL_BY_MACHINE = {"x86_64": 250, "aarch64": 219}
JOIN_SESSION_KEYRING = 1
SET_CHILD_SUBREAPER = 36
PAGE_BYTES = 4096
PLACER_PATH = "/xq/placing.py"
BOX_DIR = "/box"
BOX_OVERHEAD_PIDS = 3
"""bubblewrap itself, its init inside the box, and the program."""


class BoxSettings:
    """What the host decided about the boxes of one run (the start frame's `isolation`)."""

    __slots__ = (
        "bwrap",
        "grader_cgroups",
        "grader_uid",
        "learner_cgroups",
        "learner_uid",
        "memory_is_bounded",
        "options",
        "placer",
        "python",
    )

    def __init__(self, frame: Mapping[str, Any]) -> None:
        self.bwrap: str = frame["bwrap"]
        self.options: list[str] = frame["options"]
        self.python: str = frame["python"]
        self.placer: bytes = unpack_bytes(frame["placer"])
        self.grader_uid: int | None = frame["grader_uid"]
        self.learner_uid: int | None = frame["learner_uid"]
        self.grader_cgroups: list[str] = frame["grader_cgroups"]
        self.learner_cgroups: list[str] = frame["learner_cgroups"]
        self.memory_is_bounded: bool = frame["memory_is_bounded"]


class BoxIsolation(Isolation):
    """Starts each program in a fresh box of its own."""

    def __init__(self, settings: BoxSettings, scratch_bytes: int) -> None:
        self._settings = settings
        self._scratch_bytes = scratch_bytes
        adopt_orphans()

    def start_grader(
        self,
        files: Iterable[Mapping[str, object]],
        channel_fd: int,
        log_fd: int,
        watch: Watch,
    ) -> Cell:
        settings = self._settings
        files_fd = memory_file(json.dumps(list(files)).encode())
        placer_fd = memory_file(settings.placer)
        error_fd, error_write_fd = os.pipe()

        def become(status_fd: int) -> None:
            set_oom_score(GRADER_OOM_SCORE)
            kept = arrange_descriptors(
                {
                    0: files_fd,
                    1: log_fd,
                    2: log_fd,
                    placing.CHANNEL_FD: channel_fd,
                    placing.ERROR_FD: error_write_fd,
                },
                keep=(placer_fd, status_fd),
            )
            join(settings.grader_cgroups)
            apply_rlimits(GRADER_RLIMITS)
            forget_keys()
            leave_root(settings.grader_uid)
            folders = [
                *_tmpfs(placing.GRADE_DIR, placing.GRADE_BYTES),
                *_tmpfs(placing.SCRATCH_DIR, self._scratch_bytes),
            ]
            placer = ["--ro-bind-data", str(kept[placer_fd]), PLACER_PATH, "--chdir", "/"]
            self._exec_box(
                [*folders, *placer], kept[status_fd], [settings.python, "-I", "-S", PLACER_PATH]
            )

        cell = BoxCell.start(become, settings.grader_cgroups, watch)
        for fd in (files_fd, placer_fd, error_write_fd):
            os.close(fd)
        raise_reported_failure(error_fd)
        return cell

    def start_learner(
        self, program: LearnerProgram, stdio: tuple[int, int, int], watch: Watch
    ) -> Cell:
        settings = self._settings
        small = self._scratch_bytes // 4
        large = self._scratch_bytes - small
        # Asked before, because bubblewrap would fail as it does when a host is out of resources.
        if sum(_rounded_up(len(content)) for content in program.files.values()) > large:
            raise NotStarted(NotStarted.NO_SPACE, f"{large} bytes are all that {BOX_DIR} holds")
        contents = {name: memory_file(content) for name, content in program.files.items()}
        limits = learner_rlimits(program.bounds) | self._stand_in_rlimits(program.bounds)
        argv = self._learner_argv(program)

        def become(status_fd: int) -> None:
            set_oom_score(LEARNER_OOM_SCORE)
            kept = arrange_descriptors(dict(enumerate(stdio)), (*contents.values(), status_fd))
            join(settings.learner_cgroups)
            apply_rlimits(limits)
            forget_keys()
            leave_root(settings.learner_uid)
            folders = [*_tmpfs(BOX_DIR, large), *_tmpfs("/tmp", small)]  # noqa: S108
            files = [
                option
                for name, fd in contents.items()
                for option in ("--file", str(kept[fd]), f"{BOX_DIR}/{name}")
            ]
            self._exec_box([*folders, *files, "--chdir", BOX_DIR], kept[status_fd], argv)

        try:
            return BoxCell.start(become, settings.learner_cgroups, watch)
        finally:
            for fd in contents.values():
                os.close(fd)

    def _stand_in_rlimits(self, bounds: Bounds) -> dict[int, int]:
        """Per-process and per-uid bounds for what a cgroup would bound for the whole box."""
        limits = {}
        if not self._settings.memory_is_bounded:
            limits[resource.RLIMIT_AS] = bounds.memory_bytes
        if self._settings.learner_uid is not None:
            limits[resource.RLIMIT_NPROC] = bounds.pids + BOX_OVERHEAD_PIDS
        return limits

    def _learner_argv(self, program: LearnerProgram) -> list[str]:
        argv = list(program.argv)
        if argv[0] == "python3":
            argv[0] = self._settings.python
        if self._settings.learner_uid is None:
            # Without a uid of its own the limit must be set inside the box's user namespace,
            # where it counts the box's processes and not all of this host user's.
            limit = program.bounds.pids + BOX_OVERHEAD_PIDS
            return ["/usr/bin/prlimit", f"--nproc={limit}:{limit}", "--", *argv]
        return argv

    def _exec_box(self, options: list[str], status_fd: int, argv: list[str]) -> None:
        settings = self._settings
        sealed = ["--remount-ro", "/dev", "--remount-ro", "/"]
        status = ["--json-status-fd", str(status_fd)]
        command = [settings.bwrap, *settings.options, *options, *sealed, *status, "--", *argv]
        os.execve(settings.bwrap, command, {})  # noqa: S606 - no shell is the point


class BoxCell(Cell):
    """A bubblewrap process and the box below it, ended by killing the box's first process."""

    def __init__(self, pid: int, status_fd: int, cgroups: list[str], watch: Watch) -> None:
        self.pid = pid
        self._status_fd = status_fd
        self._status = bytearray()
        self._status_ended = False
        self._counters = [
            f"{path}/{name}" for path in cgroups for name in ("memory.oom_control", "memory.events")
        ]
        self._kills_before = memory_kills(self._counters)
        self._init_fd: int | None = None
        self._wait_status: int | None = None
        watch.track(pid)
        watch.on(status_fd, READABLE, lambda: self._read_status(watch))

    @classmethod
    def start(cls, become: Callable[[int], None], cgroups: list[str], watch: Watch) -> BoxCell:
        status_fd, status_write_fd = os.pipe()
        try:
            pid = fork_into(lambda: become(status_write_fd))
        except NotStarted as error:
            os.close(status_fd)
            if error.kind == NotStarted.BAD_ARGUMENTS:
                raise
            raise PlatformFailed(f"bubblewrap cannot be started: {error}") from error
        finally:
            os.close(status_write_fd)
        return cls(pid, status_fd, cgroups, watch)

    def end(self, watch: Watch, until: float) -> None:
        if self._wait_status is not None:
            return
        by_itself = self.pid in watch.ended
        # The first process's number arrives on the status descriptor; killing it kills the box.
        watch.wait_for(lambda: self._init_fd is not None or self.pid in watch.ended, until)
        if self._init_fd is not None:
            try:  # noqa: SIM105 - contextlib costs start-up time
                signal.pidfd_send_signal(self._init_fd, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended, and the host's init was quicker than we are
        if not watch.wait_for(lambda: self.pid in watch.ended, until):
            os.kill(self.pid, signal.SIGKILL)
            raise PlatformFailed("a box could not be ended")
        self._wait_status = watch.ended.pop(self.pid)
        self._await_empty_box(watch, until)
        watch.wait_for(lambda: self._status_ended, until)
        self._close(watch)
        if by_itself and self._was_never_set_up():
            raise PlatformFailed("bubblewrap could not set up a box; its reason is on stderr")

    def exit_code(self) -> int:
        assert self._wait_status is not None
        return shell_code(self._wait_status)

    def killed_for_memory(self) -> bool:
        return memory_kills(self._counters) > self._kills_before

    def _was_never_set_up(self) -> bool:
        """bubblewrap's own failure, which has the exit code of many a program's: it tells a
        program's code on the status descriptor as well."""
        failed = self.exit_code() == 1 and b'"exit-code"' not in self._status
        return failed and not self.killed_for_memory()

    def _read_status(self, watch: Watch) -> None:
        data = os.read(self._status_fd, 4096)
        if not data:
            self._status_ended = True
            watch.off(self._status_fd)
            return
        self._status += data
        first, newline, _ = self._status.partition(b"\n")
        if newline and self._init_fd is None:
            try:
                self._init_fd = os.pidfd_open(json.loads(first)["child-pid"])
            except ProcessLookupError:
                return  # it has ended already

    def _await_empty_box(self, watch: Watch, until: float) -> None:
        """The box's first process is gone only when all the others are."""
        if self._init_fd is None:
            return
        gone = False

        def note() -> None:
            nonlocal gone
            gone = True

        watch.on(self._init_fd, READABLE, note)
        if not watch.wait_for(lambda: gone, until):
            raise PlatformFailed("processes of a box could not be killed")

    def _close(self, watch: Watch) -> None:
        for fd in (self._status_fd, self._init_fd):
            if fd is not None:
                watch.off(fd)
                os.close(fd)


def memory_file(content: bytes) -> int:
    """A descriptor from which bubblewrap can copy a file into a box."""
    fd = os.memfd_create("xq")
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def join(cgroups: Iterable[str]) -> None:
    for path in cgroups:
        with open(f"{path}/cgroup.procs", "w") as file:  # noqa: PTH123 - start-up time
            file.write("0")


def adopt_orphans() -> None:
    """Boxes' first processes outlive their parents for a moment. A host's init may be slow to reap
    them, or absent when a worker is a container's first process, and until then they count."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def forget_keys() -> None:
    """Join an empty session keyring: no namespace keeps ours from a box, and what one box left in
    it the next would find."""
    number = KEYCTL_BY_MACHINE.get(os.uname().machine)
    libc = ctypes.CDLL(None, use_errno=True)
    if number is None or libc.syscall(number, JOIN_SESSION_KEYRING, None) >= 0:
        return
    # Where the call is filtered or absent, the box cannot make it either.
    if ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
        raise OSError(ctypes.get_errno(), "no session keyring for a box")


def leave_root(uid: int | None) -> None:
    """Become a host uid that nothing else uses; None when the worker is not root to begin with."""
    if uid is None:
        return
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _rounded_up(size_bytes: int) -> int:
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


def _tmpfs(path: str, size_bytes: int) -> list[str]:
    return ["--perms", "0700", "--size", str(size_bytes), "--tmpfs", path]
