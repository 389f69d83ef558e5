"""What a grader has announced and reported so far, checked frame by frame.

Graders are written by course teams, and what they say may be shaped by a learner's output: an
undeclared test, a score above its maximum or a NaN ends the run as the grader's failure. Much text
does not: a learner who prints a lot into many tests must not be able to break a grader.
"""

from __future__ import annotations

import math
import re
from typing import Any

from sandbox.run import TestReport

TEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_TESTS = 1000
MAX_POINTS = 1_000_000
MAX_TITLE = 300
MAX_DETAIL = 2000
FLOOD_FACTOR = 32
"""How many times the bytes that are kept may pass by; more is a flood."""
NO_ROOM = "(not kept: too much output)"


class GraderSpokeNonsense(Exception):
    """A frame that may not be part of a grade; the text says which and why."""


class Transcript:
    """Collects the frames of one run. `declared_max` is None until the tests are announced."""

    def __init__(self, *, result_bytes: int) -> None:
        self._flood_bytes = result_bytes * FLOOD_FACTOR
        self._bytes_left = self._flood_bytes
        self._text_bytes_left = result_bytes
        self._declared: dict[str, TestReport] = {}
        self._reported: dict[str, TestReport] = {}
        self.declared_max: float | None = None
        self.failure: str | None = None
        self.done = False

    @property
    def reports(self) -> tuple[TestReport, ...]:
        return tuple(self._reported.values())

    def count_bytes(self, count: int) -> None:
        """All frames of a run together have a limit; a flood of valid ones is still a flood."""
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise GraderSpokeNonsense(f"the reports exceed {self._flood_bytes} bytes")

    def record(self, frame: dict[str, Any]) -> None:
        """Take a `tests`, `report`, `done` or `fail` frame; GraderSpokeNonsense if it is wrong."""
        match frame["type"]:
            case "tests":
                self._declare(frame)
            case "report":
                self._report(frame)
            case "done":
                self._finish()
            case "fail":
                self.failure = _text(frame, "detail", most=MAX_DETAIL) or "no reason given"

    def _declare(self, frame: dict[str, Any]) -> None:
        tests = frame.get("tests")
        if self.declared_max is not None:
            raise GraderSpokeNonsense("the tests were announced twice")
        if not isinstance(tests, list) or not 1 <= len(tests) <= MAX_TESTS:
            raise GraderSpokeNonsense(f'"tests" must be a list of 1 to {MAX_TESTS} tests')
        for test in tests:
            declared = _declared_test(test)
            if declared.test_id in self._declared:
                raise GraderSpokeNonsense(f"test {declared.test_id!r} is announced twice")
            self._declared[declared.test_id] = declared
        self.declared_max = math.fsum(test.max_score for test in self._declared.values())

    def _report(self, frame: dict[str, Any]) -> None:
        declared = self._declared.get(_test_id(frame))
        if declared is None:
            raise GraderSpokeNonsense(f"test {frame['id']!r} was not announced")
        if declared.test_id in self._reported:
            raise GraderSpokeNonsense(f"test {declared.test_id!r} is reported twice")
        score = _points(frame, "score")
        if score > declared.max_score:
            raise GraderSpokeNonsense(
                f"test {declared.test_id!r}: score {score} exceeds its maximum {declared.max_score}"
            )
        self._reported[declared.test_id] = TestReport(
            test_id=declared.test_id,
            title=declared.title,
            score=score,
            max_score=declared.max_score,
            visible=declared.visible,
            output=self._kept(_text(frame, "output")),
            expected=None
            if frame.get("expected") is None
            else self._kept(_text(frame, "expected")),
        )

    def _kept(self, text: str) -> str:
        """The text, as long as there is room; the score counts in any case."""
        size = len(text.encode())
        if size > self._text_bytes_left:
            return NO_ROOM
        self._text_bytes_left -= size
        return text

    def _finish(self) -> None:
        missing = [test_id for test_id in self._declared if test_id not in self._reported]
        if self.declared_max is None:
            raise GraderSpokeNonsense("it said `done` without announcing any test")
        if missing:
            raise GraderSpokeNonsense(
                f"it said `done` without a report of {', '.join(missing)[:200]}"
            )
        self.done = True


def _declared_test(test: object) -> TestReport:
    if not isinstance(test, dict):
        raise GraderSpokeNonsense("an announced test is not an object")
    visible = test.get("visible", True)
    if not isinstance(visible, bool):
        raise GraderSpokeNonsense(f'"visible" of test {test.get("id")!r:.80} must be true or false')
    test_id = _test_id(test)
    return TestReport(
        test_id=test_id,
        title=_text(test, "title", most=MAX_TITLE) or test_id,
        score=0.0,
        max_score=_points(test, "max"),
        visible=visible,
    )


def _test_id(frame: dict[str, Any]) -> str:
    test_id = frame.get("id")
    if not isinstance(test_id, str) or not TEST_ID.fullmatch(test_id):
        raise GraderSpokeNonsense(f'"id" {test_id!r:.80} is not 1 to 64 of A-Z a-z 0-9 . _ -')
    return test_id


def _points(frame: dict[str, Any], name: str) -> float:
    value = frame.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GraderSpokeNonsense(
            f'"{name}" of test {frame["id"]!r} is not a number: {value!r:.80}'
        )
    # Compared before it is converted: a huge integer has no float. NaN compares false.
    if not 0 <= value <= MAX_POINTS:
        raise GraderSpokeNonsense(f'"{name}" of test {frame["id"]!r} is {value!r:.80}')
    return float(value)


def _text(frame: dict[str, Any], name: str, *, most: int | None = None) -> str:
    value = frame.get(name, "")
    if not isinstance(value, str):
        raise GraderSpokeNonsense(f'"{name}" is not text: {value!r:.80}')
    # A lone surrogate is valid JSON and would break the first encoder that meets it.
    return value[:most].encode(errors="replace").decode()
