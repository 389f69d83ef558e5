"""Control groups of bubblewrap boxes: version 1 or 2, wherever one may be written.

Without any, a box still has its rlimits; `missing_limits` says what then goes unbounded.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxUnavailable
from sandbox.run import Limits

PREFIX = "xqueue-box-"
CPU_PERIOD_US = 100_000
EMPTYING_PATIENCE_S = 30.0
"""The kernel may be long at freeing what a killed program held, as a deep tree of folders."""
CONTROLLERS = ("memory", "pids", "cpu")
SENTENCES = {
    "memory": "no writable memory cgroup: each process's address space is limited, not their sum, "
    "and memory held in files without a name (memfd) not at all",
    "pids": "no writable pids cgroup: processes are limited by RLIMIT_NPROC only",
    "cpu": "no writable cpu cgroup: a submission may use every core, for its CPU time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupParents:
    """The folders in which groups can be made: one per controller (v1) or one for all (v2)."""

    version: int
    folders: Mapping[str, Path]
    """Controller to folder; a controller that is missing cannot be limited here."""

    def missing_limits(self) -> tuple[str, ...]:
        return tuple(SENTENCES[name] for name in CONTROLLERS if name not in self.folders)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxGroup:
    """The group of one box, as the folders that make it up."""

    folders: tuple[Path, ...]

    def is_removed(self) -> bool:
        """Kill what is in it and try to delete it, now."""
        for folder in self.folders:
            if not _removed(folder):
                _kill_members(folder)
        return not any(folder.exists() for folder in self.folders)

    def remove(self) -> None:
        """Kill what is in it and delete it. Raises SandboxUnavailable when it stays."""
        until = time.monotonic() + EMPTYING_PATIENCE_S
        for folder in self.folders:
            while not _removed(folder):
                if time.monotonic() > until:
                    raise SandboxUnavailable(f"the control group {folder} cannot be removed")
                _kill_members(folder)
                time.sleep(0.002)  # the kernel has no event for a version 1 group getting empty


def find_parents(mounts: str | None = None, membership: str | None = None) -> CgroupParents:
    """Look for writable groups beside or below our own."""
    mounts = Path("/proc/self/mounts").read_text() if mounts is None else mounts
    membership = Path("/proc/self/cgroup").read_text() if membership is None else membership
    own = dict(_memberships(membership))
    v1, v2 = _mount_points(mounts)
    folders = {
        name: folder
        for name in CONTROLLERS
        if name in v1 and (folder := _writable(v1[name], own.get(name, "/"))) is not None
    }
    if folders or v2 is None:
        return CgroupParents(version=1, folders=folders)
    return CgroupParents(version=2, folders=_delegated(v2, own.get("", "/")))


def make_group(parents: CgroupParents, name: str, limits: Limits, spare_pids: int) -> BoxGroup:
    """Create the group of one box with its limits. Raises SandboxUnavailable."""
    made: list[Path] = []
    try:
        for folder in dict.fromkeys(parents.folders.values()):
            group = folder / (PREFIX + name)
            group.mkdir()
            made.append(group)
        for controller, folder in parents.folders.items():
            settings = _settings(parents.version, controller, limits, spare_pids)
            _write_settings(folder / (PREFIX + name), settings)
    except OSError as error:
        for group in made:
            group.rmdir()
        raise SandboxUnavailable(f"cannot make a control group: {error}") from error
    return BoxGroup(folders=tuple(made))


def leftover_groups(parents: CgroupParents) -> dict[str, BoxGroup]:
    """Every group of ours that exists, by the name given to `make_group`."""
    found: dict[str, list[Path]] = {}
    for folder in dict.fromkeys(parents.folders.values()):
        for group in folder.glob(PREFIX + "*"):
            found.setdefault(group.name.removeprefix(PREFIX), []).append(group)
    return {name: BoxGroup(folders=tuple(groups)) for name, groups in found.items()}


def _settings(version: int, controller: str, limits: Limits, spare_pids: int) -> dict[str, str]:
    """File to value; a `?` before the name means that the kernel may not have the file."""
    pids = {"pids.max": str(limits.pids + spare_pids)}
    quota_us = max(1000, int(limits.cpus * CPU_PERIOD_US))
    memory = str(limits.memory_bytes)
    by_version: dict[tuple[int, str], dict[str, str]] = {
        (1, "memory"): {"memory.limit_in_bytes": memory, "?memory.memsw.limit_in_bytes": memory},
        (1, "pids"): pids,
        (1, "cpu"): {"cpu.cfs_period_us": str(CPU_PERIOD_US), "cpu.cfs_quota_us": str(quota_us)},
        (2, "memory"): {"memory.max": memory, "?memory.swap.max": "0"},
        (2, "pids"): pids,
        (2, "cpu"): {"cpu.max": f"{quota_us} {CPU_PERIOD_US}"},
    }
    return by_version[version, controller]


def _write_settings(group: Path, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        path = group / name.removeprefix("?")
        if name.startswith("?") and not path.exists():
            continue  # a kernel without swap accounting
        path.write_text(value)


def _memberships(membership: str) -> Iterator[tuple[str, str]]:
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _mount_points(mounts: str) -> tuple[dict[str, Path], Path | None]:
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for line in mounts.splitlines():
        _, point, kind, options = line.split()[:4]
        if kind == "cgroup2":
            v2 = Path(point)
        elif kind == "cgroup":
            v1 |= {name: Path(point) for name in options.split(",") if name in CONTROLLERS}
    return v1, v2


def _writable(mount: Path, own: str) -> Path | None:
    """Our own group when it may be written, or else the root of the hierarchy."""
    candidates = (mount / own.lstrip("/"), mount)
    return next((path for path in candidates if _can_make_groups(path)), None)


def _can_make_groups(folder: Path) -> bool:
    """Tried for real: permission bits say nothing about a read-only mount or a lost capability."""
    probe = folder / f"{PREFIX}probe-{os.getpid()}-{time.monotonic_ns()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


def _delegated(mount: Path, own: str) -> dict[str, Path]:
    """Version 2: a group whose children may have the controllers, which ours may not be."""
    start = mount / own.lstrip("/")
    for folder in (start, *start.parents):
        if not folder.is_relative_to(mount):
            break
        with suppress(OSError):
            offered = (folder / "cgroup.subtree_control").read_text().split()
            if any(name in offered for name in CONTROLLERS) and _can_make_groups(folder):
                return {name: folder for name in CONTROLLERS if name in offered}
    return {}


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _kill_members(folder: Path) -> None:
    with suppress(OSError):
        for pid in (folder / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
