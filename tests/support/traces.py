"""What runs leave on a host for as long as they live: to be compared before and after.

Compared, because another backend of the same test session may keep its own warm slots meanwhile.
"""

from __future__ import annotations

from pathlib import Path

import docker

from sandbox.backends.docker import LABEL
from sandbox.cgroups import find_parents, leftover_groups
from sandbox.uids import HIGH_RANGE


def traces(engine: docker.DockerClient) -> set[str]:
    """Every process, container, volume and control group that runs can have left, by name."""
    containers = engine.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return {
        *learner_processes(),
        *(f"container {container.id}" for container in containers),
        *(f"volume {volume.id}" for volume in engine.volumes.list()),
        *(f"group {name}" for name in leftover_groups(find_parents())),
    }


def learner_processes() -> set[str]:
    """Processes of uids that only our boxes and containers use; the dead that nobody waited for
    are not counted."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
        except OSError:
            continue
        uid = int(status.split("Uid:")[1].split()[0])
        if uid in HIGH_RANGE and "State:\tZ" not in status:
            found.add(f"process {folder.name}")
    return found
