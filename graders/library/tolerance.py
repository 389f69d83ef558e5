"""How far two numbers may lie apart and still count as the same."""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Said = float | Mapping[str, float]

RELATIVE = "relative"
ABSOLUTE = "absolute"


class Tolerance:
    """By `relative` times the larger of both, or by `absolute`, whichever is more."""

    __slots__ = ("absolute", "relative")

    def __init__(self, *, relative: float = 0.0, absolute: float = 0.0) -> None:
        # With 1, nothing is too far from zero and 100 is as good as 0.
        if not 0 <= relative < 1:
            raise ValueError(f"a relative tolerance is from 0 to less than 1, not {relative!r:.40}")
        if not 0 <= absolute < math.inf:
            raise ValueError(f"an absolute tolerance is a number from 0, not {absolute!r:.40}")
        self.relative = relative
        self.absolute = absolute

    def allows(self, expected: float, actual: float) -> bool:
        """NaN is NaN here."""
        if math.isnan(expected) or math.isnan(actual):
            return math.isnan(expected) and math.isnan(actual)
        return expected == actual or math.isclose(
            expected, actual, rel_tol=self.relative, abs_tol=self.absolute
        )


def tolerance_of(said: Said) -> Tolerance:
    """A number, less than 1, is both; `{"relative": …, "absolute": …}` is one of them or each.

    Raises ValueError.
    """
    if isinstance(said, int | float):
        return Tolerance(relative=said, absolute=said)
    if not said or said.keys() - {RELATIVE, ABSOLUTE}:
        raise ValueError(f"a tolerance has the keys {RELATIVE} and {ABSOLUTE}, not {said!r:.80}")
    return Tolerance(relative=said.get(RELATIVE, 0.0), absolute=said.get(ABSOLUTE, 0.0))
