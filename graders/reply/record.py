"""A result as a JSON document for the course team: everything a reply leaves out for learners.

Written by `graders try --json`; `schema` counts up when a field changes its meaning or goes away.
"""

from __future__ import annotations

import math
from typing import Any

from graders.reply.markup import author_markup
from graders.reply.pictures import NotShown, read_image
from graders.reply.score import NoGrade, grade_of
from graders.reply.verdict import status_of
from sandbox.run import DeclaredTest, Picture, RunResult, TestReport

SCHEMA = 1
NOT_RUN = "not-run"


def result_record(
    result: RunResult, *, lms_points: float | None = None, whole_points: bool = False
) -> dict[str, Any]:
    """Plain JSON values, finite numbers only. Texts are as the grader sent them: untrusted.

    {"schema", "reason", "forgeable", "grade": {…} or null, "no_grade": why or null,
     "notice", "detail", "grader_log", "phases_ms": {…}, "tests": [{"id", "title", "points",
     "max", "visible", "status", "output", "expected", "actual", "html", "pictures",
     "duration_ms"}]}
    """
    grade, no_grade = _grade(result, lms_points, whole_points)
    return {
        "schema": SCHEMA,
        "reason": result.reason.value,
        "forgeable": result.forgeable,
        "grade": grade,
        "no_grade": no_grade,
        "notice": result.notice,
        "detail": result.detail,
        "grader_log": result.grader_log,
        "phases_ms": {name: _finite(value) for name, value in result.phases_ms.items()},
        "tests": [
            *(_reported(report) for report in result.reports),
            *(_not_run(test) for test in result.not_run),
        ],
    }


def _grade(
    result: RunResult, lms_points: float | None, whole_points: bool
) -> tuple[dict[str, Any] | None, str | None]:
    try:
        grade = grade_of(result)
        score = grade.lms_score(lms_points, whole=whole_points)
    except NoGrade as error:
        return None, str(error)
    return {
        "correct": grade.correct,
        "score": score,
        "fraction": grade.fraction,
        "points": grade.earned,
        "max": _finite(grade.maximum),
    }, None


def _reported(report: TestReport) -> dict[str, Any]:
    return {
        "id": report.test_id,
        "title": report.title,
        "points": _finite(report.score),
        "max": _finite(report.max_score),
        "visible": report.visible,
        "status": status_of(report).value,
        "output": report.output,
        "expected": report.expected,
        "actual": report.actual,
        "html": None if report.html is None else author_markup(report.html),
        "pictures": [_picture(picture) for picture in report.pictures],
        "duration_ms": _finite(report.duration_ms),
    }


def _not_run(test: DeclaredTest) -> dict[str, Any]:
    return {
        "id": test.test_id,
        "title": test.title,
        "points": 0.0,
        "max": _finite(test.max_score),
        "visible": test.visible,
        "status": NOT_RUN,
        "output": "",
        "expected": None,
        "actual": None,
        "html": None,
        "pictures": [],
        "duration_ms": None,
    }


def _picture(picture: Picture) -> dict[str, Any]:
    """Not its bytes; whether learners see it, and if not, why."""
    about: dict[str, Any] = {"label": picture.label, "bytes": len(picture.data)}
    try:
        image = read_image(picture.data)
    except NotShown as reason:
        return about | {"type": None, "not_shown": str(reason)}
    return about | {"type": image.media_type, "width": image.width, "height": image.height}


def _finite(value: float | None) -> float | None:
    """JSON has no NaN."""
    return value if value is None or math.isfinite(value) else None
