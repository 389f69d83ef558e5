"""The light JSON says what `json` says, and costs none of its imports."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.supervisor import light_json

TOP = Path(__file__).parents[2]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long examples take says how busy the machine is."""


@patient
@given(VALUES)
def test_it_writes_and_reads_what_json_does(value):
    text = json.dumps(value, separators=(",", ":"))
    assert light_json.dumps(value) == text
    in_full = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    assert light_json.dumps(value, ascii_only=False) == in_full
    assert light_json.loads(text) == value
    assert light_json.loads(f" \n{json.dumps(value, indent=1)}\t".encode()) == value


@patient
@given(st.text(alphabet='{}[]":,\\u0123456789eE+-. truefalsnNIiy'))
def test_it_refuses_what_json_refuses(text):
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            light_json.loads(text)
    else:
        assert repr(light_json.loads(text)) == repr(expected)


@pytest.mark.parametrize("text", ["", " ", "{", '{"a"}', "[1,]", "1 2", '"\x01"', "nan", b"\xff"])
def test_broken_text_is_a_value_error(text):
    with pytest.raises(ValueError):
        light_json.loads(text)


def test_constants_are_read_and_written_as_json_does():
    assert math.isnan(light_json.loads("NaN"))
    assert light_json.loads("[Infinity,-Infinity]") == [math.inf, -math.inf]
    assert light_json.dumps(math.inf) == "Infinity"


def test_what_cannot_be_written_is_refused_each_time():
    circle = []
    circle.append(circle)
    for _ in range(2):
        with pytest.raises(ValueError):
            light_json.dumps(circle)
        with pytest.raises(TypeError):
            light_json.dumps([object()])
    assert light_json.dumps([1]) == "[1]"


def test_deep_nesting_is_a_recursion_error():
    with pytest.raises(RecursionError):
        light_json.loads("[" * 100_000)


def test_the_fallback_does_the_same(monkeypatch):
    scan, dump = light_json._slow_engines()
    monkeypatch.setattr(light_json, "_scan", scan)
    monkeypatch.setattr(light_json, "_dumps", dump)
    assert light_json.loads('{"a": [1, "é"]}') == {"a": [1, "é"]}
    assert light_json.dumps({"a": [1, "é"]}) == '{"a":[1,"\\u00e9"]}'


def test_a_grader_that_only_speaks_frames_imports_neither_json_nor_regular_expressions():
    code = "import sys, sandbox.supervisor.frames; print(sorted({'json', 're'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=TOP, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
