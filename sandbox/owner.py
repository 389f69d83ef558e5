"""Names the process that owns a run, so that a reaper can tell an orphan from a live one."""

from __future__ import annotations

import os
from pathlib import Path


def this_process() -> str:
    """`<pid>-<start time>`: a pid alone may have been given to another process since."""
    pid = os.getpid()
    return f"{pid}-{_started_at(pid)}"


def is_alive(owner: str) -> bool:
    """Whether that process of this host still runs."""
    pid, _, started_at = owner.partition("-")
    return pid.isdigit() and _started_at(int(pid)) == started_at


def _started_at(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The second field is the command in parentheses and may hold anything.
    return stat.rpartition(")")[2].split()[19]
