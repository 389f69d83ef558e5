"""What a container is made of. Everything that may differ from an engine's defaults is said here,
so that no default matters.

The settings are those of the Engine API's `POST /containers/create`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sandbox.backends.docker.images import Image
from sandbox.run import Limits
from sandbox.supervisor.layout import (
    BOX_DIR,
    GRADE_BYTES,
    GRADE_DIR,
    GRADE_FILES,
    GRADER_UID,
    LEARNER_TMP_DIR,
    MOST_FILES,
    SCRATCH_DIR,
    XQ_PATH,
)

PROGRAM = (XQ_PATH,)
"""The supervisor in every image built from our base."""
RUNSC = "runsc"
SPARE_PIDS = 16
"""For supervisor and grader, beside the learner's."""
GVISOR_PIDS = 512
"""gVisor's own threads count, and it dies when it may not have them."""
OPEN_FILES = 256
NO_LASTING_IPC = {
    "kernel.shm_rmid_forced": "1",
    "kernel.msgmni": "0",
    "kernel.sem": "1 1 1 0",
}
"""System V objects outlive the process that made them, and would hold the memory of the container
against the grader until the kernel kills that."""
NO_WAITING_PORTS = {"net.ipv4.tcp_max_tw_buckets": "0"}
"""A port that a program served is free for the next one at once, and not after a minute."""
NO_TERMINALS = {"/dev/pts": "ro,nosuid,nodev,noexec,mode=0555,size=4096,nr_inodes=2"}
"""All containers and the host draw their pseudo-terminals from one pool (kernel.pty.max)."""
UNMASKED: dict[str, Any] = {"MaskedPaths": [], "ReadonlyPaths": []}
"""The kernel lets nobody mount a box's own /proc who sees one with parts covered. What is not
covered then belongs to root, who does not exist in a slot; no box sees it, or /sys, at all."""


class Role(StrEnum):
    """What our program is in a container."""

    BOTH = "container"
    """Supervisor of grader and learner, apart by uid: root with three capabilities."""
    GRADER = "grader"
    LEARNER = "learner"
    SLOT = "slot"
    """Maker of boxes for one submission after another, without root or capability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """All that makes one container unlike another before it has its job. Containers of equal
    specs can stand in for each other."""

    image: Image
    role: Role
    runtime: str | None
    memory_bytes: int
    pids: int
    cpus: float
    scratch_bytes: int
    has_own_files: bool
    """The grader's files are in the image, and not sent."""

    @property
    def is_gvisor(self) -> bool:
        return self.runtime == RUNSC

    def of(self, image: Image) -> ContainerSpec:
        return replace(self, image=image)


def spec_of(
    image: Image, role: Role, limits: Limits, *, runtime: str | None, has_own_files: bool
) -> ContainerSpec:
    return ContainerSpec(
        image=image,
        role=role,
        runtime=runtime,
        memory_bytes=limits.memory_bytes,
        pids=limits.pids,
        cpus=limits.cpus,
        scratch_bytes=limits.scratch_bytes,
        has_own_files=has_own_files,
    )


def container_config(
    spec: ContainerSpec, *, learner_uid: int, seccomp: str, labels: Mapping[str, str]
) -> dict[str, Any]:
    """The body of the request that creates it. `seccomp` is a profile as JSON."""
    uid = {
        Role.BOTH: 0,
        Role.GRADER: GRADER_UID,
        Role.LEARNER: learner_uid,
        Role.SLOT: learner_uid,
    }[spec.role]
    capabilities = ["SETUID", "SETGID", "KILL"] if spec.role is Role.BOTH else []
    files = max(spec.scratch_bytes, 0 if spec.role is Role.LEARNER else GRADE_BYTES)
    pids = spec.pids + SPARE_PIDS
    host = hardened_host_config(
        memory_bytes=spec.memory_bytes,
        pids=max(pids, GVISOR_PIDS) if spec.is_gvisor else pids,
        cpus=spec.cpus,
        file_bytes=files,
        seccomp=seccomp,
        runtime=spec.runtime,
    )
    host |= {"CapAdd": capabilities, "Tmpfs": _tmpfs(spec, learner_uid)}
    if spec.role is Role.SLOT:
        host |= UNMASKED
    return our_config(spec.image, labels, host) | {
        "Entrypoint": [*PROGRAM, f"--{spec.role}"],
        "Cmd": [],
        "User": f"{uid}:{uid}",
        "WorkingDir": "/",
    }


