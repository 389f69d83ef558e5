"""What became of one test: the grader's own word, unless its points say otherwise."""

from __future__ import annotations

from graders.reply.score import has_full_marks
from sandbox.run import TestReport, TestStatus

_PASS_OR_PART = (TestStatus.PASSED, TestStatus.PARTIAL)


def status_of(report: TestReport) -> TestStatus:
    """Points count; a grader that calls a test passed without full marks is not believed."""
    if report.status is not None and report.status not in _PASS_OR_PART:
        return report.status
    if has_full_marks(report.score, report.max_score):
        return TestStatus.PASSED
    return TestStatus.PARTIAL if report.score > 0 else TestStatus.FAILED


def is_passed(report: TestReport) -> bool:
    return status_of(report) is TestStatus.PASSED
