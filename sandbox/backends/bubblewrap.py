"""Two bubblewrap boxes side by side per run: the sandbox that needs no service installed.

A supervisor process of ours sits between them on the host. Under root each box has a host uid of
its own; without root, boxes are apart by their namespaces alone.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import IO, Any

from sandbox import owner
from sandbox.backend import BackendDescription, BackendHealth, SandboxBackend
from sandbox.boxes import BoxOwners, BoxPrograms, box_isolation, forbids_user_namespaces
from sandbox.bundle import read_grader
from sandbox.cgroups import BoxGroup, CgroupParents, find_parents, leftover_groups, make_group
from sandbox.conversation import MEMORY_NOTICE, Conversation, SupervisorLost, start_frame
from sandbox.errors import HostCannot, SandboxUnavailable
from sandbox.probe.script import try_a_trivial_run
from sandbox.remains import RemainsOfRuns
from sandbox.run import DirectoryGrader, Preparation, RunRequest, RunResult
from sandbox.supervisor.layout import BOX_OVERHEAD_PIDS, XQ
from sandbox.uids import pick_unused_uids

SYSTEM_FOLDERS = ("bin", "lib", "lib64")
SYSTEM_PYTHON = Path("/usr/bin/python3")
PROBE_S = 10.0
STDERR_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class BubblewrapHost:
    """What this host offers, found out once."""

    programs: BoxPrograms
    version: str
    is_root: bool


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
        self._remains = RemainsOfRuns()

    @cached_property
    def _host(self) -> BubblewrapHost:
        return _look_at_host(self._bwrap, self._python)

    @cached_property
    def _cgroup_parents(self) -> CgroupParents:
        return find_parents()

    def run(self, request: RunRequest) -> RunResult:
        started_at = time.monotonic()
        grader = _directory(request)
        files = read_grader(grader, self._library)
        self._remains.require_room()
        with ExitStack() as cleanup:
            groups = self._make_groups(request, cleanup)
            start = start_frame(request, files, self._isolation(grader, groups))
            supervisor = _start_supervisor()
            cleanup.pop_all()  # from here on the groups go after the supervisor
        running_at = time.monotonic()
        try:
            result = _hold(supervisor, request, start)
            ended_at = time.monotonic()
        finally:
            _dismiss(supervisor)
            self._remains.take_over(supervisor, tuple(groups.values()))
        phases = {
            "prepare": (running_at - started_at) * 1000,
            "run": (ended_at - running_at) * 1000,
            "cleanup": (time.monotonic() - ended_at) * 1000,
        }
        return replace(result, phases_ms=phases)

    def prepare(self, preparation: Preparation) -> None:
        read_grader(_directory(preparation), self._library)

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
        if not host.programs.can_disable_userns:
            missing.append(
                "no --disable-userns here: only the system call filter forbids namespaces in boxes"
            )
        return BackendDescription(
            name="bubblewrap", version=host.version, unenforced=tuple(missing)
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

    def settle(self) -> None:
        self._remains.settle()

    def close(self) -> None:
        self._remains.close()

    def _make_groups(self, request: RunRequest, cleanup: ExitStack) -> dict[str, BoxGroup]:
        groups = {}
        for role in ("grader", "learner"):
            name = f"{owner.this_process()}.{request.run_id}.{role}"
            group = make_group(self._cgroup_parents, name, request.limits, BOX_OVERHEAD_PIDS)
            cleanup.callback(group.remove)
            groups[role] = group
        return groups

    def _isolation(self, grader: Path, groups: Mapping[str, BoxGroup]) -> dict[str, Any]:
        """What the supervisor must know to open the boxes."""
        host = self._host
        grader_uid, learner_uid = pick_unused_uids(2) if host.is_root else (None, None)
        owners = BoxOwners(
            grader_uid=grader_uid,
            learner_uid=learner_uid,
            grader_cgroups=tuple(map(str, groups["grader"].folders)),
            learner_cgroups=tuple(map(str, groups["learner"].folders)),
            memory_is_bounded="memory" in self._cgroup_parents.folders,
        )
        return box_isolation(host.programs, owners, hidden=grader.resolve())


def _directory(what: RunRequest | Preparation) -> Path:
    """Of a grader that leaves its isolation to the host. Raises HostCannot for all others."""
    if not isinstance(what.grader, DirectoryGrader):
        raise HostCannot("a grader image needs a host with the docker backend")
    asked = what.isolation or what.runtime
    if asked:
        raise HostCannot(
            f"the grader asks for {asked}, which needs a host with the docker backend; "
            f"bubblewrap has its own isolation only"
        )
    return what.grader.path


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


def _start_supervisor() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [str(XQ), "--boxes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        advice = _advice(error)
        raise SandboxUnavailable(f"the supervisor cannot be started: {error}{advice}") from error


def _advice(error: OSError) -> str:
    if error.errno == errno.ENOEXEC:
        return f": {XQ} is for another kind of machine; build it here with `make setup`"
    return "" if XQ.exists() else "; build it with `make setup` (sandbox/supervisor/build.sh)"


def _dismiss(process: subprocess.Popen[bytes]) -> None:
    """Let it end by itself, which it does at once when its run is not over: its boxes die with it.
    After a run it sees to it that nothing of them is left."""
    assert process.stdin is not None
    assert process.stdout is not None
    # Both: a supervisor that passes on a flood of reports waits for somebody to read them.
    process.stdout.close()
    with suppress(OSError):
        process.stdin.close()


def _hold(supervisor: subprocess.Popen[bytes], request: RunRequest, start: bytes) -> RunResult:
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    channel = PipeChannel(supervisor.stdin, supervisor.stdout)
    conversation = Conversation(channel, request.limits, tests=request.tests)
    try:
        return conversation.hold(start)
    except SupervisorLost as lost:
        supervisor.kill()
        assert supervisor.stderr is not None
        said = supervisor.stderr.read(STDERR_BYTES).decode(errors="replace").strip()
        if lost.learner_active and lost.silent:
            return conversation.cut_short(MEMORY_NOTICE)
        raise SandboxUnavailable(f"{lost}: {said or 'it said nothing'}") from lost


def _system_folders() -> tuple[str, ...]:
    return tuple(chain.from_iterable(_system_folder(Path("/", name)) for name in SYSTEM_FOLDERS))


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
        programs=BoxPrograms(
            bwrap=found,
            python=_readable_python(python),
            system_folders=_system_folders(),
            configuration=tuple(str(path) for path in sorted(Path("/etc").glob("java-*-openjdk"))),
            can_disable_userns="--disable-userns" in help_text,
        ),
        version=_output_of([found, "--version"]).strip().removeprefix("bubblewrap "),
        is_root=os.geteuid() == 0,
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
