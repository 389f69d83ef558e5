"""All cases of the hostile suite, in the order of their numbers within each group."""

from __future__ import annotations

import re

from sandbox.hostile import (
    escape,
    exhaustion,
    forgery,
    forked,
    grader_faults,
    inputs,
    outliving,
    outputs,
)
from sandbox.hostile.case import HostileCase

NUMBER = re.compile(r"(\d+)([a-z]?)")


def main_number(case: HostileCase) -> int:
    """`38` for the cases 38 and 38a."""
    match = NUMBER.fullmatch(case.number)
    assert match, case.number
    return int(match[1])


def _in_order(case: HostileCase) -> tuple[str, int, str]:
    """Letters after their number."""
    return case.group.value, main_number(case), case.number


CASES: tuple[HostileCase, ...] = tuple(
    sorted(
        (
            *exhaustion.CASES,
            *outliving.CASES,
            *forgery.CASES,
            *forked.CASES,
            *escape.CASES,
            *outputs.CASES,
            *inputs.CASES,
            *grader_faults.CASES,
        ),
        key=_in_order,
    )
)
CANARY_NUMBERS = ("34", "38", "48", "50", "58", "62")
"""What every worker tries at its start and each hour: see `sandbox.canary`."""


def case_of(number: str) -> HostileCase:
    """Raises KeyError."""
    return {case.number: case for case in CASES}[number]
