"""Two bubblewrap boxes side by side per run: the sandbox that needs no service installed.

A supervisor process of ours sits between them on the host. Under root each box has a host uid of
its own; without root, boxes are apart by their namespaces alone.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import sandbox
from sandbox import owner
from sandbox.backend import BackendDescription, BackendHealth, SandboxBackend
from sandbox.bundle import read_grader
from sandbox.cgroups import CgroupParents, find_parents, leftover_groups, make_group
from sandbox.conversation import MEMORY_NOTICE, Conversation, SupervisorLost, start_frame
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.probe.script import try_a_trivial_run
from sandbox.run import DirectoryGrader, RunRequest, RunResult
from sandbox.supervisor.by_box import BOX_OVERHEAD_PIDS
from sandbox.supervisor.frames import pack_bytes
from sandbox.uids import pick_unused_uids

PACKAGE_PARENT = Path(sandbox.__file__).parent.parent
PLACER = Path(sandbox.__file__).parent / "supervisor" / "placing.py"
SYSTEM_PYTHON = Path("/usr/bin/python3")
SUPERVISOR = (
    "import sys; sys.path.insert(0, sys.argv.pop()); "
    "from sandbox.supervisor.session import main; main()"
)
PROBE_S = 10.0
EXIT_S = 8.0
"""How long a supervisor may take to kill its boxes once the run is over."""
STDERR_BYTES = 4096

ALWAYS_UNENFORCED = (
    "no system call filter of our own: io_uring and AF_VSOCK sockets are reachable from a box",
    "the number of files in a box's scratch space is not limited, only their size",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BubblewrapHost:
    """What this host offers, found out once."""

    bwrap: str
    version: str
    python: Path
    is_root: bool
    can_disable_userns: bool

    @property
    def python_prefix(self) -> Path:
        """What a box needs of an interpreter outside of /usr."""
        return self.python.parent.parent


class BubblewrapBackend(SandboxBackend):
    """Runs directory graders; `library` are modules (path -> source) every grader may import."""

    def __init__(
        self,
        *,
        library: Mapping[str, bytes] | None = None,
        python: Path | None = None,
        bwrap: str = "bwrap",
    ) -> None:
        self._library = dict(library or {})
        self._python = python
        self._bwrap = bwrap

    @cached_property
    def _host(self) -> BubblewrapHost:
        return _look_at_host(self._bwrap, self._python)

    @cached_property
    def _cgroup_parents(self) -> CgroupParents:
        return find_parents()

    def run(self, request: RunRequest) -> RunResult:
        started_at = time.monotonic()
        grader = self._directory(request)
        files = read_grader(grader, self._library)
        with ExitStack() as cleanup:
            isolation = self._prepare_boxes(request, grader, cleanup)
            start = start_frame(request, files, isolation)
            supervisor = cleanup.enter_context(_supervisor())
            running_at = time.monotonic()
            result = _hold(supervisor, request, start)
            ended_at = time.monotonic()
        phases = {
            "prepare": (running_at - started_at) * 1000,
            "run": (ended_at - running_at) * 1000,
            "cleanup": (time.monotonic() - ended_at) * 1000,
        }
        return replace(result, phases_ms=phases)

    def check(self) -> BackendHealth:
        health = try_a_trivial_run(self)
        forbidden = None if health.healthy else forbids_user_namespaces()
        return replace(health, problems=(forbidden, *health.problems)) if forbidden else health

    def describe(self) -> BackendDescription:
        try:
            host = self._host
        except SandboxUnavailable as error:
            return BackendDescription(name="bubblewrap", version="?", unenforced=(str(error),))
        missing = list(self._cgroup_parents.missing_limits())
        if not host.is_root:
            missing.append("not root: boxes share the worker's host uid, apart by namespaces only")
        if not host.can_disable_userns:
            missing.append("this bubblewrap has no --disable-userns: a box may make namespaces")
        return BackendDescription(
            name="bubblewrap", version=host.version, unenforced=(*missing, *ALWAYS_UNENFORCED)
        )

    def reap(self) -> int:
        orphans = [
            group
            for name, group in leftover_groups(self._cgroup_parents).items()
            if not owner.is_alive(name.partition(".")[0])
        ]
        for group in orphans:
            group.remove()
        return len(orphans)

    def _directory(self, request: RunRequest) -> Path:
        if not isinstance(request.grader, DirectoryGrader):
            raise GraderNotUsable("a grader image needs the docker backend")
        return request.grader.path

    def _prepare_boxes(
        self, request: RunRequest, grader: Path, cleanup: ExitStack
    ) -> dict[str, Any]:
        """What the supervisor must know to open the boxes; their groups exist from here on."""
        host = self._host
        grader_uid, learner_uid = pick_unused_uids(2) if host.is_root else (None, None)
        groups = {}
        for role in ("grader", "learner"):
            name = f"{owner.this_process()}.{request.run_id}.{role}"
            group = make_group(self._cgroup_parents, name, request.limits, BOX_OVERHEAD_PIDS)
            cleanup.callback(group.remove)
            groups[role] = [str(folder) for folder in group.folders]
        return {
            "bwrap": host.bwrap,
            "options": [*_box_options(host), *_hiding(grader.resolve(), host)],
            "python": str(host.python),
            "placer": pack_bytes(PLACER.read_bytes()),
            "grader_uid": grader_uid,
            "learner_uid": learner_uid,
            "grader_cgroups": groups["grader"],
            "learner_cgroups": groups["learner"],
            "memory_is_bounded": "memory" in self._cgroup_parents.folders,
        }


class PipeChannel:
    """The two pipes of a supervisor process."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self._in_fd = stdin.fileno()
        self._out_fd = stdout.fileno()
        os.set_blocking(self._in_fd, False)

    def send(self, data: bytes, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        rest = memoryview(data)
        while rest:
            if not _ready(self._in_fd, select.POLLOUT, until - time.monotonic()):
                raise SandboxUnavailable("the supervisor does not take its job")
            try:
                rest = rest[os.write(self._in_fd, rest) :]
            except BlockingIOError:
                continue

    def receive(self, timeout_s: float) -> bytes:
        if not _ready(self._out_fd, select.POLLIN, timeout_s):
            raise TimeoutError
        return os.read(self._out_fd, 65536)


def _ready(fd: int, event: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, event)
    return bool(poll.poll(max(0, int(timeout_s * 1000) + 1)))


@contextmanager
def _supervisor() -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor process, gone with all its boxes when the block is left."""
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", SUPERVISOR, str(PACKAGE_PARENT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxUnavailable(f"the supervisor cannot be started: {error}") from error
    with process:
        try:
            yield process
        finally:
            _dismiss(process)


def _dismiss(process: subprocess.Popen[bytes]) -> None:
    """Let it end by itself, which it does once its stdin is closed; its boxes die with it."""
    assert process.stdin is not None
    assert process.stdout is not None
    # Both: a supervisor that passes on a flood of reports waits for somebody to read them.
    process.stdout.close()
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(EXIT_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _hold(supervisor: subprocess.Popen[bytes], request: RunRequest, start: bytes) -> RunResult:
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    conversation = Conversation(PipeChannel(supervisor.stdin, supervisor.stdout), request.limits)
    try:
        return conversation.hold(start)
    except SupervisorLost as lost:
        supervisor.kill()
        assert supervisor.stderr is not None
        said = supervisor.stderr.read(STDERR_BYTES).decode(errors="replace").strip()
        if lost.learner_active and lost.silent:
            return conversation.cut_short(MEMORY_NOTICE)
        raise SandboxUnavailable(f"{lost}: {said or 'it said nothing'}") from lost


def _box_options(host: BubblewrapHost) -> list[str]:
    """What every box has: nothing of the host but read-only programs, and no way out."""
    options = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    if host.can_disable_userns:
        options.append("--disable-userns")
    options += ["--cap-drop", "ALL", "--clearenv", "--hostname", "box", "--uid", "10002"]
    options += ["--gid", "10002", "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib64"):
        options += _system_folder(Path("/", name))
    for path in ("/etc/alternatives", "/etc/ld.so.cache"):
        options += ["--ro-bind-try", path, path]
    if not host.python.is_relative_to("/usr"):
        options += ["--ro-bind", str(host.python_prefix), str(host.python_prefix)]
    return [*options, "--proc", "/proc", "--dev", "/dev"]


def _hiding(grader: Path, host: BubblewrapHost) -> list[str]:
    """An empty folder over a grader that lies where boxes see the host's programs."""
    if not any(grader.is_relative_to(seen) for seen in ("/usr", host.python_prefix)):
        return []
    path = str(grader)
    return ["--perms", "0000", "--size", "4096", "--tmpfs", path, "--remount-ro", path]


def _system_folder(path: Path) -> list[str]:
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind", str(path), str(path)] if path.is_dir() else []


def _look_at_host(bwrap: str, python: Path | None) -> BubblewrapHost:
    """Raises SandboxUnavailable with a sentence saying what to do."""
    found = shutil.which(bwrap)
    if found is None:
        raise SandboxUnavailable("bubblewrap is not installed: install the package `bubblewrap`")
    help_text = _output_of([found, "--help"])
    return BubblewrapHost(
        bwrap=found,
        version=_output_of([found, "--version"]).strip().removeprefix("bubblewrap "),
        python=_readable_python(python),
        is_root=os.geteuid() == 0,
        can_disable_userns="--disable-userns" in help_text,
    )


def _output_of(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(f"{command[0]} does not work: {error}") from error


def _readable_python(asked: Path | None) -> Path:
    """The interpreter inside boxes: the one asked for, the system's, or else our own.

    It must be readable for everyone, because a box runs as a uid that owns nothing.
    """
    candidates = [asked] if asked else [SYSTEM_PYTHON, Path(sys.executable)]
    for path in (path.resolve() for path in candidates if path.exists()):
        if all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents)):
            return path
    raise SandboxUnavailable(
        "no Python that every user may run: install `python3` (as /usr/bin/python3) "
        "or name one outside of private home directories"
    )


def forbids_user_namespaces(proc_sys: Path = Path("/proc/sys")) -> str | None:
    """The sentence for an operator whose kernel refuses user namespaces, or None."""
    for path, closed in (
        ("user/max_user_namespaces", "0"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ):
        with suppress(OSError):
            if (proc_sys / path).read_text().strip() == closed:
                setting = path.replace("/", ".")
                return f"this host forbids user namespaces: {setting} is {closed}; change it"
    return None
