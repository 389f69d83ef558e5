"""Calling a learner's function: what is asked for, and what is made of any answer."""

import base64
import json

import pytest

from graders.library.calling import call_function
from graders.library.session import Ran
from sandbox.supervisor.frames import MAX_FRAME_BYTES

LIMITS = {"learner_wall_s": 2.0, "scratch_bytes": 16 << 20}


class Asked:
    """A session whose learner's process answers what it is told to."""

    def __init__(self, stdout=b'{"value":1}', **limits):
        self.limits = {**LIMITS, **limits}
        self.frame_bytes = None
        self._stdout = stdout

    def run(self, argv, *, stdin, files, **_):
        packed = {name: base64.b64encode(content).decode() for name, content in files.items()}
        frame = {"argv": argv, "stdin": base64.b64encode(stdin).decode(), "files": packed}
        self.frame_bytes = len(json.dumps(frame))
        return Ran(reason="exited", code=0, stdout=self._stdout, stderr=b"", wall_ms=1.0)


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ("#" + "\1" * 800_000, {"data.csv": b"x" * 4_000_000}),
        ("#" + "\1" * 2_000_000, {}),
        ("#", {"data.csv": b"x" * 5_300_000}),
        ("#" + "x" * 5_300_000, {}),
    ],
    ids=["both", "control characters", "files", "source"],
)
def test_more_than_one_frame_can_carry_is_told_to_the_learner(source, files):
    session = Asked()
    answer = call_function(session, source, "f", files=files)
    assert "too long to be run" in answer.problem
    assert (answer.status, session.frame_bytes) == ("error", None)


def test_the_most_that_is_accepted_fits_a_frame():
    session = Asked()
    files = {f"data{number}": b"x" * 1_000_001 for number in range(4)}
    answer = call_function(session, "#" + "é\0" * 140_000, "f", files=files)
    assert answer.problem is None
    assert 6_000_000 < session.frame_bytes < MAX_FRAME_BYTES


def test_files_that_do_not_fit_the_learners_disk_are_told_to_the_learner():
    answer = call_function(Asked(scratch_bytes=1 << 20), "", "f", files={"big": b"x" * 786_000})
    assert "too long to be run" in answer.problem


def test_an_argument_nested_too_deeply_is_told_to_the_learner():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert "too deeply" in call_function(Asked(), "", "f", [deep]).problem


@pytest.mark.parametrize(
    ("said", "problem", "error"),
    [
        (
            {"error": "ValueError", "message": "no", "line": 3},
            "ValueError in line 3 of your code: no",
            "ValueError",
        ),
        ({"error": "ValueError", "message": "", "line": None}, "ValueError", "ValueError"),
        ({"error": "ValueError"}, "ValueError", "ValueError"),
        ({"error": "E", "message": ["x"], "line": True}, "E", "E"),
        ({"error": "E", "message": "m", "line": -1}, "E: m", "E"),
        ({"error": "E", "message": "m", "line": 10**300}, "E: m", "E"),
        ({"error": None, "message": None}, "The result of your function could not be read.", None),
        ({"error": [], "message": ""}, "The result of your function could not be read.", None),
        ({"error": "", "message": "x"}, "The result of your function could not be read.", None),
        ({}, "The result of your function could not be read.", None),
        ([], "The result of your function could not be read.", None),
    ],
    ids=str,
)
def test_an_exception_reads_as_one_even_when_it_was_made_up(said, problem, error):
    answer = call_function(Asked(json.dumps(said).encode()), "", "f")
    assert (answer.problem, answer.error) == (problem, error)


def test_a_made_up_value_can_be_shown():
    answer = call_function(Asked(b'{"value":{"$other":[]}}'), "", "f")
    assert answer.shown == "{'$other': []}"
