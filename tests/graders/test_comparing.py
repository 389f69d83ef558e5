"""What counts as the expected value."""

import math

import pytest

from graders.library.comparing import same_value
from graders.library.values import show

NAN = float("nan")


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (4, 4.0),
        ([1, [2, "x"]], [1, [2, "x"]]),
        ({"a": 1, "b": None}, {"b": None, "a": 1}),
        (NAN, NAN),
        (math.inf, math.inf),
        ({"$set": [1, 2, 3]}, {"$set": [3, 1, 2]}),
        ({"$tuple": [1, 2]}, {"$tuple": [1, 2]}),
        ({"$dict": [[1, "a"], [2, "b"]]}, {"$dict": [[2, "b"], [1, "a"]]}),
        (10**400, 10**400),
    ],
)
def test_equal_values_are_equal(expected, actual):
    assert same_value(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, True),
        (0, False),
        (True, 1),
        ("1", 1),
        (None, 0),
        ([1, 2], {"$tuple": [1, 2]}),
        ([1, 2], [1]),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"$set": [1, 1]}, {"$set": [1, 2]}),
        (math.inf, -math.inf),
        (math.inf, 10**400),
        (0.1 + 0.2, 0.3),
        ("x", {"$other": ["AlwaysEqual", "x"]}),
    ],
)
def test_different_values_are_different(expected, actual):
    assert not same_value(expected, actual)


def test_the_tolerance_applies_at_any_depth():
    assert same_value([{"x": 0.3}], [{"x": 0.1 + 0.2}], 1e-9)
    assert same_value(0.0, 1e-12, 1e-9)
    assert not same_value([3], [4], 0.9)


def test_whole_numbers_are_compared_with_the_absolute_tolerance_alone():
    assert same_value([100], [95], {"absolute": 5})
    assert not same_value([100], [94], {"absolute": 5})
    assert not same_value(10**12, 10**12 + 1, 0.5)
    assert not same_value(True, 2, {"absolute": 5})


def test_relative_and_absolute_tolerance_can_be_told_apart():
    assert same_value(1000.0, 1009.0, {"relative": 0.01})
    assert not same_value(0.0, 0.001, {"relative": 0.01})
    assert same_value(0.0, 4.0, {"absolute": 5})
    assert not same_value(1000.0, 1009.0, {"absolute": 5})
    assert same_value(1000.0, 1009.0, {"absolute": 5, "relative": 0.01})


@pytest.mark.parametrize(
    "tolerance",
    [1, 1.0, 7, -0.1, NAN, {}, {"relative": 1}, {"absolute": math.inf}, {"abs": 1}],
    ids=str,
)
def test_a_tolerance_that_lets_everything_pass_is_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance"):
        same_value(1.0, 100.0, tolerance)


def test_an_item_of_a_set_is_used_up_by_its_equal_and_by_no_other():
    assert same_value({"$set": [1, True]}, {"$set": [True, 1]})
    assert not same_value({"$set": [True, 1]}, {"$set": [1, 1]})
    assert not same_value({"$set": [1]}, {"$set": [1, 1]})


def test_a_value_too_deep_to_compare_is_not_the_expected_one():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    other: list = []
    for _ in range(100_000):
        other = [other]
    assert not same_value(deep, other)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"$tuple": [1]}, "(1,)"),
        ({"$set": []}, "set()"),
        ({"$set": [1, 2]}, "{1, 2}"),
        ({"$dict": [[1, "a"]]}, "{1: 'a'}"),
        ({"$other": ["Dog", "<Dog>"]}, "<Dog>"),
        ({"$other": []}, "{'$other': []}"),
        ({"$dict": [[]]}, "{}"),
        ((1, {2}), "(1, {2})"),
        ([True, None, "x"], "[True, None, 'x']"),
        ({"a": [1]}, "{'a': [1]}"),
    ],
)
def test_values_are_shown_as_a_learner_writes_them(value, text):
    assert show(value) == text


def test_long_values_are_cut():
    assert len(show("x" * 10_000)) < 600


def test_a_value_too_deep_to_be_shown_is_told_so():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert "too deeply" in show(deep)
