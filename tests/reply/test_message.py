"""What learners read, and what they must not."""

from __future__ import annotations

import pytest

from graders.reply.message import MSG_CHARS
from sandbox.run import Picture
from sandbox.run import TestStatus as Status
from tests.reply.builders import declared, message, png, report, result, root, stopped, text


def headings(outcome):
    return ["".join(heading.itertext()) for heading in root(outcome).iter("h4")]


def test_the_frame_is_what_edx_styles():
    tree = root(result(report()))
    assert (tree.tag, tree.get("class")) == ("div", "test")
    assert [child.tag for child in tree] == ["header", "section"]
    assert [child.get("class") for child in tree[1]] == ["shortform", "longform"]


def test_the_summary_says_how_many_tests_and_points():
    outcome = result(report(), report(1.5, 3), report(0))
    shortform = root(outcome).find(".//div[@class='shortform']")
    assert shortform.text == "INCORRECT"
    assert shortform.find("p").text == "1 of 3 tests passed, 2.5 of 5 points."


def test_the_summary_leaves_out_points_that_say_nothing_new():
    assert root(result(report(), report(0))).find(".//p").text == "1 of 2 tests passed."
    assert root(result(report())).find(".//div[@class='shortform']").text == "CORRECT"


def test_a_failed_test_shows_both_outputs_in_edx_classes():
    tree = root(result(report(0, output="41", expected="42")))
    (shown,) = tree.findall(".//div[@class='result-output result-incorrect']")
    assert shown.find("h4").text == "adds up"
    assert shown.find(".//dd[@class='result-actual-output']/pre").text == "41"
    assert shown.find(".//dd[@class='result-expected-output']/pre").text == "42"


def test_a_failed_test_shows_the_difference_of_longer_outputs():
    tree = root(result(report(0, actual="a\nb\nc\n", expected="a\nx\nc\n", output="see line 2")))
    assert tree.find(".//dd[@class='result-actual-output']/pre").text == "a\nb\nc\n"
    assert tree.find(".//dd[@class='result-difference']/pre").text == "  a\n- x\n+ b\n  c"
    assert tree.find(".//dd[@class='result-messages']/pre").text == "see line 2"


def test_two_short_lines_need_no_difference_unless_it_is_white_space():
    tree = root(result(report(0, actual="41", expected="42")))
    assert tree.find(".//dd[@class='result-difference']") is None
    tree = root(result(report(0, actual="4 2 ", expected="4 2")))
    assert "+ 4·2·" in tree.find(".//dd[@class='result-difference']/pre").text


def test_a_difference_in_line_ends_is_visible():
    tree = root(result(report(0, actual="a\r\nb\r\n", expected="a\nb\n")))
    assert "+ a␍" in tree.find(".//dd[@class='result-difference']/pre").text


def test_only_the_first_failures_get_a_difference():
    outcome = result(*[report(0, actual="a\nb", expected="a\nc") for _ in range(30)])
    assert len(root(outcome).findall(".//dd[@class='result-difference']")) == 10


def test_a_passed_test_shows_what_it_printed_and_nothing_to_compare():
    outcome = result(report(1, actual="42", expected="42"))
    assert root(outcome).find(".//dd[@class='result-actual-output']/pre").text == "42"
    assert "Expected" not in text(outcome)


def test_an_empty_output_is_said_so():
    shown = root(result(report(0, actual="", expected="42")))
    assert shown.find(".//dd[@class='result-actual-output']/pre").text == "(nothing)"


def test_the_first_line_end_of_an_output_is_not_lost_in_a_browser():
    shown = root(result(report(0, actual="\nx", expected="y")))
    assert shown.find(".//dd[@class='result-actual-output']/pre").text == "\n\nx"


