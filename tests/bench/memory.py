"""Memory of a tree of processes: each page once, however many of them share it. Linux only."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.bench.cpu import tree


def tree_memory_mib(roots: Iterable[int]) -> float:
    """The proportional set size of these processes and their descendants, as it is now."""
    return sum(_pss_kib(pid) for pid in tree(roots)) / 1024


def _pss_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has just ended
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