def our_config(image: Image, labels: Mapping[str, str], host: Mapping[str, Any]) -> dict[str, Any]:
    """What containers of all kinds have in common beside their host configuration."""
    return {
        # By id: between looking and creating, a tag may come to mean something else.
        "Image": image.image_id,
        "Labels": dict(labels),
        "Tty": False,
        "OpenStdin": True,
        # The container's stdin ends when the worker does, and with it the supervisor.
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        # Instead of the network mode `none`: the container gets an empty network namespace all
        # the same, and the engine skips a hook that costs as much as the rest of the start.
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": dict(host),
    }


def hardened_host_config(
    *,
    memory_bytes: int,
    pids: int,
    cpus: float,
    file_bytes: int,
    seccomp: str,
    runtime: str | None,
) -> dict[str, Any]:
    """Without capabilities and without any writable place."""
    return {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "CapAdd": [],
        "Privileged": False,
        "SecurityOpt": ["no-new-privileges", f"seccomp={seccomp}"],
        "PidsLimit": pids,
        "Memory": memory_bytes,
        "MemorySwap": memory_bytes,
        "OomKillDisable": False,
        "NanoCpus": int(cpus * 1e9),
        "IpcMode": "none",
        "Sysctls": {} if runtime == RUNSC else NO_LASTING_IPC | NO_WAITING_PORTS,
        "Ulimits": [
            {"Name": "nofile", "Soft": OPEN_FILES, "Hard": OPEN_FILES},
            # Less would have the kernel start a program that takes the core (see `start.c`).
            {"Name": "core", "Soft": 1, "Hard": 1},
            {"Name": "fsize", "Soft": file_bytes, "Hard": file_bytes},
        ],
        "LogConfig": {"Type": "none"},
        "RestartPolicy": {"Name": "no"},
        "Runtime": runtime or "",
    }


def _tmpfs(spec: ContainerSpec, learner_uid: int) -> dict[str, str]:
    # gVisor has a pool of its own.
    places: dict[str, str] = {} if spec.is_gvisor else dict(NO_TERMINALS)
    if spec.role is Role.SLOT:
        return places
    if spec.role is not Role.GRADER:
        places |= _learners_places(spec.scratch_bytes, learner_uid)
    if spec.role is not Role.LEARNER:
        places[SCRATCH_DIR] = f"{_owned_by(GRADER_UID)},exec,size={spec.scratch_bytes}"
        if not spec.has_own_files:
            places[GRADE_DIR] = (
                f"nosuid,nodev,mode=0700,uid={GRADER_UID},gid={GRADER_UID},exec,size={GRADE_BYTES},"
                f"nr_inodes={GRADE_FILES}"
            )
    else:
        # Nothing of the grader exists here, whatever the image carries.
        places[GRADE_DIR] = "ro,nosuid,nodev,noexec,mode=0000,size=4096,nr_inodes=2"
    return places


def _learners_places(scratch_bytes: int, uid: int) -> dict[str, str]:
    small = scratch_bytes // 4
    return {
        BOX_DIR: f"{_owned_by(uid)},exec,size={scratch_bytes - small}",
        LEARNER_TMP_DIR: f"{_owned_by(uid)},noexec,size={small}",
    }


def _owned_by(uid: int) -> str:
    return f"nosuid,nodev,nr_inodes={MOST_FILES},mode=0700,uid={uid},gid={uid}"
