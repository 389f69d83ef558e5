"""Compares what a learner's function returns with what it should: one grader, many problems.

The author's grader_payload names one: `{"problem": "square"}` is `problems/square.json`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from graders.library import GraderSession, call_function, grade_with, same_value
from graders.library.values import show

PROBLEMS = Path(__file__).parent / "problems"
PROBLEM_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
DEFAULT_TIMEOUT_S = 2.0


class BadProblem(Exception):
    """The author's mistake, as a sentence for the author."""


def grade(session: GraderSession) -> None:
    try:
        problem = load_problem(session.job.payload)
    except BadProblem as mistake:
        session.fail(str(mistake))
    session.announce([announced(test_id, test) for test_id, test in tests_of(problem)])
    for test_id, test in tests_of(problem):
        grade_test(session, problem, test_id, test)


def grade_test(
    session: GraderSession, problem: dict[str, Any], test_id: str, test: dict[str, Any]
) -> None:
    answer = call_function(
        session,
        session.job.response,
        problem["function"],
        test["args"],
        test.get("kwargs"),
        wall_s=problem.get("timeout_s", DEFAULT_TIMEOUT_S),
    )
    tolerance = test.get("tolerance", problem.get("tolerance", 0.0))
    passed = answer.problem is None and same_value(test["expected"], answer.value, tolerance)
    score = test.get("points", 1) if passed else 0
    if not test.get("visible", True):
        session.report(test_id, score=score)
        return
    returned = answer.problem or f"{call_text(problem, test)} returned {show(answer.value)}"
    printed = f"\nYour code printed:\n{answer.printed}" if answer.printed else ""
    session.report(test_id, score=score, output=returned + printed, expected=show(test["expected"]))


def call_text(problem: dict[str, Any], test: dict[str, Any]) -> str:
    arguments = [show(value) for value in test["args"]]
    arguments += [f"{name}={show(value)}" for name, value in test.get("kwargs", {}).items()]
    return f"{problem['function']}({', '.join(arguments)})"


def tests_of(problem: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"t{number}", test) for number, test in enumerate(problem["tests"], start=1)]


def announced(test_id: str, test: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": test_id,
        "title": test.get("title", test_id),
        "max": test.get("points", 1),
        "visible": test.get("visible", True),
    }


def load_problem(payload: str) -> dict[str, Any]:
    name = problem_name(payload)
    path = PROBLEMS / f"{name}.json"
    try:
        problem = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(path.stem for path in PROBLEMS.glob("*.json")))
        raise BadProblem(f"there is no problem {name!r}; there are: {known}") from None
    except ValueError as error:
        raise BadProblem(f"problems/{name}.json is not JSON: {error}") from None
    return checked_problem(name, problem)


def problem_name(payload: str) -> str:
    """A plain name: what an author types never becomes a path."""
    try:
        asked = json.loads(payload)
    except ValueError as error:
        raise BadProblem(f"the grader_payload is not JSON: {error}") from None
    name = asked.get("problem") if isinstance(asked, dict) else None
    if not isinstance(name, str) or not PROBLEM_NAME.fullmatch(name):
        raise BadProblem('the grader_payload must be {"problem": "<letters, digits, - and _>"}')
    return name


def checked_problem(name: str, problem: object) -> dict[str, Any]:
    where = f"problems/{name}.json"
    if not isinstance(problem, dict) or not isinstance(problem.get("function"), str):
        raise BadProblem(f'{where}: "function" must name the function to call')
    tests = problem.get("tests")
    if not isinstance(tests, list) or not tests:
        raise BadProblem(f'{where}: "tests" must be a list of at least one test')
    for number, test in enumerate(tests):
        if not isinstance(test, dict) or not isinstance(test.get("args"), list):
            raise BadProblem(f"{where}: tests[{number}].args must be a list")
        if "expected" not in test:
            raise BadProblem(f"{where}: tests[{number}].expected is missing")
    return problem


grade_with(grade)
