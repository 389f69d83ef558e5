"""C. A grade that was not earned, answers that were not given, a grader led astray."""

from __future__ import annotations

from sandbox.hostile.forgery import answers, graders, results

CASES = (
    *results.CASES,
    *answers.CASES,
    *graders.CASES,
)
