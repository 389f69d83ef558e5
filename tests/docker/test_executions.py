"""What a learner's container may answer, and what is made of anything else."""

import time

import pytest

from sandbox.backends.docker.executions import bounds_of, checked_answer, died, timed_out
from sandbox.run import Limits
from sandbox.supervisor.frames import FrameError, pack_bytes

LIMITS = Limits(learner_wall_s=5, output_bytes=10, scratch_bytes=20)
ANSWER = {
    "type": "ran",
    "reason": "exited",
    "code": 0,
    "stdout": pack_bytes(b"out"),
    "stderr": "",
    "wall_ms": 0.0,
}


ROUNDED_MS = 0.1


def bounds(**frame):
    return bounds_of({"type": "run", **frame}, LIMITS, time.monotonic() + 60)


def test_an_answer_is_passed_on_without_what_does_not_belong_there():
    checked = checked_answer({**ANSWER, "score": 1, "reports": []}, bounds())
    assert checked == ANSWER


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "report"},
        {"type": "ended"},
        {"reason": "done"},
        {"reason": None},
        {"code": -1},
        {"code": 256},
        {"code": True},
        {"code": "0"},
        {"stdout": "!"},
        {"stdout": pack_bytes(b"x" * 11)},
        {"stderr": 7},
        {"files": {"unasked": ""}},
        {"files": {"asked": pack_bytes(b"x" * 21)}},
        {"files": []},
    ],
)
def test_anything_else_is_no_answer(changes):
    with pytest.raises(FrameError):
        checked_answer({**ANSWER, **changes}, bounds(collect=["asked"]))


@pytest.mark.parametrize("lie", [float("nan"), float("inf"), -5, 1e12, "long", None])
def test_it_cannot_have_taken_longer_than_we_waited(lie):
    began_at = time.monotonic()
    told_ms = checked_answer({**ANSWER, "wall_ms": lie}, bounds())["wall_ms"]
    waited_ms = (time.monotonic() - began_at) * 1000
    assert 0 <= told_ms <= waited_ms + ROUNDED_MS


def test_files_that_were_asked_for_come_back():
    files = {"asked": pack_bytes(b"content")}
    assert checked_answer({**ANSWER, "files": files}, bounds(collect=["asked"]))["files"] == files


def test_a_grader_may_ask_for_less_time_but_not_for_more():
    def given_s(asked):
        got = bounds(wall_s=asked)
        return round(got.until - got.started_at, 3)

    assert given_s(1) == 1
    assert given_s(100) == given_s("soon") == LIMITS.learner_wall_s
    ended = bounds_of({"type": "run"}, LIMITS, time.monotonic())
    assert ended.remaining_s() <= 0


def test_a_container_that_went_down_or_hung_is_an_answer_as_well():
    assert died(bounds(), out_of_memory=True)["reason"] == "memory"
    assert died(bounds(), out_of_memory=False)["reason"] == "exited"
    assert died(bounds(), out_of_memory=False)["code"] != 0
    assert timed_out(bounds())["reason"] == "time"
