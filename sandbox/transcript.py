"""What a grader has announced and reported so far, checked frame by frame.

Graders are written by course teams, and what they say may be shaped by a learner's output: an
undeclared test, a score above its maximum or a NaN ends the run as the grader's failure. Much text
and large pictures do not: a learner who produces a lot must not be able to break a grader.
"""

from __future__ import annotations

import math
from typing import Any

from sandbox.report_frame import (
    MAX_POINTS,
    MAX_TESTS,
    MAX_TITLE,
    TEST_ID,
    Frame,
    GraderSpokeNonsense,
    read_duration,
    read_id,
    read_number,
    read_optional_text,
    read_pictures,
    read_status,
    read_tests,
    read_text,
    shown,
)
from sandbox.run import DeclaredTest, Picture, TestReport
from sandbox.supervisor.frames import FrameError, unpack_bytes

MAX_DETAIL = 2000
MAX_PICTURES = 8
"""Kept of one report."""
FLOOD_FACTOR = 32
"""How many times the bytes that are kept may pass by; more is a flood."""
NO_ROOM = "(not kept: too much output)"

__all__ = [
    "FLOOD_FACTOR",
    "MAX_PICTURES",
    "MAX_POINTS",
    "MAX_TESTS",
    "MAX_TITLE",
    "NO_ROOM",
    "TEST_ID",
    "GraderSpokeNonsense",
    "Transcript",
]


class Transcript:
    """Collects the frames of one run.

    `tests` come from the manifest; a `tests` frame of the grader must then say the same, or be
    left out. Without them, `declared_max` is None until the grader has announced its tests.
    """

    def __init__(self, *, result_bytes: int, tests: tuple[DeclaredTest, ...] | None = None) -> None:
        self._flood_bytes = result_bytes * FLOOD_FACTOR
        self._bytes_left = self._flood_bytes
        self._kept_bytes_left = result_bytes
        self._manifest = tests
        self._declared: dict[str, DeclaredTest] = {}
        self._announced = False
        self._reported: dict[str, TestReport] = {}
        self.declared_max: float | None = None
        self.failure: str | None = None
        self.done = False
        if tests is not None:
            self._declare(tests)

    @property
    def reports(self) -> tuple[TestReport, ...]:
        return tuple(self._reported.values())

    @property
    def not_run(self) -> tuple[DeclaredTest, ...]:
        """Declared and not reported (so far), in the declared order."""
        return tuple(
            test for test_id, test in self._declared.items() if test_id not in self._reported
        )

    def count_bytes(self, count: int) -> None:
        """All frames of a run together have a limit; a flood of valid ones is still a flood."""
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise GraderSpokeNonsense(f"the reports exceed {self._flood_bytes} bytes")

    def record(self, frame: dict[str, Any]) -> None:
        """Take a `tests`, `report`, `done` or `fail` frame; GraderSpokeNonsense if it is wrong."""
        match frame["type"]:
            case "tests":
                self._announce(frame)
            case "report":
                self._report(frame)
            case "done":
                self._finish()
            case "fail":
                self.failure = read_text(frame, "detail")[:MAX_DETAIL] or "no reason given"
            case other:
                raise GraderSpokeNonsense(f"a frame of unknown type {shown(other)}")

    def _announce(self, frame: Frame) -> None:
        if self._announced:
            raise GraderSpokeNonsense("the tests were announced twice")
        self._announced = True
        tests = read_tests(frame)
        if self._manifest is None:
            self._declare(tests)
        else:
            _compare(self._declared, tests)

    def _declare(self, tests: tuple[DeclaredTest, ...]) -> None:
        self._declared = {test.test_id: test for test in tests}
        self.declared_max = math.fsum(test.max_score for test in tests)

    def _report(self, frame: Frame) -> None:
        declared = self._declared.get(read_id(frame))
        if declared is None:
            raise GraderSpokeNonsense(f"test {frame['id']!r} was not announced")
        if declared.test_id in self._reported:
            raise GraderSpokeNonsense(f"test {declared.test_id!r} is reported twice")
        self._reported[declared.test_id] = TestReport(
            test_id=declared.test_id,
            title=declared.title,
            score=_score(frame, declared),
            max_score=declared.max_score,
            visible=declared.visible,
            status=read_status(frame),
            duration_ms=read_duration(frame),
            output=self._kept(read_text(frame, "output")),
            expected=self._kept_if_any(read_optional_text(frame, "expected")),
            actual=self._kept_if_any(read_optional_text(frame, "actual")),
            html=self._kept_if_any(read_optional_text(frame, "html")),
            pictures=self._kept_pictures(frame),
        )

    def _kept(self, text: str) -> str:
        """The text, as long as there is room; the score counts in any case."""
        return text if self._has_room(len(text.encode())) else NO_ROOM

    def _kept_if_any(self, text: str | None) -> str | None:
        return None if text is None else self._kept(text)

    def _kept_pictures(self, frame: Frame) -> tuple[Picture, ...]:
        """The first few; one that is not kept has no bytes."""
        pictures = read_pictures(frame)
        kept = [self._kept_picture(picture) for picture in pictures[:MAX_PICTURES]]
        more = len(pictures) - MAX_PICTURES
        return (*kept, Picture(label=f"{more} more", data=b"")) if more > 0 else tuple(kept)

    def _kept_picture(self, picture: Frame) -> Picture:
        label = read_text(picture, "label")[:MAX_TITLE]
        encoded = picture.get("data")
        if isinstance(encoded, str) and not self._has_room(len(encoded)):
            return Picture(label=label, data=b"")
        try:
            return Picture(label=label, data=unpack_bytes(encoded))
        except FrameError as error:
            raise GraderSpokeNonsense(f"picture {label!r:.80}: {error}") from None

    def _has_room(self, size: int) -> bool:
        """Takes the room when there is."""
        if size > self._kept_bytes_left:
            return False
        self._kept_bytes_left -= size
        return True

    def _finish(self) -> None:
        if self.declared_max is None:
            raise GraderSpokeNonsense("it said `done` without announcing any test")
        if self.not_run:
            missing = ", ".join(test.test_id for test in self.not_run)
            raise GraderSpokeNonsense(f"it said `done` without a report of {missing[:200]}")
        self.done = True


def _score(frame: Frame, declared: DeclaredTest) -> float:
    score = read_number(frame, "score", most=MAX_POINTS)
    if score > declared.max_score:
        raise GraderSpokeNonsense(
            f"test {declared.test_id!r}: score {score:g} exceeds its maximum {declared.max_score:g}"
        )
    return score


def _compare(manifest: dict[str, DeclaredTest], announced: tuple[DeclaredTest, ...]) -> None:
    """A grader that says something else than its manifest is not the one that was published."""
    if missing := manifest.keys() - {test.test_id for test in announced}:
        raise GraderSpokeNonsense(f"test {min(missing)!r} of the manifest was not announced")
    for test in announced:
        declared = manifest.get(test.test_id)
        if declared is None:
            raise GraderSpokeNonsense(f"test {test.test_id!r} is not in the manifest")
        for name, said, promised in (
            ("max", test.max_score, declared.max_score),
            ("visible", test.visible, declared.visible),
            ("title", test.title, declared.title[:MAX_TITLE]),
        ):
            # A grader may leave titles to the manifest: the id stands for one that is missing.
            if said != promised and not (name == "title" and said == test.test_id):
                raise GraderSpokeNonsense(
                    f"test {test.test_id!r}: {name} is {shown(said)} here "
                    f"and {shown(promised)} in the manifest"
                )
