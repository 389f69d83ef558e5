"""Whether what a program printed is what it should have printed."""

from __future__ import annotations

import math
import re
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

NUMBER = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)", re.IGNORECASE)
REGEX_S = 2.0
"""A pattern that needs longer on some text was written without that text in mind."""


class TooSlow(Exception):
    """The pattern could be neither found nor not found in time."""


def same_output(
    expected: bytes,
    actual: bytes,
    *,
    exact: bool = False,
    ignore: Iterable[str] = (),
    tolerance: float | None = None,
) -> bool:
    """Spaces at line ends, carriage returns and empty lines at the end do not count, unless
    `exact`. `ignore` holds some of case, spaces, blank-lines, line-order."""
    if exact:
        return expected == actual
    ignored = frozenset(ignore)
    left, right = comparable(expected, ignored), comparable(actual, ignored)
    if tolerance is None:
        return left == right
    return len(left) == len(right) and all(
        _same_words(one.split(), other.split(), tolerance)
        for one, other in zip(left, right, strict=True)
    )


def comparable(content: bytes, ignored: frozenset[str]) -> list[str]:
    """The lines without what does not count. Bytes that are not UTF-8 stay different from any
    that are."""
    text = content.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    if "case" in ignored:
        text = text.casefold()
    lines = [line.rstrip() for line in text.split("\n")]
    if "spaces" in ignored:
        lines = [" ".join(line.split()) for line in lines]
    if "blank-lines" in ignored:
        lines = [line for line in lines if line]
    while lines and not lines[-1]:
        del lines[-1]
    return sorted(lines) if "line-order" in ignored else lines


def _same_words(expected: list[str], actual: list[str], tolerance: float) -> bool:
    return len(expected) == len(actual) and all(
        one == other or _same_number(one, other, tolerance)
        for one, other in zip(expected, actual, strict=True)
    )


def _same_number(expected: str, actual: str, tolerance: float) -> bool:
    if not NUMBER.fullmatch(expected) or not NUMBER.fullmatch(actual):
        return False
    left, right = float(expected), float(actual)
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return left == right or math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)


def found_in(pattern: str, content: bytes) -> bool:
    """Whether the author's pattern is somewhere in it. Raises TooSlow."""
    text = content.decode(errors="replace").replace("\r\n", "\n")
    before = signal.signal(signal.SIGALRM, _too_slow)
    signal.setitimer(signal.ITIMER_REAL, REGEX_S)
    try:
        return re.search(pattern, text, re.MULTILINE) is not None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _too_slow(*_: object) -> NoReturn:
    raise TooSlow
