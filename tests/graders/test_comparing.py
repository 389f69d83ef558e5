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


def test_the_tolerance_applies_at_any_depth_and_to_floats_only():
    assert same_value([{"x": 0.3}], [{"x": 0.1 + 0.2}], 1e-9)
    assert same_value(0.0, 1e-12, 1e-9)
    assert not same_value([3], [4], 1.0)


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
        ([True, None, "x"], "[True, None, 'x']"),
        ({"a": [1]}, "{'a': [1]}"),
    ],
)
def test_values_are_shown_as_a_learner_writes_them(value, text):
    assert show(value) == text


def test_long_values_are_cut():
    assert len(show("x" * 10_000)) < 600
