"""Runs the tests of an old `grader.py` on one module and tells what each printed.

Used twice: in the learner's process on the learner's code (as a program of its own), and in the
grader's on the staff's answer (`run_tests`). The learner's process holds the tests and no answer.

stdin: JSON `{grader, source, seed, first}`. Each test is one JSON line on the *original* stdout.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import json
import os
import random
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

LONGEST_OUTPUT = 5000
CUT = "...OUTPUT TRUNCATED"
INTERFERED = "Your code interfered with our grader.  Don't use bare 'except' clauses."


def prepare_names() -> Any:
    """Make the old names importable; gives `gradelib`. Its folder is on the path."""
    import gradelib  # type: ignore[import-not-found]
    import graderutil  # type: ignore[import-not-found]

    support = ModuleType("grader_support")
    support.gradelib = gradelib  # type: ignore[attr-defined]
    support.graderutil = graderutil  # type: ignore[attr-defined]
    sys.modules["grader_support"] = support
    sys.modules["grader_support.gradelib"] = gradelib
    sys.modules["grader_support.graderutil"] = graderutil
    # Old graders translate their words; here they stay as they are.
    builtins._ = lambda text: text  # type: ignore[attr-defined]
    return gradelib


def load_grader(path: str, seed: int) -> Any:
    """The `grader` that the file defines. Raises whatever it raises."""
    gradelib = prepare_names()
    seed_everything(gradelib, seed)
    with open(path, "rb") as file:  # noqa: PTH123
        code = compile(file.read(), path, "exec")
    names: dict[str, Any] = {"__name__": "grader", "__file__": path}
    exec(code, names)  # noqa: S102 - the author's
    return names["grader"]


def load_module(name: str, source: str) -> ModuleType:
    """Raises whatever the code raises; what it prints on the way is dropped."""
    module = ModuleType(name)
    sys.modules[name] = module
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(source, f"{name}.py", "exec"), module.__dict__)  # noqa: S102 - its purpose
    return module


def seed_everything(gradelib: Any, seed: int) -> None:
    """Before every test anew, so that a test meets the same numbers whatever ran before it."""
    gradelib.rand.seed(seed)
    random.seed(seed + 1)


def run_tests(
    grader: Any,
    module: ModuleType,
    seed: int,
    first: int,
    tell: Callable[[int, dict[str, Any]], None],
) -> None:
    gradelib = sys.modules["gradelib"]
    for number, test in enumerate(grader.tests()):
        if number >= first:
            seed_everything(gradelib, seed + number)
            tell(number, run_test(grader, gradelib, test, module))


def run_test(grader: Any, gradelib: Any, test: Any, module: ModuleType) -> dict[str, Any]:
    """`output` is what it printed, with the exception that ended it; `error` names that."""
    printed, error = io.StringIO(), None
    try:
        with contextlib.redirect_stdout(printed):
            test(module)
    except gradelib.EndTest as end:
        grader.caught_end_test()
        said = getattr(end, "message", None)
        printed.write("" if said is None else f"*** Error: {said}\n")
    except BaseException as raised:  # noqa: BLE001 - hostile code raises anything
        error = type(raised).__name__
        printed.write(("" if _ends_a_line(printed) else "\n") + describe(raised) + "\n")
    if grader.uncaught_end_tests() > 0:
        error = "interfered"
        printed.write(INTERFERED + "\n")
    return {"output": cut(printed.getvalue()), "error": error}


def _ends_a_line(printed: io.StringIO) -> bool:
    return printed.getvalue()[-1:] in ("", "\n")


def describe(raised: BaseException) -> str:
    try:
        return f"{type(raised).__name__}: {raised}"
    except BaseException:  # noqa: BLE001
        return "an exception that cannot be shown"


def cut(text: str) -> str:
    return text if len(text) <= LONGEST_OUTPUT else text[:LONGEST_OUTPUT] + CUT


def main() -> None:
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    request = json.loads(sys.stdin.buffer.read())
    answer_fd = os.dup(1)
    os.dup2(2, 1)

    def tell(number: int, what: dict[str, Any]) -> None:
        line = json.dumps({"test": number, **what}).encode() + b"\n"
        while line:
            line = line[os.write(answer_fd, line) :]

    try:
        grader = load_grader(request["grader"], request["seed"])
    except BaseException as raised:  # noqa: BLE001
        tell(-1, {"grader_error": describe(raised)})
        os._exit(0)
    try:
        module = load_module("submission", request["source"])
    except BaseException as raised:  # noqa: BLE001
        line_number = getattr(raised, "lineno", None)
        where = f" (line {line_number})" if isinstance(line_number, int) else ""
        tell(-1, {"submission_error": describe(raised) + where})
        os._exit(0)
    run_tests(grader, module, request["seed"], request["first"], tell)
    os._exit(0)


if __name__ == "__main__":
    main()
