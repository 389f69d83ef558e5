"""The reply to the LMS, `{"correct", "score", "msg"}`; `msg` is one XML element, made here only.

The LMS parses `msg` as XML, calls the reply invalid when that fails, and then shows it as it is,
scripts included (edx-platform: capa `_parse_score_msg`, `codeinput.html`). So every text passes
`text`, an author's HTML `markup`, and no element is empty. The class names are those its problem
style sheet knows; everything they tell is said in words too. Its script folds `.longform` away
until the learner asks for it, hence the summary in `.shortform`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from graders.reply.blocks import Block, test_blocks
from graders.reply.phrases import SUMMARY_OF_STOP, counted, points
from graders.reply.score import Grade, grade_of
from graders.reply.text import xml_text
from graders.reply.verdict import is_passed
from sandbox.run import ExitReason, RunResult

MSG_CHARS = 50_000
"""Markup without pictures. The LMS writes it with every save of the learner's state; about what a
person would scroll through."""
DETAILS_CHARS = 40_000
"""What of it may be spent on details; the rest is for the mere verdicts of further tests."""
NOTICE_CHARS = 1_000


def build_reply(
    result: RunResult, *, lms_points: float | None = None, whole_points: bool = False
) -> str:
    """The xqueue_body of put_result. With `lms_points` the score is that many points for
    everything right, for a problem whose input says `points="N"`; `whole_points` leaves no fraction
    in it.

    Raises:
        NoGrade: there is no honest number.
    """
    grade = grade_of(result)
    return json.dumps(
        {
            "correct": grade.correct,
            "score": grade.lms_score(lms_points, whole=whole_points),
            "msg": message(result, grade),
        }
    )


def message(result: RunResult, grade: Grade) -> str:
    verdict = "CORRECT" if grade.correct else "INCORRECT"
    return (
        '<div class="test"><header>Test results</header><section>'
        f'<div class="shortform">{verdict}<p>{_summary(result, grade)}</p></div>'
        f'<div class="longform">{_longform(result)}</div>'
        "</section></div>"
    )


def _summary(result: RunResult, grade: Grade) -> str:
    """How many tests, how many points if that says more, and whether it is all of it."""
    passed = sum(map(is_passed, result.reports))
    count = len(result.reports) + len(result.not_run)
    text = f"{passed} of {counted(count, 'test')} passed"
    if grade.maximum is not None and (grade.earned, grade.maximum) != (passed, count):
        text += f", {points(grade.earned)} of {counted(grade.maximum, 'point')}"
    return text + "." + (SUMMARY_OF_STOP if result.reason is not ExitReason.COMPLETED else "")


def _longform(result: RunResult) -> str:
    """Never empty: the LMS would write an empty element as one that a browser does not close."""
    parts = [*_notices(result), *_bounded(test_blocks(result)), *_hidden_tests(result)]
    return "".join(parts) or "<p>There are no details.</p>"


def _notices(result: RunResult) -> Iterator[str]:
    if result.reason is ExitReason.COMPLETED:
        return
    sentences = [f"Stopped after test {len(result.reports)}." if result.reports else "Stopped."]
    if result.notice:
        sentences.append(xml_text(result.notice, limit_chars=NOTICE_CHARS))
    if result.not_run:
        sentences.append(f"{counted(len(result.not_run), 'test')} could not be run.")
    items = "".join(f"<li>{sentence}</li>" for sentence in sentences)
    yield f'<div class="result-errors"><ul>{items}</ul></div>'


def _hidden_tests(result: RunResult) -> Iterator[str]:
    """A hidden test gives away nothing but that it exists and whether it passed."""
    hidden = [report for report in result.reports if not report.visible]
    not_run = sum(not test.visible for test in result.not_run)
    count = len(hidden) + not_run
    if not count:
        return
    passed = sum(map(is_passed, hidden))
    css = "result-correct" if passed == count else "result-incorrect"
    rest = f", {not_run} not run" if not_run else ""
    yield (
        f'<div class="result-output {css}">'
        f"<h4>Hidden tests: {passed} of {count} passed{rest}</h4></div>"
    )


def _bounded(blocks: Iterator[Block]) -> Iterator[str]:
    """Details while there is room, then verdicts alone, then how many are missing."""
    spent = 0
    missing = 0
    for block in blocks:
        if not missing and spent < DETAILS_CHARS:
            details = block.details()
            if spent + len(details) <= DETAILS_CHARS:
                spent += len(details)
                yield block.whole(details)
                continue
        verdict = block.verdict_alone()
        if missing or spent + len(verdict) > MSG_CHARS:
            missing += 1
        else:
            spent += len(verdict)
            yield verdict
    if missing:
        yield f"<p>{missing} more test results are not shown: too much output.</p>"
