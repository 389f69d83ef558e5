"""A checker: the author's own file that decides a test, run in the grader's role."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class CheckerBroken(Exception):
    """It is not a checker, or did not give a verdict. The course team's to mend."""


class Verdict:
    """`points` of the test, and a text for the learner."""

    __slots__ = ("message", "points")

    def __init__(self, points: float, message: str = "") -> None:
        self.points = points
        self.message = message


class CheckedAnswer:
    """What `check(answer)` is given. Everything the learner's program said is untrusted bytes."""

    def __init__(self, **facts: Any) -> None:
        self.stdout_bytes: bytes = facts.get("stdout", b"")
        self.stderr_bytes: bytes = facts.get("stderr", b"")
        self.exit: int = facts.get("exit", 0)
        self.value: Any = facts.get("value")
        self.shown: str = facts.get("shown", "")
        self.expected: Any = facts.get("expected")
        self.stdin: str = facts.get("stdin", "")
        self.args: list[Any] = list(facts.get("args", ()))
        self.files: dict[str, bytes] = dict(facts.get("files") or {})
        self.test: str = facts.get("test", "")
        self.seed: int = facts.get("seed", 0)
        self.payload: str = facts.get("payload", "")

    @property
    def stdout(self) -> str:
        return self.stdout_bytes.decode(errors="replace").replace("\r\n", "\n")

    @property
    def stderr(self) -> str:
        return self.stderr_bytes.decode(errors="replace").replace("\r\n", "\n")


def load_checker(path: str) -> Callable[[CheckedAnswer], Any]:
    """The `check` of an author's file. Raises CheckerBroken."""
    with open(path, "rb") as file:  # noqa: PTH123 - start-up time
        source = file.read()
    names: dict[str, Any] = {"__name__": "checker", "__file__": path}
    exec(compile(source, os.path.abspath(path), "exec"), names)  # noqa: S102, PTH100
    check = names.get("check")
    if not callable(check):
        raise CheckerBroken(f"{path} does not define a function `check(answer)`")
    function: Callable[[CheckedAnswer], Any] = check
    return function


def verdict_of(said: Any, points: float, path: str) -> Verdict:
    """From True, False, a number of points, or a pair of one of them and a text."""
    message = ""
    if isinstance(said, tuple) and len(said) == 2:
        said, message = said
    if said is True or said is False:
        return Verdict(points if said else 0.0, str(message))
    if isinstance(said, int | float) and 0 <= said <= points:
        return Verdict(float(said), str(message))
    raise CheckerBroken(
        f"{path}: check() returned {said!r:.100}; it must be True, False or a number of points "
        f"from 0 to {points:g}, or a pair of that and a text"
    )


def options_of(test: Mapping[str, Any]) -> dict[str, Any]:
    """How the texts of a test are compared."""
    return {
        "exact": test.get("exact", False),
        "ignore": test.get("ignore", ()),
        "tolerance": test.get("tolerance"),
    }
