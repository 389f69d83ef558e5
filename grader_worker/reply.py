"""The grade as the LMS takes it: `{"correct", "score", "msg"}` (facts: xqueue.md 1.8, 4.2).

`msg` is one well-formed XML element whatever the learner's program printed: an invalid one
would be recorded by the LMS as "Invalid grader reply" and the attempt would be spent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from html import escape

from grader_worker.errors import WorkerError
from sandbox.run import ExitReason, RunResult, TestReport

MSG_CHARS = 50_000
TEXT_CHARS = 5_000
TITLE_CHARS = 300
FULL_MARKS_SLACK = 1e-9
"""Fractions of points add up with rounding; 0.1 + 0.2 of 0.3 is full marks."""


class NoGrade(WorkerError):
    """The reports do not add up to a grade: the grader's fault, not the learner's."""


def build_reply(result: RunResult) -> str:
    """The xqueue_body of put_result.

    Raises:
        NoGrade: there is no honest number.
    """
    fraction = score_fraction(result)
    correct = fraction == 1.0
    return json.dumps({"correct": correct, "score": fraction, "msg": _message(result, correct)})


def score_fraction(result: RunResult) -> float:
    """0..1, because capa's maximum is 1 unless the author set points.

    Raises:
        NoGrade: a score is not a number, or there are points of an unknown maximum.
    """
    earned = sum(report.score for report in result.reports)
    if not math.isfinite(earned):
        raise NoGrade("the reported scores do not add up to a finite number")
    if result.reason is not ExitReason.COMPLETED and earned <= 0:
        # Stopped before anything was earned: nothing of any maximum is nothing.
        return 0.0
    maximum = _maximum(result)
    fraction = min(1.0, max(0.0, earned / maximum))
    return 1.0 if fraction >= 1.0 - FULL_MARKS_SLACK else fraction


def _maximum(result: RunResult) -> float:
    maximum = result.declared_max
    if maximum is None and result.reason is ExitReason.COMPLETED:
        maximum = sum(report.max_score for report in result.reports)
    if maximum is None:
        raise NoGrade("the run was stopped before the grader announced its points")
    if not math.isfinite(maximum) or maximum <= 0:
        raise NoGrade(f"the grader announced {maximum} points")
    return maximum


def xml_text(text: str, *, limit_chars: int = TEXT_CHARS) -> str:
    """Escaped, without the characters XML 1.0 does not allow, cut with a remark."""
    kept = "".join(character for character in text[:limit_chars] if _is_xml_char(character))
    cut = "\n…OUTPUT TRUNCATED" if len(text) > limit_chars else ""
    return escape(kept) + cut


def _is_xml_char(character: str) -> bool:
    """XML 1.0, production 2 (Char)."""
    code = ord(character)
    return (
        code in (0x9, 0xA, 0xD)
        or 0x20 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or code >= 0x10000
    )


def _message(result: RunResult, correct: bool) -> str:
    verdict = "CORRECT" if correct else "INCORRECT"
    return (
        '<div class="test"><header>Test results</header><section>'
        f'<div class="shortform">{verdict}</div>'
        f'<div class="longform">{_longform(result)}</div>'
        "</section></div>"
    )


def _longform(result: RunResult) -> str:
    """Only the visible tests are cut to the size bound."""
    notices = "".join(_notices(result))
    hidden = "".join(_hidden_tests(result))
    visible = (_test(report) for report in result.reports if report.visible)
    return notices + "".join(_bounded(visible)) + hidden


def _notices(result: RunResult) -> Iterator[str]:
    if result.reason is not ExitReason.COMPLETED:
        yield _notice(f"Stopped after test {len(result.reports)}.")
    if result.notice:
        yield _notice(result.notice)


def _notice(text: str) -> str:
    return f'<div class="result-errors"><pre>{xml_text(text, limit_chars=1000)}</pre></div>'


def _hidden_tests(result: RunResult) -> Iterator[str]:
    """A hidden test gives away nothing but that it exists and whether it passed."""
    hidden = [report for report in result.reports if not report.visible]
    if hidden:
        passed = sum(_passed(report) for report in hidden)
        verdict = _verdict_class(passed == len(hidden))
        yield (
            f'<div class="result-output {verdict}">'
            f"<h4>Hidden tests: {passed} of {len(hidden)} passed</h4></div>"
        )


def _test(report: TestReport) -> str:
    parts = [_definition("Output:", "result-actual-output", report.output)]
    if report.expected is not None:
        parts.append(_definition("Correct output:", "result-expected-output", report.expected))
    return (
        f'<div class="result-output {_verdict_class(_passed(report))}">'
        f"<h4>{xml_text(report.title, limit_chars=TITLE_CHARS)}</h4>"
        f"<dl>{''.join(parts)}</dl></div>"
    )


def _definition(term: str, css_class: str, text: str) -> str:
    return f'<dt>{term}</dt><dd class="{css_class}"><pre>{xml_text(text)}</pre></dd>'


def _passed(report: TestReport) -> bool:
    return report.score >= report.max_score - FULL_MARKS_SLACK


def _verdict_class(passed: bool) -> str:
    return "result-correct" if passed else "result-incorrect"


def _bounded(pieces: Iterator[str]) -> Iterator[str]:
    """Whole pieces up to the bound, then how many are missing; never half an element."""
    left = MSG_CHARS
    missing = 0
    for piece in pieces:
        if missing or len(piece) > left:
            missing += 1
        else:
            left -= len(piece)
            yield piece
    if missing:
        yield _notice(f"{missing} more test results are not shown: too much output.")
