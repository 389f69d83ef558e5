"""The table of hostile submissions as a page of the reference: `python -m sandbox.hostile.page`.

The page is written by this and checked by a test; nobody edits it.
"""

from __future__ import annotations

import sys

from sandbox.hostile.case import (
    GROUP_TITLES,
    BrokenGrader,
    Elsewhere,
    Engine,
    Group,
    HostileCase,
    Procedure,
    Submission,
)
from sandbox.hostile.table import CANARY_NUMBERS, CASES

HEAD = """\
# The hostile suite

Written by `python -m sandbox.hostile.page`; do not edit. The cases are in `sandbox/hostile/`.

Every case is a submission that attacks, or a grader or host that fails. `sandbox-check --backend X
--suite hostile` tries them on your host, `pytest tests/hostile` on the engines of this machine.

Whatever the attack, this must hold beside the outcome in the table: the grader lives; no score is
other than the grader's own; tests that were finished are reported; the program is stopped within
its wall limit and two seconds; the next program of the same submission finds no file and no process
and has its memory; the next submission is unaffected; the grader imports nothing of the learner's.
After the suite no process, container, volume, network, control group, mount, folder, key or
System V object is left, and the worker's memory is bounded.

Outcomes: `exited` came to its own end, `died` ended before it, `time`, `memory` and `output` were
stopped by that limit; `completed`, `grader-failed` and `learner-limit` are ends of a whole run. A
program never *gains* anything unless the table says what, and why that is accepted.
An engine's column says `=` where the outcome is the expected one. Cases with ★ are the canary's.
Letters mark variants of a number; numbers above 84 are our own.
"""
ENGINE_COLUMNS = tuple(Engine)


def render() -> str:
    return "\n".join([HEAD, *(_section(group) for group in Group), _deviations(), _elsewhere()])


def _section(group: Group) -> str:
    cases = [case for case in CASES if case.group is group]
    head = ["no.", "name", "attack", "what must come of it", "expected", *ENGINE_COLUMNS]
    rows = [_row(head), _row(["---"] * len(head)), *(_row(_cells(case)) for case in cases)]
    return f"## {group}. {GROUP_TITLES[group]}\n\n" + "\n".join(rows) + "\n"


def _cells(case: HostileCase) -> list[str]:
    mark = " ★" if case.number in CANARY_NUMBERS else ""
    engines = [_on(case, engine) for engine in ENGINE_COLUMNS]
    words = [f"{case.number}{mark}", f"`{case.name}`", case.attack, case.outcome]
    return [*words, _expected(case), *engines]


def _expected(case: HostileCase) -> str:
    match case.plan:
        case Elsewhere():
            return "elsewhere ²"
        case Procedure():
            return "holds"
        case BrokenGrader() | Submission():
            return str(case.expected)


def _on(case: HostileCase, engine: Engine) -> str:
    if engine not in case.deviations:
        return "="
    expected = case.expected_on(engine)
    return f"{'not tried' if expected is None else expected} ¹"


def _deviations() -> str:
    lines = [
        f"- **{case.number}** on {engine}: {deviation.reason}"
        for case in CASES
        for engine, deviation in case.deviations.items()
    ]
    return "## ¹ Known deviations\n\n" + "\n".join(lines) + "\n"


def _elsewhere() -> str:
    lines = [
        f"- **{case.number}**: {case.plan.decided_by} (`{case.plan.tests}`)"
        for case in CASES
        if isinstance(case.plan, Elsewhere)
    ]
    return "## ² Decided elsewhere\n\n" + "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(render())
