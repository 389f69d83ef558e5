"""The last line of an old grader's stdout as a result of ours."""

from __future__ import annotations

import json
import math
from typing import Any

from sandbox.run import ExitReason, Limits, RunResult, TestReport, TestStatus

MAX_TESTS = 1000
MAX_TITLE = 300
SAME_SCORE = 1e-6


class LegacyNonsense(Exception):
    """Not what the contract promises; the text says what is wrong."""


def legacy_result(stdout: bytes, limits: Limits, *, grader_log: str) -> RunResult:
    """`{"errors": [text], "tests": [[short, long, ok, expected, actual]], "correct", "score"}`.

    Each test counts the same. When the score is not their mean it counts alone, and the tests are
    shown without points. Raises LegacyNonsense.
    """
    answer = _last_line(stdout)
    score, errors = _score(answer), _texts(answer.get("errors", []))
    tests = answer.get("tests", [])
    if not isinstance(tests, list) or len(tests) > MAX_TESTS:
        raise LegacyNonsense(f'"tests" is not a list of at most {MAX_TESTS}')
    room = _Room(limits.result_bytes)
    reports = [_report(number, test, room) for number, test in enumerate(tests, start=1)]
    mean = math.fsum(report.score for report in reports) / len(reports) if reports else 0.0
    if not reports or abs(mean - score) > SAME_SCORE:
        reports = [*map(_without_points, reports), _total(score, room.kept("\n".join(errors)))]
    return RunResult(
        reason=ExitReason.COMPLETED,
        reports=tuple(reports),
        declared_max=math.fsum(report.max_score for report in reports),
        grader_log=grader_log,
        forgeable=True,
    )


class _Room:
    """Keeps texts as long as they fit."""

    def __init__(self, size: int) -> None:
        self._left = size

    def kept(self, text: str) -> str:
        size = len(text.encode())
        if size > self._left:
            return "(not kept: too much output)"
        self._left -= size
        return text


def _last_line(stdout: bytes) -> dict[str, Any]:
    lines = stdout.decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), None)
    if last is None:
        raise LegacyNonsense("the grader printed nothing")
    try:
        answer = json.loads(last)
    except (ValueError, RecursionError) as error:
        raise LegacyNonsense(f"the last line of its output is not JSON: {error}"[:300]) from error
    if not isinstance(answer, dict):
        raise LegacyNonsense("the last line of its output is not a JSON object")
    return answer


def _score(answer: dict[str, Any]) -> float:
    score = answer.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise LegacyNonsense(f'"score" is not a number from 0 to 1: {score!r:.80}')
    return float(score)


def _texts(errors: object) -> list[str]:
    if not isinstance(errors, list):
        raise LegacyNonsense('"errors" is not a list')
    return [_clean(error) for error in errors]


def _report(number: int, test: object, room: _Room) -> TestReport:
    if not isinstance(test, list) or len(test) != 5 or not isinstance(test[2], bool):
        raise LegacyNonsense(
            f'number {number} of "tests" is not [short, long, ok, expected, actual]'
        )
    short, long, passed, expected, actual = test
    return TestReport(
        test_id=f"t{number}",
        title=_clean(short)[:MAX_TITLE] or f"test {number}",
        score=1.0 if passed else 0.0,
        max_score=1.0,
        status=TestStatus.PASSED if passed else TestStatus.FAILED,
        output=room.kept(_clean(long)),
        expected=room.kept(_clean(expected)),
        actual=room.kept(_clean(actual)),
    )


def _without_points(report: TestReport) -> TestReport:
    return TestReport(
        test_id=report.test_id,
        title=report.title,
        score=0.0,
        max_score=0.0,
        status=report.status,
        output=report.output,
        expected=report.expected,
        actual=report.actual,
    )


def _total(score: float, errors: str) -> TestReport:
    return TestReport(
        test_id="score", title="Your submission", score=score, max_score=1.0, output=errors
    )


def _clean(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="replace").decode()
