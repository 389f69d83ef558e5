"""Whether what a program printed is what it should have printed."""

from __future__ import annotations

import re
import signal
import time

from graders.library.tolerance import Tolerance, tolerance_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

    from graders.library.tolerance import Said

NUMBER = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)", re.IGNORECASE)
REGEX_S = 2.0
"""A pattern that needs longer on some text was written without that text in mind."""
LEAST_REGEX_S = 0.05
"""However much time others have taken: thousands of times what a usual pattern needs."""


class TooSlow(Exception):
    """The pattern could be neither found nor not found in time."""


def same_output(
    expected: bytes,
    actual: bytes,
    *,
    exact: bool = False,
    ignore: Iterable[str] = (),
    tolerance: Said | None = None,
) -> bool:
    """Spaces at line ends, carriage returns and empty lines at the end do not count, unless
    `exact`. `ignore` holds some of case, spaces, blank-lines, line-order."""
    if exact:
        return expected == actual
    ignored = frozenset(ignore)
    left, right = comparable(expected, ignored), comparable(actual, ignored)
    if tolerance is None:
        return left == right
    allowed = tolerance_of(tolerance)
    return len(left) == len(right) and all(
        _same_words(one.split(), other.split(), allowed)
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


def _same_words(expected: list[str], actual: list[str], tolerance: Tolerance) -> bool:
    return len(expected) == len(actual) and all(
        one == other or _same_number(one, other, tolerance)
        for one, other in zip(expected, actual, strict=True)
    )


def _same_number(expected: str, actual: str, tolerance: Tolerance) -> bool:
    if not NUMBER.fullmatch(expected) or not NUMBER.fullmatch(actual):
        return False
    return tolerance.allows(float(expected), float(actual))


class _Patience:
    """The time that is left for slow patterns, of all tests of one submission together."""

    left_s = REGEX_S


def found_in(pattern: str, content: bytes) -> bool:
    """Whether the author's pattern is somewhere in it. Raises TooSlow.

    All calls of a grader together have `REGEX_S`, so that a learner's output can not use up the
    time of the grader test by test.
    """
    text = content.decode(errors="replace").replace("\r\n", "\n")
    began_at = time.monotonic()
    before = signal.signal(signal.SIGALRM, _too_slow)
    signal.setitimer(signal.ITIMER_REAL, max(_Patience.left_s, LEAST_REGEX_S))
    try:
        return re.search(pattern, text, re.MULTILINE) is not None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        _Patience.left_s -= time.monotonic() - began_at


def _too_slow(*_: object) -> NoReturn:
    raise TooSlow
