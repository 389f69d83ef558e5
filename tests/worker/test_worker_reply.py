"""What the LMS gets, and what learners see."""

from __future__ import annotations

import json
import math

import pytest
from lxml import etree

from grader_worker.reply import MSG_CHARS, NoGrade, build_reply, score_fraction, xml_text
from sandbox.run import ExitReason
from tests.worker.fakes import report, result

NASTY = [
    "\x00 NUL",
    "\x1b[31m ESC",
    "\ud800 lone surrogate",
    "]]>",
    "<script>alert(1)</script>",
    "&amp; & &#0;",
    "\ufffe \uffff",
    "😀 é \t\r\n",
    "'\"",
]


def _message(outcome):
    return etree.fromstring(json.loads(build_reply(outcome))["msg"])


def test_full_marks_are_score_1_and_correct():
    reply = json.loads(build_reply(result(report(), report(2, 2))))
    assert (reply["correct"], reply["score"]) == (True, 1.0)


def test_part_of_the_points_is_a_fraction_and_not_correct():
    reply = json.loads(build_reply(result(report(1, 1), report(0, 3))))
    assert (reply["correct"], reply["score"]) == (False, 0.25)


def test_points_that_add_up_with_rounding_are_full_marks():
    outcome = result(report(0.1, 0.1), report(0.2, 0.2), declared_max=0.3)
    assert score_fraction(outcome) == 1.0


@pytest.mark.parametrize(("score", "fraction"), [(7, 1.0), (-3, 0.0)])
def test_a_score_outside_its_range_is_clamped(score, fraction):
    assert score_fraction(result(report(score))) == fraction


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_no_grade(score):
    with pytest.raises(NoGrade):
        score_fraction(result(report(score)))


def test_scores_that_overflow_are_not_full_marks():
    with pytest.raises(NoGrade):
        score_fraction(result(report(1e308), report(1e308)))


@pytest.mark.parametrize("maximum", [0.0, -1.0, math.nan, math.inf])
def test_a_maximum_that_is_none_is_no_grade(maximum):
    with pytest.raises(NoGrade):
        score_fraction(result(report(), declared_max=maximum))


def test_tests_that_never_ran_count_against_the_announced_maximum():
    stopped = result(report(), declared_max=4.0, reason=ExitReason.LEARNER_LIMIT)
    assert score_fraction(stopped) == 0.25


def test_points_without_an_announced_maximum_are_no_grade_when_the_run_was_stopped():
    stopped = result(report(), declared_max=None, reason=ExitReason.LEARNER_LIMIT)
    with pytest.raises(NoGrade):
        score_fraction(stopped)


def test_nothing_earned_is_nothing_whatever_the_maximum():
    stopped = result(report(0), declared_max=None, reason=ExitReason.LEARNER_LIMIT)
    assert score_fraction(stopped) == 0.0


def test_a_run_stopped_by_a_limit_says_after_which_test_and_why():
    stopped = result(report(), reason=ExitReason.LEARNER_LIMIT, notice="Time limit of 6 s.")
    text = "".join(_message(stopped).itertext())
    assert "Stopped after test 1." in text
    assert "Time limit of 6 s." in text


@pytest.mark.parametrize("text", NASTY)
def test_the_message_is_one_well_formed_element_whatever_was_printed(text):
    outcome = result(
        report(title=text, output=text, expected=text),
        report(0, visible=False, output=text),
        notice=text,
    )
    root = _message(outcome)
    assert root.tag == "div"
    assert root.get("class") == "test"
    assert not root.findall(".//script")


def test_every_character_of_the_lower_planes_survives_or_is_dropped():
    text = "".join(chr(code) for code in range(0x11000))
    etree.fromstring(f"<pre>{xml_text(text, limit_chars=len(text))}</pre>")


def test_output_is_shown_in_edx_classes():
    root = _message(result(report(0, output="41", expected="42")))
    assert root.find(".//div[@class='shortform']").text == "INCORRECT"
    shown = root.find(".//div[@class='result-output result-incorrect']")
    assert shown.find("h4").text == "adds up"
    assert shown.find(".//dd[@class='result-actual-output']/pre").text == "41"
    assert shown.find(".//dd[@class='result-expected-output']/pre").text == "42"


def test_a_hidden_test_shows_nothing_but_that_it_passed_or_not():
    hidden = {"visible": False, "title": "TITLE", "output": "OUTPUT", "expected": "EXPECTED"}
    reply = build_reply(result(report(1, **hidden), report(0, **hidden)))
    assert "Hidden tests: 1 of 2 passed" in reply
    assert not any(secret in reply for secret in ("TITLE", "OUTPUT", "EXPECTED"))


def test_a_long_output_is_cut_with_a_remark():
    shown = xml_text("<" * 10_000, limit_chars=10)
    assert shown == "&lt;" * 10 + "\n…OUTPUT TRUNCATED"


def test_the_message_is_bounded_and_says_what_is_missing():
    reports = [report(output="<" * 5000) for _ in range(100)]
    message = json.loads(build_reply(result(*reports)))["msg"]
    assert len(message) < MSG_CHARS + 1000
    assert "more test results are not shown" in "".join(etree.fromstring(message).itertext())
