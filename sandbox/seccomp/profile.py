"""The table as a seccomp profile of Docker (`security_opt: seccomp=<JSON>`).

Only the machine's own system calls are let in: filters for x32 and i386 beside it would double
what every container start compiles, and let in what has no rule here.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from sandbox.seccomp.arguments import Alternative
from sandbox.seccomp.policy import ALLOW, Place, Verdict, verdict
from sandbox.seccomp.table import TABLE

DEFAULT_ERROR = errno.EPERM
ARCHITECTURES = ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")


@cache
def docker_profile() -> str:
    """For a single-use container (split-uid and split-container), as JSON."""
    return _profile(Place.CONTAINER)


@cache
def slot_profile() -> str:
    """For a slot of the box engine: bubblewrap may make boxes. Without the inner filter
    (`box_filter`) no foreign program may run under it."""
    return _profile(Place.SLOT)


def _profile(place: Place) -> str:
    verdicts = {call.name: verdict(call, place) for call in TABLE}
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": DEFAULT_ERROR,
        "archMap": [{"architecture": name, "subArchitectures": []} for name in ARCHITECTURES],
        "syscalls": list(_rules(verdicts)),
    }
    return json.dumps(profile, separators=(",", ":"))


def _rules(verdicts: dict[str, Verdict]) -> Iterator[dict[str, Any]]:
    yield {
        "names": [name for name, found in verdicts.items() if found == ALLOW],
        "action": "SCMP_ACT_ALLOW",
    }
    for error in sorted({found.error for found in verdicts.values() if found.error is not None}):
        if error != DEFAULT_ERROR:
            names = [name for name, found in verdicts.items() if found.error == error]
            yield _error(names, error)
    for name, found in verdicts.items():
        if found.arguments is not None:
            for alternative in found.arguments.alternatives:
                yield _allowed_with(name, alternative)


def _error(names: list[str], error: int) -> dict[str, Any]:
    return {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": error}


def _allowed_with(name: str, alternative: Alternative) -> dict[str, Any]:
    arguments = [
        {
            "index": condition.argument,
            "value": condition.mask,
            "valueTwo": condition.value,
            "op": "SCMP_CMP_MASKED_EQ",
        }
        for condition in alternative
    ]
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": arguments}
