"""What runs of a process leave on a host for as long as they live: to be compared before and after.

Compared, because another backend of the same test session may keep its own warm slots meanwhile; of
one process, because other sessions run on the same host.
"""

from __future__ import annotations

import os
from pathlib import Path

import docker

from sandbox.backends.docker import LABEL
from sandbox.cgroups import find_parents, leftover_groups
from sandbox.hostile.leftovers import HELD
from sandbox.uids import HIGH_RANGE


def traces(engine: docker.DockerClient, pid: int | None = None) -> set[str]:
    """Every process, container, volume and control group that runs of that process (this one when
    none is named) can have left, by name."""
    return {
        *learner_processes(engine, pid),
        *(f"container {name}" for name in _containers(engine, pid)),
        *(f"volume {volume.id}" for volume in engine.volumes.list()),
        *(f"group {name}" for name in _groups(pid)),
    }


def learner_processes(engine: docker.DockerClient, pid: int | None = None) -> set[str]:
    """Processes of uids that only our boxes and containers use, but not those that somebody else's
    container or group holds, nor the dead that nobody waited for."""
    ours = _containers(engine, pid) | _groups(pid)
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
            held = (folder / "cgroup").read_text()
        except OSError:
            continue
        uid = int(status.split("Uid:")[1].split()[0])
        is_others = HELD.search(held) and not any(name in held for name in ours)
        if uid in HIGH_RANGE and "State:\tZ" not in status and not is_others:
            found.add(f"process {folder.name}")
    return found


def _containers(engine: docker.DockerClient, pid: int | None) -> set[str]:
    found = engine.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return {one.id for one in found if one.labels[f"{LABEL}.owner"].startswith(_owner(pid))}


def _groups(pid: int | None) -> set[str]:
    return {name for name in leftover_groups(find_parents()) if name.startswith(_owner(pid))}


def _owner(pid: int | None) -> str:
    return f"{pid or os.getpid()}-"
