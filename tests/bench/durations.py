"""Many durations in a line."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil


def line(what: str, took_s: Sequence[float]) -> str:
    """How many there were, the median, the 95th percentile and the worst, in milliseconds."""
    if not took_s:
        return f"{what}: none"
    ordered = sorted(took_s)
    middle, p95, worst = (_at(ordered, share) * 1000 for share in (0.5, 0.95, 1.0))
    return f"{what}: {len(ordered)}, p50 {middle:.1f} ms, p95 {p95:.1f} ms, max {worst:.1f} ms"


def _at(ordered: Sequence[float], share: float) -> float:
    """The smallest that is not less than this share of them."""
    return ordered[ceil(share * len(ordered)) - 1]
