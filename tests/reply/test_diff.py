"""The difference between what is expected and what came: readable, and never slow."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from graders.reply.diff import DIFF_LINES, WHITE_SPACE_NOTE, difference


def shown(expected, actual):
    return difference(expected, actual).split("\n")


def test_equal_texts_have_none():
    assert difference("a\nb\n", "a\nb\n") == ""


def test_a_changed_line_stands_below_the_expected_one_with_marks_and_context():
    assert shown("one\ntwo\nthree\nfour\n", "one\ntwo\nthrxe\nfour\n") == [
        "  one",
        "  two",
        "- three",
        "+ thrxe",
        "     ^",
        "  four",
    ]


def test_missing_and_additional_lines_are_seen():
    assert shown("a\nb\nc\n", "a\nc\n") == ["  a", "- b", "  c"]
    assert shown("a\nc\n", "a\nb\nc\n") == ["  a", "+ b", "  c"]
    assert shown("a\n", "") == ["- a"]
    assert shown("", "a") == ["+ a"]


def test_equal_lines_far_away_are_only_counted():
    lines = [f"line {number}" for number in range(100)]
    before = "\n".join(lines)
    after = before.replace("line 50", "other")
    assert shown(before, after) == [
        "  … 48 equal lines …",
        "  line 48",
        "  line 49",
        "- line 50",
        "+ other",
        "  line 51",
        "  line 52",
        "  … 47 equal lines …",
    ]


def test_white_space_that_differs_is_made_visible():
    assert shown("a b\nx", "a  b\nx") == [WHITE_SPACE_NOTE, "- a·b", "+ a··b", "    ^", "  x"]
    assert "+ a→b" in shown("a b", "a\tb")
    assert "+ a·" in shown("a", "a ")


def test_line_ends_at_the_very_end_are_put_into_words():
    assert difference("a\n", "a") == (
        "(only the line ends at the very end differ: 1 expected, 0 there)"
    )


def test_with_too_many_different_lines_the_first_is_shown():
    before = "same\n" + "\n".join(f"a{n}" for n in range(DIFF_LINES + 1))
    after = "same\n" + "\n".join(f"b{n}" for n in range(DIFF_LINES + 1))
    assert shown(before, after) == ["The first difference is in line 2:", "- a0", "+ b0", "  ^"]


def test_a_long_line_is_shown_around_its_difference():
    before, after = "x" * 5000 + "a" + "y" * 5000, "x" * 5000 + "b" + "y" * 5000
    minus, plus, marks = shown(before, after)
    assert len(plus) < 200
    assert plus[marks.index("^")] == "b"
    assert minus[marks.index("^")] == "a"


def test_wide_characters_get_no_marks_that_would_miss():
    assert shown("漢字a", "漢字b") == ["- 漢字a", "+ 漢字b"]


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("x\n" * 10_000, "x\ny\n" * 5_000),
        ("x\ny\n" * (DIFF_LINES // 2), "y\nx\n" * (DIFF_LINES // 2)),
        ("x\n" * DIFF_LINES + "a", "x\n" * (DIFF_LINES - 1) + "b\nx"),
        ("\n".join("ab" * 5_000 for _ in range(50)), "\n".join("ba" * 5_000 for _ in range(50))),
        ("x" * 1_000_000, "y" * 1_000_000),
        ("a\n" * 20_000 + "b", "a\n" * 20_000 + "c"),
    ],
)
def test_no_pair_of_texts_takes_long(expected, actual):
    started = time.process_time()
    assert len(difference(expected, actual)) < 50_000
    assert time.process_time() - started < 1


LINES = st.lists(st.sampled_from(["a", "b", "a b", "a  b", "", " ", "é", "漢"]), max_size=9)


@given(expected=LINES, actual=LINES)
@hypothesis_settings(max_examples=500, deadline=None)
def test_the_lines_of_both_texts_can_be_read_back(expected, actual):
    """`-` and context are the expected text, `+` and context the other, but for white space."""
    before, after = "\n".join(expected), "\n".join(actual)
    lines = difference(before, after).split("\n")
    if before.rstrip("\n") == after.rstrip("\n") or any(" equal line" in line for line in lines):
        return
    for sign, text in (("-", before), ("+", after)):
        kept = [line[2:] for line in lines if line.startswith((sign, "  ")) and "^" not in line]
        assert _bare("\n".join(kept)) == _bare(text)


def _bare(text):
    return text.replace("·", " ").replace("→", "\t").rstrip("\n")
