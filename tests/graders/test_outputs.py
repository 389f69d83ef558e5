"""What counts as the expected output."""

import time

import pytest

from graders.library import outputs
from graders.library.outputs import REGEX_S, TooSlow, found_in, same_output


@pytest.fixture(autouse=True)
def _patience_of_a_submission(monkeypatch):
    """Each test is one; in a process of ours there are many."""
    monkeypatch.setattr(outputs._Patience, "left_s", REGEX_S)


@pytest.mark.parametrize(
    ("expected", "actual", "options"),
    [
        ("3\n", "3", {}),
        ("3", "3\n\n\n", {}),
        ("a  \nb", "a\nb\t", {}),
        ("a\nb\n", "a\r\nb\r\n", {}),
        ("", "\n", {}),
        ("Hello", "hELLO", {"ignore": ["case"]}),
        ("a b", "  a   b ", {"ignore": ["spaces"]}),
        ("a\nb", "\na\n\n\nb", {"ignore": ["blank-lines"]}),
        ("a\nb", "b\na", {"ignore": ["line-order"]}),
        ("A\nb c", "B  c\na\n\n", {"ignore": ["case", "spaces", "line-order"]}),
        ("x 0.3", "x 0.30000000000000004", {"tolerance": 1e-9}),
        ("1e3", "1000", {"tolerance": 0.0}),
        ("nan", "NaN", {"tolerance": 0.1}),
        ("100", "95", {"tolerance": {"absolute": 5}}),
        ("100", "101", {"tolerance": {"relative": 0.01}}),
        ("inf", "inf", {"tolerance": 0.1}),
        ("1  2", "1 2", {"tolerance": 0.1}),
        ("é", "é", {}),
    ],
)
def test_equal_outputs_are_equal(expected, actual, options):
    assert same_output(expected.encode(), actual.encode(), **options)


@pytest.mark.parametrize(
    ("expected", "actual", "options"),
    [
        (b"3", b"4", {}),
        (b"3", b" 3", {}),
        (b"a\nb", b"a\n\nb", {}),
        (b"a b", b"a  b", {}),
        (b"a\nb", b"b\na", {}),
        (b"a", b"A", {}),
        (b"3\n", b"3", {"exact": True}),
        (b"0.3", b"0.4", {"tolerance": 0.01}),
        (b"3", b"three", {"tolerance": {"absolute": 10.0}}),
        (b"100", b"94", {"tolerance": {"absolute": 5}}),
        (b"0", b"0.1", {"tolerance": {"relative": 0.01}}),
        (b"1 2", b"1 2 3", {"tolerance": {"absolute": 1.0}}),
        (b"1\n2", b"1 2", {"tolerance": {"absolute": 1.0}}),
        (b"1", b"nan", {"tolerance": {"absolute": 1.0}}),
        (b"1_0", b"10", {"tolerance": {"absolute": 1.0}}),
        (b"\xff", "\ufffd".encode(), {}),
        (b"\xff", b"\xfe", {}),
        (b"a\nb", b"a\nb\nb", {"ignore": ["line-order"]}),
        (b"3", b"3\0", {}),
    ],
)
def test_different_outputs_are_different(expected, actual, options):
    assert not same_output(expected, actual, **options)


def test_a_pattern_is_looked_for_at_each_line():
    assert found_in(r"^total: \d+$", b"one\r\ntotal: 12\r\n")
    assert not found_in(r"^\d+$", b"one 12")


def test_a_pattern_that_never_ends_is_given_up():
    began = time.process_time()  # of a busy machine, only what is ours
    with pytest.raises(TooSlow):
        found_in(r"(a|a)*b", b"a" * 60)
    assert time.process_time() - began < REGEX_S + 5


def test_slow_patterns_of_many_tests_do_not_add_up(monkeypatch):
    monkeypatch.setattr(outputs._Patience, "left_s", 0.2)
    began = time.process_time()  # of a busy machine, only what is ours
    for _ in range(5):
        with pytest.raises(TooSlow):
            found_in(r"(a|a)*b", b"a" * 60)
    assert time.process_time() - began < REGEX_S
    assert found_in("x", b"x")
