"""CPU time of a tree of processes, exact enough for a phase of a second.

The kernel's per-process CPU clock counts nanoseconds over all threads of a process, those that
have ended included; processes that have ended and were reaped are in their parent's `cutime` and
`cstime` (10 ms ticks). Linux only.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_CPU_CLOCK = 2  # CPUCLOCK_SCHED in the kernel's encoding of a foreign process's clock


def tree_cpu_s(roots: Iterable[int]) -> float:
    """CPU seconds used so far by these processes, their descendants and their reaped children."""
    return sum(_own_cpu_s(pid) + _reaped_cpu_s(pid) for pid in tree(roots))


def _own_cpu_s(pid: int) -> float:
    try:
        return time.clock_gettime((~pid << 3) | _CPU_CLOCK)
    except OSError:  # it has just ended, its parent has the time
        return 0.0


def _reaped_cpu_s(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[13]) + int(fields[14])) * TICK_S if fields else 0.0


def tree(roots: Iterable[int]) -> list[int]:
    """These processes and all that descend from them."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    found = list(roots)
    for pid in found:  # grows while it is walked
        found.extend(children[pid])
    return found


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name: state, parent, ..."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()