@pytest.mark.parametrize(
    ("status", "score", "verdict", "css", "meaning"),
    [
        (None, 1, "passed", "result-correct", ""),
        (None, 0.5, "partly passed, 0.5 of 1 point", "result-partially-correct", ""),
        (None, 0, "failed", "result-incorrect", ""),
        (Status.PASSED, 0, "failed", "result-incorrect", ""),
        (Status.ERROR, 0, "failed with an error", "result-incorrect", "crashed"),
        (Status.TIME, 0, "stopped: took too long", "result-incorrect", "a loop never"),
        (Status.MEMORY, 0, "stopped: used too much memory", "result-incorrect", "more memory"),
        (Status.OUTPUT, 0, "stopped: printed too much", "result-incorrect", "printed more"),
    ],
)
def test_every_verdict_is_said_in_words(status, score, verdict, css, meaning):
    outcome = result(report(score, status=status))
    (shown,) = root(outcome).findall(".//div[@class='longform']/div")
    assert headings(outcome) == [f"adds up – {verdict}"]
    assert shown.get("class") == f"result-output {css}"
    assert meaning in "".join(shown.itertext())


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [(0.2, "under 1 ms"), (12.4, "12 ms"), (999.4, "999 ms"), (2_049, "2.0 s")],
)
def test_the_time_of_a_test_is_shown(milliseconds, shown):
    assert headings(result(report(duration_ms=milliseconds))) == [f"adds up – passed, {shown}"]


def test_points_are_shown_where_a_test_is_not_worth_one():
    assert headings(result(report(2, 2), report(1, 1), report(0, 0.5))) == [
        "adds up – passed, 2 of 2 points",
        "adds up – passed",
        "adds up – failed, 0 of 0.5 points",
    ]


def test_a_run_stopped_by_a_limit_says_after_which_test_and_why():
    outcome = stopped(report(), notice="The time was up.", not_run=(declared("last one"),))
    said = text(outcome)
    assert "The run was stopped before all tests had ended." in said
    assert "Stopped after test 1." in said
    assert "The time was up." in said
    assert "1 test could not be run." in said
    assert headings(outcome) == ["adds up – passed", "last one – not run"]
    assert root(outcome).find(".//p").text.startswith("1 of 2 tests passed.")


def test_a_run_stopped_before_any_test_still_has_a_message():
    outcome = stopped(declared_max=None, notice="Out of memory.")
    assert "Out of memory." in text(outcome)


def test_a_hidden_test_shows_nothing_but_that_it_passed_or_not():
    hidden = {
        "visible": False,
        "title": "SECRET",
        "output": "SECRET",
        "expected": "SECRET",
        "actual": "SECRET",
        "html": "<p>SECRET</p>",
        "pictures": (Picture(label="SECRET", data=png()),),
        "duration_ms": 31337,
        "status": Status.TIME,
    }
    outcome = stopped(
        report(1, **(hidden | {"status": None})),
        report(0, **hidden),
        not_run=(declared("SECRET", visible=False),),
    )
    reply = message(outcome)
    assert "Hidden tests: 1 of 3 passed, 1 not run" in reply
    assert not any(word in reply for word in ("SECRET", "img", "31", "too long"))


def test_authors_html_and_pictures_are_shown():
    outcome = result(report(html="<p>well<br>done", pictures=(Picture(label="plot", data=png()),)))
    assert root(outcome).find(".//div[@class='result-comment']/p/br") is not None
    assert root(outcome).find(".//img").get("alt") == "plot"


def test_a_forgeable_result_looks_like_any_other_to_learners():
    assert message(result(report(), forgeable=True)) == message(result(report()))


def test_details_give_way_to_verdicts_and_verdicts_to_a_count():
    outcome = result(*[report(0, output="<" * 5000) for _ in range(1000)])
    said = message(outcome)
    assert len(said) < MSG_CHARS + 2000
    shown = headings(outcome)
    assert len(shown) > 100
    assert f"{1000 - len(shown)} more test results are not shown" in text(outcome)


def test_hidden_tests_are_counted_even_when_there_is_no_room_for_others():
    many = [report(0, output="<" * 5000) for _ in range(1000)]
    assert "Hidden tests: 1 of 1 passed" in message(result(*many, report(visible=False)))


def test_a_thousand_tests_are_answered_quickly_enough():
    import time

    outcome = result(
        *[report(0, actual="x\n" * 400, expected="y\n" * 400, html="<b>" * 300)] * 1000
    )
    started = time.process_time()
    message(outcome)
    assert time.process_time() - started < 5
