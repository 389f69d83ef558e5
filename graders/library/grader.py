"""The SDK of a grader written in Python (tier 1).

    from graders.library import grader

    @grader.test("three", title="the square of 3")
    def three(t):
        answer = t.call("square", 3)
        t.check(answer.value == 9, expected=9, actual=answer.shown)

    grader.main()

The file runs in the grader's role, the learner's code in another process under another user:
`t.call` and `t.run` are the only ways to it, and what they give is data.
"""

from __future__ import annotations

from graders.library.calling import TOO_DEEP, Answer, call_function
from graders.library.declared import (
    SHOWN_CHARS,
    AuthorFiles,
    announce,
    ended,
    read_plan,
    status_of,
    stopped,
)
from graders.library.program import NotRunnable, Program, upload_bytes
from graders.library.session import grade_with
from graders.library.values import as_tagged, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random
    from typing import Any, NoReturn, TypeVar

    from graders.library.session import GraderSession, Ran

    TestFunction = Callable[["TestRun"], object]
    Noted = TypeVar("Noted", "Answer", "ProgramAnswer")

__all__ = ["Answer", "ProgramAnswer", "TestRun", "main", "test"]

_tests: dict[str, _Declared] = {}


class _Declared:
    def __init__(self, function: TestFunction, says: dict[str, Any]) -> None:
        self.function = function
        self.says = says


class _TestOver(Exception):
    """A check did not hold: the rest of the test's function is not run."""


class GraderMistake(Exception):
    """The author's, as a sentence for the author."""


def test(
    test_id: str,
    *,
    title: str | None = None,
    points: float | None = None,
    hidden: bool | None = None,
) -> Callable[[TestFunction], TestFunction]:
    """Declare the function below as the test of that id.

    `title`, `points` and `hidden` are said here, or in the `tests` of grader.yaml for all tests.
    """

    def declare(function: TestFunction) -> TestFunction:
        if test_id in _tests:
            raise GraderMistake(f"two functions are the test {test_id!r}")
        said = {"title": title, "points": points, "hidden": hidden}
        says = {key: value for key, value in said.items() if value is not None}
        _tests[test_id] = _Declared(function, says)
        return function

    return declare


class ProgramAnswer:
    """How one execution of the learner's program went.

    `problem` is a sentence for the learner when it was stopped at a limit or ended with another
    status than 0, else None; `status` is then time, memory, output or error.
    """

    def __init__(self, ran: Ran, wall_s: float) -> None:
        self.stdout_bytes = ran.stdout
        self.stderr_bytes = ran.stderr
        self.exit = ran.code
        self.files = ran.files or {}
        self.wall_ms = ran.wall_ms
        self.status: str | None = None
        self.problem: str | None = None
        if ran.reason != "exited":
            self.status, self.problem = ran.reason, stopped(ran.reason, wall_s)
        elif ran.code != 0:
            errors = self.stderr.strip()[-SHOWN_CHARS:]
            self.status, self.problem = "error", f"{ended(ran.code, 0)}\n{errors}".strip()

    @property
    def stdout(self) -> str:
        return self.stdout_bytes.decode(errors="replace").replace("\r\n", "\n")

    @property
    def stderr(self) -> str:
        return self.stderr_bytes.decode(errors="replace").replace("\r\n", "\n")


