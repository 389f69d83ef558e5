"""Whether the value a learner's function returned is the expected one.

Works on the JSON form of values (see `values`), so that no object of the learner's takes part:
nothing here can be an instance with an `__eq__` that always says yes.
"""

from __future__ import annotations

from graders.library.tolerance import Tolerance, tolerance_of
from graders.library.values import tagged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from graders.library.tolerance import Said

UNORDERED = frozenset({"$set", "$frozenset", "$dict"})


def same_value(expected: object, actual: object, tolerance: Said = 0.0) -> bool:
    """Equal as Python means it, but `True` is not 1, NaN is NaN, and 4 equals 4.0.

    `tolerance` is a number less than 1, which is both relative and absolute, or `{"relative": …,
    "absolute": …}`; it applies to numbers at any depth, to two whole ones only `absolute`. Raises
    ValueError for another one.
    """
    allowed = tolerance_of(tolerance)
    try:
        return _same(expected, actual, allowed)
    except RecursionError:
        return False


def _same(expected: object, actual: object, tolerance: Tolerance) -> bool:
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, int | float) and isinstance(actual, int | float):
        return _same_number(expected, actual, tolerance)
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(
            _same(left, right, tolerance) for left, right in zip(expected, actual, strict=True)
        )
    if isinstance(expected, dict) and isinstance(actual, dict):
        return _same_object(expected, actual, tolerance)
    return type(expected) is type(actual) and expected == actual


def _same_number(expected: float, actual: float, tolerance: Tolerance) -> bool:
    if isinstance(expected, int) and isinstance(actual, int):
        return abs(expected - actual) <= tolerance.absolute
    try:
        expected, actual = float(expected), float(actual)
    except OverflowError:
        return False
    return tolerance.allows(expected, actual)


def _same_object(
    expected: dict[str, object], actual: dict[str, object], tolerance: Tolerance
) -> bool:
    tag, content = tagged(expected)
    if tag in UNORDERED and tagged(actual)[0] == tag:
        return _same_unordered(content, actual[tag], tolerance)
    return expected.keys() == actual.keys() and all(
        _same(value, actual[key], tolerance) for key, value in expected.items()
    )


def _same_unordered(expected: object, actual: object, tolerance: Tolerance) -> bool:
    if not isinstance(expected, list) or not isinstance(actual, list):
        return False
    if len(expected) != len(actual):
        return False
    rest = list(actual)
    for item in expected:
        found = (place for place, other in enumerate(rest) if _same(item, other, tolerance))
        place = next(found, None)
        if place is None:
            return False
        del rest[place]
    return True
