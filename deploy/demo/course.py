"""A course of one problem, and learners with answers to it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from deploy.demo.gradebook import InputState, InputStatus, ProblemInput

PROBLEMS = ("square",)
TIME_LIMIT_NOTICE = re.compile(r"took longer than|ran out of time|time limit", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One learner's answer, and whether the grade is the one it deserves."""

    title: str
    learner: str
    answer: str
    expected: str
    is_right: Callable[[InputState], bool]
    problem: str = "square"

    @property
    def where(self) -> ProblemInput:
        return place_of(self.learner, self.problem)


def place_of(learner: str, problem: str) -> ProblemInput:
    usage = f"block-v1:Demo+XQ101+2026+type@problem+block@{problem}"
    return ProblemInput(user_id=learner, usage_id=usage, input_id=f"{problem}_2_1")


def grader_payload(problem: str) -> str:
    """What the course author writes into <grader_payload>."""
    return json.dumps({"problem": problem})


def _full_marks(state: InputState) -> bool:
    return state.status is InputStatus.CORRECT and state.score == 1


def _part_marks(state: InputState) -> bool:
    return state.status is InputStatus.INCORRECT and state.score is not None and state.score < 1


def _stopped_by_time_limit(state: InputState) -> bool:
    return _part_marks(state) and TIME_LIMIT_NOTICE.search(state.msg) is not None


ATTEMPTS = (
    Attempt(
        title="a correct answer",
        learner="101",
        answer="def square(x):\n    return x * x\n",
        expected="full marks",
        is_right=_full_marks,
    ),
    Attempt(
        title="a wrong answer",
        learner="102",
        answer="def square(x):\n    return x + x\n",
        expected="less than full marks",
        is_right=_part_marks,
    ),
    Attempt(
        title="an answer that never ends",
        learner="103",
        answer="def square(x):\n    while True:\n        pass\n",
        expected="not correct, with a word about the time limit",
        is_right=_stopped_by_time_limit,
    ),
)