class TestRun:
    """One test of one submission, as a test's function is given it."""

    def __init__(self, session: GraderSession, program: Program, declared: dict[str, Any]) -> None:
        self._session = session
        self._program = program
        self._test = declared
        self._points: float | None = None
        self._failed = False
        self._words: list[str] = []
        self._expected: str | None = None
        self._actual: str | None = None
        self._html: list[str] = []
        self._pictures: list[tuple[str, bytes]] = []
        self._problem: Answer | ProgramAnswer | None = None
        self._milliseconds = 0.0
        self.seed = session.job.seed
        self.payload = session.job.payload
        self.submission = program.source
        self._random: Random | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """What the learner attached, by name."""
        return {name: upload_bytes(content) for name, content in self._session.job.files.items()}

    @property
    def random(self) -> Random:
        """The same numbers for the same `random_seed` and test."""
        if self._random is None:
            from random import Random

            self._random = Random(f"{self.seed}/{self._test['id']}")  # noqa: S311
        return self._random

    def call(self, function: str, *args: object, **kwargs: object) -> Answer:
        """Call a function of the learner's code (Python) in a process of its own."""
        try:
            values = [as_tagged(value) for value in args]
            names = {name: as_tagged(value) for name, value in kwargs.items()}
        except RecursionError:
            return self._note(Answer(problem=TOO_DEEP))
        beside = self._program.files_for_calls()
        answer = call_function(
            self._session,
            self._program.source,
            function,
            values,
            names,
            files=beside,
            **self._test["limits"],
        )
        return self._note(answer)

    def run(
        self,
        *,
        stdin: str | bytes = "",
        args: Sequence[object] = (),
        files: Mapping[str, str | bytes] | None = None,
        time_s: float | None = None,
        collect: Sequence[str] = (),
    ) -> ProgramAnswer:
        """Run the learner's program with `files` beside it; `collect` names files to bring back."""
        limits = dict(self._test["limits"])
        if time_s is not None:
            limits["wall_s"] = limits["cpu_s"] = time_s
        ran = self._program.run(
            stdin=_as_bytes(stdin),
            args=[str(argument) for argument in args],
            files={name: _as_bytes(content) for name, content in (files or {}).items()},
            limits=limits,
            collect=collect,
        )
        return self._note(ProgramAnswer(ran, limits["wall_s"]))

    def check(
        self,
        holds: object,
        message: str = "",
        *,
        expected: object = None,
        actual: object = None,
    ) -> None:
        """Go on when it holds; otherwise the test is not passed and its function ends here.

        `expected` and `actual` are shown to the learner, in either case.
        """
        self._expected = self._expected if expected is None else _as_text(expected)
        self._actual = self._actual if actual is None else _as_text(actual)
        if not holds:
            self.fail(message)

    def fail(self, message: str = "") -> NoReturn:
        """The test is not passed; points given with `points` stay."""
        self._failed = True
        if self._problem is not None and self._problem.problem != self._actual:
            self._words.append(self._problem.problem or "")
        self._words.append(message)
        raise _TestOver

    def points(self, points: float) -> None:
        """So many of the test's points, whatever comes; without it, it is all or none."""
        most = self._test["points"]
        if isinstance(points, bool) or not 0 <= points <= most:
            raise GraderMistake(
                f"test {self._test['id']!r}: {points!r} points, not from 0 to {most:g}"
            )
        self._points = float(points)

    def say(self, text: object) -> None:
        """A text for the learner."""
        self._words.append(str(text))

    def html(self, markup: str) -> None:
        """Your own markup for the learner. Never put a learner's words into it unescaped."""
        self._html.append(markup)

    def picture(self, label: str, data: bytes) -> None:
        """A PNG or JPEG for the learner."""
        self._pictures.append((label, data))

    def fail_grader(self, reason: str) -> NoReturn:
        """Nobody is graded: the course team reads the reason."""
        self._session.fail(reason)

    def _note(self, answer: Noted) -> Noted:
        self._problem = answer if answer.problem is not None else None
        self._milliseconds += answer.wall_ms
        return answer

    def _carry_out(self, function: TestFunction) -> None:
        try:
            function(self)
        except _TestOver:
            pass
        except NotRunnable as problem:
            self._failed = True
            self._words.append(str(problem))
        self._report()

    def _report(self) -> None:
        most = self._test["points"]
        points = (0.0 if self._failed else most) if self._points is None else self._points
        status = status_of(points, most)
        if self._failed and self._problem is not None and points <= 0:
            status = self._problem.status or "error"
        if self._test["hidden"]:
            self._session.report(
                self._test["id"], score=points, status=status, duration_ms=self._milliseconds
            )
            return
        feedback = self._test.get("feedback", "") if status != "passed" else ""
        self._session.report(
            self._test["id"],
            score=points,
            status=status,
            output="\n".join(filter(None, [*self._words, feedback])),
            expected=self._expected if self._test.get("show_expected", True) else None,
            actual=self._actual,
            html="".join(self._html) or None,
            pictures=self._pictures,
            duration_ms=self._milliseconds,
        )


def main() -> None:
    """Grade the submission. The last line of the file."""
    grade_with(_grade)


def _grade(session: GraderSession) -> None:
    plan = read_plan()
    tests = _declared_tests(plan)
    announce(session, tests)
    if session.job.describe:
        for each in tests:
            session.report(each["id"], score=0)
        return
    program = Program(session, plan, AuthorFiles())  # type: ignore[arg-type]
    try:
        program.prepare()
    except NotRunnable as problem:
        _report_none_run(session, tests, problem)
        return
    for each in tests:
        TestRun(session, program, each)._carry_out(_tests[each["id"]].function)


def _report_none_run(
    session: GraderSession, tests: list[dict[str, Any]], problem: NotRunnable
) -> None:
    """The learner reads once why."""
    said = False
    for each in tests:
        words = "" if said or each["hidden"] else str(problem)
        session.report(each["id"], score=0, status=problem.status, output=words)
        said = said or bool(words)


def _declared_tests(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of grader.yaml, or those of the decorators. Raises GraderMistake."""
    listed: list[dict[str, Any]] = plan["tests"]
    if not _tests:
        raise GraderMistake("grade.py declares no test: put @grader.test(…) above a function")
    if not listed:
        return [_as_declared(test_id, each, plan) for test_id, each in _tests.items()]
    names = {each["id"] for each in listed}
    for test_id, each in _tests.items():
        if test_id not in names:
            raise GraderMistake(f"grader.yaml does not list the test {test_id!r} of grade.py")
        if each.says:
            raise GraderMistake(
                f"test {test_id!r}: say {' and '.join(each.says)} in grader.yaml, which lists the "
                "tests, or list none there"
            )
    missing = [each["id"] for each in listed if each["id"] not in _tests]
    if missing:
        raise GraderMistake(f"grader.yaml lists {missing[0]!r}, but no function of grade.py is it")
    return listed


def _as_declared(test_id: str, each: _Declared, plan: dict[str, Any]) -> dict[str, Any]:
    standard = {"title": test_id, "points": 1.0, "hidden": False}
    return {"id": test_id, "limits": plan["limits"], **standard, **each.says}


def _as_bytes(content: str | bytes) -> bytes:
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content


def _as_text(value: object) -> str:
    text = value if isinstance(value, str) else show(value)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "\n…"
