"""Our own system call filters: one table, made into what Docker and bubblewrap each take.

table      every system call, its numbers and its rule
arguments  which arguments of `clone`, `socket`, `ioctl`, … are harmless
policy     what a container, a slot and a box make of the rules
profile    JSON for Docker
program    BPF for bubblewrap
"""

from __future__ import annotations

import hashlib

from sandbox.seccomp.profile import docker_profile, slot_profile
from sandbox.seccomp.program import AUDIT_ARCH, NoFilterForMachine, box_filter

__all__ = [
    "NoFilterForMachine",
    "box_filter",
    "docker_profile",
    "profile_hash",
    "slot_profile",
]


def profile_hash() -> str:
    """Names the rules in force in a report: 16 hex digits over all filters of all machines."""
    filters = [docker_profile().encode(), slot_profile().encode(), *map(box_filter, AUDIT_ARCH)]
    return hashlib.sha256(b"\0".join(filters)).hexdigest()[:16]
