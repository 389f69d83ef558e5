"""The results of which the documentation shows pictures; made up, but as real graders give them."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from sandbox.run import DeclaredTest, ExitReason, Picture, RunResult, TestReport, TestStatus

COMPILER = """\
main.c: In function 'main':
main.c:5:17: error: 'cout' undeclared (first use in this function)
    5 |     printf("%d\\n", cout);
      |                    ^~~~
main.c:5:17: note: each undeclared identifier is reported only once for each function
"""


def _report(
    test_id: str, title: str, score: float, max_score: float = 1, **more: Any
) -> TestReport:
    return TestReport(test_id=test_id, title=title, score=score, max_score=max_score, **more)


def _result(*reports: TestReport, **more: Any) -> RunResult:
    not_run = more.get("not_run", ())
    declared_max = sum(r.max_score for r in reports) + sum(t.max_score for t in not_run)
    values: dict[str, Any] = {
        "reason": ExitReason.COMPLETED,
        "reports": reports,
        "declared_max": declared_max,
    }
    return RunResult(**(values | more))


def _plot() -> bytes:
    """A parabola: 240 by 120 pixels, one byte each, written as a PNG by hand."""
    width, height = 240, 120
    rows = [bytearray(b"\xff" * width) for _ in range(height)]
    for x in range(width):
        rows[height - 10][x] = 170
        y = round((x - 120) ** 2 / 140)
        for thick in (0, 1):
            rows[max(0, height - 11 - y - thick)][x] = 40
    for row in rows:
        row[120] = min(row[120], 170)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows), 9)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


REPLIES = {
    "all-passed": _result(
        _report("small", "small numbers", 1, actual="9", duration_ms=18),
        _report("negative", "a negative number", 1, actual="144", duration_ms=17),
        _report("large", "large numbers", 2, 2, duration_ms=31),
    ),
    "failed-with-difference": _result(
        _report("empty", "an empty text", 1, actual="0 words", duration_ms=15),
        _report(
            "poem",
            "counts the words of a poem",
            0,
            status=TestStatus.FAILED,
            actual="and: 3\nthe: 7\nsea: 2 \nsky: 1\n",
            expected="and: 3\nthe: 8\nsea: 2\nsky: 1\n",
            duration_ms=16,
        ),
        _report("number", "gives a number", 0, actual="'3'", expected="3", duration_ms=14),
    ),
    "took-too-long": _result(
        _report("ten", "the 10th prime", 1, actual="29", duration_ms=22),
        _report(
            "thousandth",
            "the 1000th prime",
            0,
            3,
            status=TestStatus.TIME,
            actual="",
            duration_ms=2003,
        ),
    ),
    "compile-error": _result(
        _report("builds", "the program builds", 0, status=TestStatus.ERROR, output=COMPILER),
    ),
    "picture": _result(
        _report(
            "plot",
            "draws the parabola",
            1,
            html="<p>Your curve is right. The axes have <b>no labels</b>: "
            "in the next exercise they count.</p>",
            pictures=(Picture(label="your plot", data=_plot()),),
            duration_ms=640,
        ),
    ),
    "hidden-tests": _result(
        _report("example", "the example of the exercise", 1, actual="[1, 2, 3]", duration_ms=12),
        _report("h1", "hidden", 1, visible=False),
        _report("h2", "hidden", 0, visible=False),
        _report("h3", "hidden", 1, visible=False),
    ),
    "stopped-early": _result(
        _report("first", "the first step", 2, 2, duration_ms=41),
        _report("half", "finds most of the words", 0.5, 1, output="6 of 12", duration_ms=80),
        reason=ExitReason.LEARNER_LIMIT,
        notice="Your code was stopped because the time for all tests together was used up.",
        not_run=(
            DeclaredTest(test_id="long", title="a long text", max_score=1),
            DeclaredTest(test_id="secret", title="hidden", max_score=1, visible=False),
        ),
    ),
}
"""File name without its end -> result."""
