"""Whose fault it is that a run is out of time, by a clock of our own."""

import pytest

from sandbox.conversation import LEARNERS_PART, TIME_NOTICE, Conversation
from sandbox.run import ExitReason, Limits
from sandbox.supervisor import frames

LIMITS = Limits(wall_s=8)
READY = {"type": "ready"}
TESTS = {"type": "tests", "tests": [{"id": "t1", "max": 1}]}
BEGINS, ENDS = ({"type": "learner", "active": active} for active in (True, False))


def out_of_time(detail):
    return {"type": "ended", "how": "out-of-time", "detail": detail, "log": ""}


class Told:
    """A supervisor whose frames come at the seconds given; the clock goes with them."""

    def __init__(self, *timed):
        self.now = 0.0
        self._timed = list(timed)

    def clock(self):
        return self.now

    def send(self, data, timeout_s):
        pass

    def receive(self, timeout_s):
        self.now, frame = self._timed.pop(0)
        return frames.encode(frame)


def ending(*timed, detail=""):
    told = Told((0, READY), (0, TESTS), *timed, (LIMITS.wall_s, out_of_time(detail)))
    return Conversation(told, LIMITS, told.clock).hold(b"")


def turns(learner_s, grader_s, count):
    at = 0.0
    for _ in range(count):
        yield at, BEGINS
        at += learner_s
        yield at, ENDS
        at += grader_s


def test_programs_that_use_their_time_test_after_test_are_the_learners_fault():
    result = ending(*turns(1.5, 1.1, 3))
    assert (result.reason, result.notice) == (ExitReason.LEARNER_LIMIT, TIME_NOTICE)


def test_a_grader_that_is_slow_beside_quick_programs_is_at_fault():
    result = ending(*turns(0.1, 2.5, 3))
    assert result.reason is ExitReason.GRADER_FAILED
    assert "within 8 s" in result.detail


@pytest.mark.parametrize(
    ("part", "reason"),
    [(-0.01, ExitReason.GRADER_FAILED), (0.01, ExitReason.LEARNER_LIMIT)],
)
def test_all_executions_of_a_run_are_added_up(part, reason):
    each_s = LIMITS.wall_s * (LEARNERS_PART + part) / 3
    assert ending(*turns(each_s, 0.5, 3)).reason is reason


def test_a_grader_that_hangs_after_a_slow_program_is_at_fault():
    assert ending(*turns(3, 5, 1)).reason is ExitReason.GRADER_FAILED


def test_a_grader_that_never_ran_a_program_is_at_fault():
    assert ending().reason is ExitReason.GRADER_FAILED


def test_the_supervisor_knows_whose_turn_it_was():
    assert ending(detail="learner").reason is ExitReason.LEARNER_LIMIT
