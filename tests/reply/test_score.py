"""Points become one honest number, or none."""

from __future__ import annotations

import json
import math

import pytest

from graders.reply import NoGrade, build_reply
from graders.reply.score import grade_of
from sandbox.run import ExitReason
from tests.reply.builders import declared, report, result, stopped


def reply(outcome, **options):
    return json.loads(build_reply(outcome, **options))


def test_full_marks_are_score_1_and_correct():
    got = reply(result(report(), report(2, 2)))
    assert (got["correct"], got["score"]) == (True, 1.0)
    assert set(got) == {"correct", "score", "msg"}


def test_part_of_the_points_is_a_fraction_and_not_correct():
    got = reply(result(report(1, 1), report(0, 3)))
    assert (got["correct"], got["score"]) == (False, 0.25)


def test_points_of_the_lms_are_sent_in_place_of_the_fraction():
    assert reply(result(report(1, 1), report(0, 3)), lms_points=10)["score"] == 2.5
    assert reply(result(report()), lms_points=3)["score"] == 3.0
    assert reply(result(report(0)), lms_points=3)["score"] == 0.0


@pytest.mark.parametrize("lms_points", [0, -1, math.nan, math.inf])
def test_points_of_the_lms_that_are_none_are_no_grade(lms_points):
    with pytest.raises(NoGrade, match="lms_points"):
        build_reply(result(report()), lms_points=lms_points)


def test_points_that_add_up_with_rounding_are_full_marks():
    outcome = result(report(0.1, 0.1), report(0.2, 0.2), declared_max=0.3)
    assert grade_of(outcome).fraction == 1.0


def test_almost_all_points_are_not_full_marks():
    assert not grade_of(result(report(0.9999, 1))).correct


@pytest.mark.parametrize(("score", "fraction"), [(7, 1.0), (-3, 0.0)])
def test_a_score_outside_its_range_is_clamped(score, fraction):
    assert grade_of(result(report(score))).fraction == fraction


def test_what_one_test_has_too_much_does_not_make_up_for_another():
    assert grade_of(result(report(2, 1), report(0, 1))).fraction == 0.5
    assert grade_of(result(report(-1, 1), report(1, 1))).fraction == 0.5


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_no_grade(score):
    with pytest.raises(NoGrade):
        grade_of(result(report(score)))


def test_scores_that_overflow_are_not_full_marks():
    with pytest.raises(NoGrade):
        grade_of(result(report(1e308), report(1e308)))


@pytest.mark.parametrize("maximum", [0.0, -1.0, math.nan, math.inf])
def test_a_maximum_that_is_none_is_no_grade(maximum):
    with pytest.raises(NoGrade):
        grade_of(result(report(), declared_max=maximum))


def test_tests_that_never_ran_count_against_the_announced_maximum():
    assert grade_of(stopped(report(), not_run=(declared(max_score=3),))).fraction == 0.25


def test_points_without_an_announced_maximum_are_no_grade_when_the_run_was_stopped():
    with pytest.raises(NoGrade):
        grade_of(stopped(report(), declared_max=None))


def test_nothing_earned_is_nothing_whatever_the_maximum():
    assert grade_of(stopped(report(0), declared_max=None)).fraction == 0.0


def test_a_graders_failure_is_never_a_grade():
    with pytest.raises(NoGrade, match="grader failed"):
        build_reply(result(report(), reason=ExitReason.GRADER_FAILED))
