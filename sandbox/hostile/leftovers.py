"""What runs left behind on this host: seen before and after, whatever it is.

Other programs of the host come and go; only what stays counts, and of containers, groups and
folders only ours.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import owner
from sandbox.cgroups import PREFIX as GROUP_PREFIX
from sandbox.cgroups import find_parents, leftover_groups
from sandbox.hostile.bench import FOLDER_PREFIX
from sandbox.uids import HIGH_RANGE

PATIENCE_S = 20.0
OUR_MOUNTS = ("xqueue", "bwrap", "newroot", "/box")
HELD = re.compile(r"docker[/-][0-9a-f]{64}|/" + GROUP_PREFIX)
"""In the control group of a process that a container or a box of the host holds."""
SYSTEM_V = ("shm", "sem", "msg")

Names = frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Kind -> names of what is there."""

    kinds: Mapping[str, Names]

    def beyond(self, before: Snapshot) -> dict[str, Names]:
        """What is there now and was not then; kinds with nothing new are left out."""
        found = {kind: names - before.kinds[kind] for kind, names in self.kinds.items()}
        return {kind: names for kind, names in found.items() if names}


def look_around(*, engine: bool) -> Snapshot:
    """`engine` asks the Docker Engine too."""
    kinds: dict[str, Callable[[], Names]] = {
        "processes": _processes,
        "control groups": _control_groups,
        "folders": _folders,
        "mounts": _mounts,
        "System V objects": _system_v,
        "keys": _keys,
        "network interfaces": _interfaces,
    }
    seen = {kind: look() for kind, look in kinds.items()}
    return Snapshot(kinds=seen | (_of_engine() if engine else {}))


def left_since(
    before: Snapshot, *, engine: bool, patience_s: float | None = None
) -> dict[str, Names]:
    """What has stayed; waits for what others are busy with, which is gone soon."""
    until = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
    left = look_around(engine=engine).beyond(before)
    while left and time.monotonic() < until:
        time.sleep(0.1)  # there is no event for the end of other people's things
        now = look_around(engine=engine).beyond(before)
        left = {kind: stayed for kind in left if (stayed := left[kind] & now.get(kind, Names()))}
    return left


def _processes() -> Names:
    """Of uids that only our boxes and containers use, with their start times.

    Not those in a container or a group: these are looked for themselves, and may be other people's.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            if HELD.search((folder / "cgroup").read_text()):
                continue
            status = (folder / "status").read_text()
            uid = int(status.split("Uid:")[1].split()[0])
            started_at = (folder / "stat").read_text().rpartition(")")[2].split()[19]
            if uid in HIGH_RANGE and "State:\tZ" not in status:
                found.append(f"{folder.name} since {started_at}")
    return Names(found)


def _control_groups() -> Names:
    return Names(
        name for name in leftover_groups(find_parents()) if name.startswith(owner.this_process())
    )


def _folders() -> Names:
    top = Path(tempfile.gettempdir())
    return Names(path.name for path in top.iterdir() if path.name.startswith(FOLDER_PREFIX))


def _mounts() -> Names:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return Names(line for line in lines if any(word in line for word in OUR_MOUNTS))


def _system_v() -> Names:
    found = []
    for kind in SYSTEM_V:
        with suppress(OSError):
            for line in Path("/proc/sysvipc", kind).read_text().splitlines()[1:]:
                fields = line.split()
                if any(field.isdigit() and int(field) in HIGH_RANGE for field in fields):
                    found.append(f"{kind} {fields[1]}")
    return Names(found)


def _keys() -> Names:
    with suppress(OSError):
        lines = [line.split() for line in Path("/proc/keys").read_text().splitlines()]
        return Names(
            line[0]
            for line in lines
            if len(line) > 5 and line[5].isdigit() and int(line[5]) in HIGH_RANGE
        )
    return Names()


def _interfaces() -> Names:
    with suppress(OSError):
        return Names(path.name for path in Path("/sys/class/net").iterdir())
    return Names()


def _of_engine() -> dict[str, Names]:
    """Raises ImportError without the Docker SDK."""
    import docker

    from sandbox.backends.docker import LABEL

    client = docker.from_env(timeout=20)
    try:
        ours = f"{LABEL}.owner={owner.this_process()}"
        found: dict[str, Sequence[Any]] = {
            "containers": client.containers.list(all=True, filters={"label": ours}, sparse=True),
            "volumes": client.volumes.list(),
            "networks": client.networks.list(),
        }
        return {kind: Names(str(one.id) for one in each) for kind, each in found.items()}
    finally:
        client.close()
