"""The record for the course team: everything, as plain JSON."""

from __future__ import annotations

import json
import math

from graders.reply import result_record
from sandbox.run import ExitReason, Picture
from sandbox.run import TestStatus as Status
from tests.reply.builders import declared, png, report, result, stopped


def test_every_test_is_there_hidden_ones_and_those_not_run_too():
    outcome = stopped(
        report(0.5, 2, test_id="a", title="A", status=Status.ERROR, output="o", duration_ms=3.0),
        report(1, test_id="b", visible=False, expected="e", actual="x"),
        not_run=(declared("C", test_id="c"),),
    )
    record = result_record(outcome, lms_points=8)
    assert record["schema"] == 1
    assert record["reason"] == "learner-limit"
    assert record["grade"] == {
        "correct": False,
        "score": 3.0,
        "fraction": 0.375,
        "points": 1.5,
        "max": 4.0,
    }
    first, second, third = record["tests"]
    assert first == {
        "id": "a",
        "title": "A",
        "points": 0.5,
        "max": 2,
        "visible": True,
        "status": "error",
        "output": "o",
        "expected": None,
        "actual": None,
        "html": None,
        "pictures": [],
        "duration_ms": 3.0,
    }
    assert (second["visible"], second["expected"], second["actual"]) == (False, "e", "x")
    assert (third["id"], third["status"], third["points"]) == ("c", "not-run", 0.0)
    assert first.keys() == second.keys() == third.keys()


def test_a_grader_that_failed_has_no_grade_and_says_why():
    record = result_record(
        result(reason=ExitReason.GRADER_FAILED, detail="boom", grader_log="trace", forgeable=True)
    )
    assert (record["grade"], record["no_grade"]) == (None, "the grader failed")
    assert (record["detail"], record["grader_log"], record["forgeable"]) == ("boom", "trace", True)


def test_pictures_say_whether_learners_see_them():
    pictures = (Picture(label="good", data=png(3, 2)), Picture(label="bad", data=b"<svg/>"))
    good, bad = result_record(result(report(pictures=pictures)))["tests"][0]["pictures"]
    assert (good["type"], good["width"], good["height"]) == ("image/png", 3, 2)
    assert (bad["type"], bad["not_shown"], bad["bytes"]) == (None, "it is neither PNG nor JPEG", 6)


def test_it_is_json_even_of_numbers_that_are_none():
    outcome = result(report(math.nan, math.inf), declared_max=math.nan)
    json.dumps(result_record(outcome), allow_nan=False)
