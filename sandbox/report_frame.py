"""Reads the values of a grader's `tests` and `report` frames; whatever is wrong is said by name.

Knows frames one by one: what has been announced, reported or used up before is `transcript`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.run import DeclaredTest, TestStatus

TEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_TESTS = 1000
MAX_POINTS = 1_000_000
MAX_TITLE = 300
MAX_DURATION_MS = 24 * 3600 * 1000

Frame = Mapping[str, Any]


class GraderSpokeNonsense(Exception):
    """A frame that may not be part of a grade; the text says which and why."""


def read_tests(frame: Frame) -> tuple[DeclaredTest, ...]:
    """What a `tests` frame announces, each id once."""
    tests = frame.get("tests")
    if not isinstance(tests, list) or not 1 <= len(tests) <= MAX_TESTS:
        raise GraderSpokeNonsense(f'"tests" must be a list of 1 to {MAX_TESTS} tests')
    declared: dict[str, DeclaredTest] = {}
    for test in map(_read_test, tests):
        if test.test_id in declared:
            raise GraderSpokeNonsense(f"test {test.test_id!r} is announced twice")
        declared[test.test_id] = test
    return tuple(declared.values())


def _read_test(test: object) -> DeclaredTest:
    if not isinstance(test, dict):
        raise GraderSpokeNonsense("an announced test is not an object")
    visible = test.get("visible", True)
    test_id = read_id(test)
    if not isinstance(visible, bool):
        raise GraderSpokeNonsense(f'"visible" of test {test_id!r} must be true or false')
    return DeclaredTest(
        test_id=test_id,
        title=read_text(test, "title")[:MAX_TITLE] or test_id,
        max_score=read_number(test, "max", most=MAX_POINTS),
        visible=visible,
    )


def read_id(frame: Frame) -> str:
    test_id = frame.get("id")
    if not isinstance(test_id, str) or not TEST_ID.fullmatch(test_id):
        raise GraderSpokeNonsense(f'"id" {shown(test_id)} is not 1 to 64 of A-Z a-z 0-9 . _ -')
    return test_id


def read_number(frame: Frame, name: str, *, most: float) -> float:
    """A finite number of 0 to `most`; neither a boolean nor a number written as text."""
    value = frame.get(name)
    where = f'"{name}" of test {frame["id"]!r}'
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GraderSpokeNonsense(f"{where} is not a number: {shown(value)}")
    # Compared before it is converted: a huge integer has no float. NaN compares false.
    if not 0 <= value <= most:
        raise GraderSpokeNonsense(f"{where} is not between 0 and {most:g}: {shown(value)}")
    return float(value)


def read_duration(frame: Frame) -> float | None:
    if frame.get("duration_ms") is None:
        return None
    return read_number(frame, "duration_ms", most=MAX_DURATION_MS)


def read_status(frame: Frame) -> TestStatus | None:
    value = frame.get("status")
    if value is None:
        return None
    known = {status.value: status for status in TestStatus}
    if not isinstance(value, str) or value not in known:
        raise GraderSpokeNonsense(
            f'"status" of test {frame["id"]!r} is none of {", ".join(known)}: {shown(value)}'
        )
    return known[value]


def read_text(frame: Frame, name: str) -> str:
    """Empty where the frame has none."""
    value = frame.get(name, "")
    if not isinstance(value, str):
        raise GraderSpokeNonsense(f'"{name}" is not text: {shown(value)}')
    # A lone surrogate is valid JSON and would break the first encoder that meets it.
    return value.encode(errors="replace").decode()


def read_optional_text(frame: Frame, name: str) -> str | None:
    return None if frame.get(name) is None else read_text(frame, name)


def read_pictures(frame: Frame) -> list[Frame]:
    """Objects with a `label`; what is in them is looked at only if there is room for it."""
    pictures = frame.get("pictures")
    if pictures is None:
        return []
    if not isinstance(pictures, list) or not all(isinstance(each, dict) for each in pictures):
        raise GraderSpokeNonsense(f'"pictures" of test {frame["id"]!r} is not a list of objects')
    return pictures


def shown(value: object) -> str:
    """A short form of anything that JSON can hold, however large or deep."""
    try:
        return f"{value!r:.80}"
    except (RecursionError, ValueError):
        return f"a {type(value).__name__} that is too large to show"
