"""Grades by `grader.yaml` alone: runs the tests of `.xqueue/plan.json` one by one (tier 0).

Every failure that a learner can cause is a report; every other exception is the grader's.
"""

from __future__ import annotations

import json

from graders.library.calling import call_function
from graders.library.checking import CheckedAnswer, load_checker, options_of, verdict_of
from graders.library.comparing import same_value
from graders.library.outputs import TooSlow, found_in, same_output
from graders.library.program import NotRunnable, Program
from graders.library.session import grade_with
from graders.library.values import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from graders.library.calling import Answer
    from graders.library.session import GraderSession, Ran

PLAN = ".xqueue/plan.json"
SHOWN_CHARS = 4000
ERRORS_CHARS = 2000


class Outcome:
    """How one test came out, in the words of a report."""

    def __init__(
        self,
        points: float,
        status: str,
        output: str = "",
        expected: str | None = None,
        actual: str | None = None,
        wall_ms: float | None = None,
    ) -> None:
        self.points = points
        self.status = status
        self.output = output
        self.expected = expected
        self.actual = actual
        self.wall_ms = wall_ms


class AuthorFiles:
    """The bytes of the bundle's files by path, read when they are first wanted."""

    def __init__(self) -> None:
        self._read: dict[str, bytes] = {}

    def __getitem__(self, path: str) -> bytes:
        if path not in self._read:
            with open(path, "rb") as file:  # noqa: PTH123 - start-up time
                self._read[path] = file.read()
        return self._read[path]

    def text_or_file(self, source: Mapping[str, str]) -> bytes:
        if "file" in source:
            return self[source["file"]]
        return source["text"].encode("utf-8", "surrogatepass")


def main() -> None:
    grade_with(grade)


def read_plan() -> dict[str, Any]:
    with open(PLAN, encoding="utf-8") as file:  # noqa: PTH123
        plan: dict[str, Any] = json.load(file)
    return plan


def grade(session: GraderSession) -> None:
    plan = read_plan()
    announce(session, plan["tests"])
    if session.job.describe:
        for test in plan["tests"]:
            session.report(test["id"], score=0)
        return
    Grading(session, plan).grade()


def announce(session: GraderSession, tests: list[dict[str, Any]]) -> None:
    session.announce(
        [
            {
                "id": test["id"],
                "title": test["title"],
                "max": test["points"],
                "visible": not test["hidden"],
            }
            for test in tests
        ]
    )


class Grading:
    """One submission against all tests of a plan."""

    def __init__(self, session: GraderSession, plan: dict[str, Any]) -> None:
        self._session = session
        self._plan = plan
        self._files = AuthorFiles()
        self._program = Program(session, plan, self._files)  # type: ignore[arg-type]
        self._checkers: dict[str, Callable[[CheckedAnswer], Any]] = {}

    def grade(self) -> None:
        try:
            self._program.prepare()
        except NotRunnable as problem:
            self._report_none_run(problem)
            return
        for test in self._plan["tests"]:
            try:
                outcome = self._call(test) if "call" in test else self._run(test)
            except NotRunnable as problem:
                outcome = Outcome(0.0, problem.status, str(problem))
            self._report(test, outcome)

    def _report_none_run(self, problem: NotRunnable) -> None:
        """The learner reads once why."""
        said = False
        for test in self._plan["tests"]:
            outcome = Outcome(0.0, problem.status, "" if said else str(problem))
            self._report(test, outcome)
            said = said or not test["hidden"]

    def _report(self, test: dict[str, Any], outcome: Outcome) -> None:
        score, milliseconds = outcome.points, outcome.wall_ms
        if test["hidden"]:
            self._session.report(
                test["id"], score=score, status=outcome.status, duration_ms=milliseconds
            )
            return
        passed = outcome.status == "passed"
        words = [outcome.output, "" if passed else test["feedback"]]
        self._session.report(
            test["id"],
            score=score,
            status=outcome.status,
            output="\n".join(filter(None, words)),
            expected=outcome.expected if test["show_expected"] else None,
            actual=outcome.actual,
            duration_ms=milliseconds,
        )

    def _call(self, test: dict[str, Any]) -> Outcome:
        limits = test["limits"]
        answer = call_function(
            self._session,
            self._program.source,
            test["call"],
            test["args"],
            test["kwargs"],
            files=self._program.files_for_calls(),
            **limits,
        )
        outcome = self._judge_call(test, answer)
        outcome.wall_ms = answer.wall_ms
        if answer.printed.strip():
            printed = f"Your code printed:\n{answer.printed}"
            outcome.output = "\n".join(filter(None, [outcome.output, printed]))
        return outcome

    def _judge_call(self, test: dict[str, Any], answer: Answer) -> Outcome:
        expected = _expected_of_call(test)
        if test.get("raises") is not None and answer.status in (None, "error"):
            raised = answer.error is not None and answer.error == test["raises"]
            return self._passed_or_failed(test, raised, expected, answer.shown)
        if answer.problem is not None:
            return Outcome(0.0, answer.status or "error", answer.problem, expected)
        if "returns" in test:
            same = same_value(test["returns"], answer.value, test.get("tolerance", 0.0))
            if not same or "checker" not in test:
                return self._passed_or_failed(test, same, expected, answer.shown)
        facts = {
            "value": answer.value,
            "shown": answer.shown,
            "expected": test.get("returns"),
            "args": test["args"],
        }
        return self._ask_checker(test, facts, expected, answer.shown)

    def _passed_or_failed(
        self, test: dict[str, Any], passed: bool, expected: str | None, actual: str
    ) -> Outcome:
        points = test["points"] if passed else 0.0
        return Outcome(points, "passed" if passed else "failed", "", expected, actual)

    def _run(self, test: dict[str, Any]) -> Outcome:
        ran = self._program.run(
            stdin=self._files.text_or_file(test["stdin"]),
            args=test["args"],
            files={name: self._files[path] for name, path in test["files"].items()},
            limits=test["limits"],
            collect=list(test["creates"]),
        )
        outcome = self._judge_run(test, ran)
        outcome.wall_ms = ran.wall_ms
        return outcome

    def _judge_run(self, test: dict[str, Any], ran: Ran) -> Outcome:
        expected, actual = self._expected_of_run(test), _shown(ran.stdout)
        if ran.reason != "exited":
            words = stopped(ran.reason, test["limits"]["wall_s"])
            return Outcome(0.0, ran.reason, _with_errors(words, ran), expected, actual)
        if test["exit"] is not None and ran.code != test["exit"]:
            words = ended(ran.code, test["exit"])
            return Outcome(0.0, "error", _with_errors(words, ran), expected, actual)
        problems = list(self._problems(test, ran))
        if problems or "checker" not in test:
            outcome = self._passed_or_failed(test, not problems, expected, actual)
            outcome.output = "\n".join(filter(None, problems))
            return outcome
        facts = {
            "stdout": ran.stdout,
            "stderr": ran.stderr,
            "exit": ran.code,
            "expected": None if expected is None else self._expected_text(test),
            "stdin": self._files.text_or_file(test["stdin"]).decode(errors="replace"),
            "args": test["args"],
            "files": ran.files,
        }
        return self._ask_checker(test, facts, expected, actual)

    def _problems(self, test: dict[str, Any], ran: Ran) -> Iterator[str]:
        """What is not as it should be; an empty text where expected and actual say it."""
        options = options_of(test)
        # With a checker the expected output is its to compare with.
        if "stdout" in test and "checker" not in test:
            expected = self._files.text_or_file(test["stdout"])
            if not same_output(expected, ran.stdout, **options):
                yield ""
        for key, content, name in (
            ("stdout_regex", ran.stdout, "output"),
            ("stderr_regex", ran.stderr, "error output"),
        ):
            if key in test and not _is_found(test[key], content):
                yield f"The {name} of your program does not have the form that is asked for."
        for name, source in test["creates"].items():
            if ran.files is None:
                self._session.fail("this sandbox does not give back files (`creates`)")
            if name not in ran.files:
                yield f"Your program did not create the file {name}."
            elif "checker" not in test:
                expected = self._files.text_or_file(source)
                if not same_output(expected, ran.files[name], **options):
                    yield f"The file {name} that your program created is not as it should be:"
                    yield _shown(ran.files[name])

    def _expected_of_run(self, test: dict[str, Any]) -> str | None:
        """For people; with a checker, several outputs may be right."""
        return _shown(self._expected_text(test).encode()) if "stdout" in test else None

    def _expected_text(self, test: dict[str, Any]) -> str:
        return self._files.text_or_file(test["stdout"]).decode(errors="replace")

    def _ask_checker(
        self, test: dict[str, Any], facts: dict[str, Any], expected: str | None, actual: str
    ) -> Outcome:
        path, job = test["checker"], self._session.job
        if path not in self._checkers:
            self._checkers[path] = load_checker(path)
        answer = CheckedAnswer(test=test["id"], seed=job.seed, payload=job.payload, **facts)
        verdict = verdict_of(self._checkers[path](answer), test["points"], path)
        status = status_of(verdict.points, test["points"])
        return Outcome(verdict.points, status, verdict.message, expected, actual)


def status_of(points: float, most: float) -> str:
    if points >= most:
        return "passed"
    return "partial" if points > 0 else "failed"


def stopped(reason: str, wall_s: float) -> str:
    """Why a program was stopped, for the learner."""
    sentences = {
        "time": f"Your program took longer than {wall_s:g} s and was stopped. Does a loop never "
        "end, or does it wait for input that does not come?",
        "memory": "Your program used too much memory and was stopped.",
        "output": "Your program printed too much and was stopped. Does a loop never end?",
    }
    return sentences[reason]


def ended(code: int, expected: int) -> str:
    asked = "" if expected == 0 else f"; it should have ended with {expected}"
    crashes = {139: " (it used memory that is not its own)", 136: " (a division by zero?)"}
    return f"Your program ended with status {code}{crashes.get(code, '')}{asked}."


def _with_errors(words: str, ran: Ran) -> str:
    errors = ran.stderr.decode(errors="replace").strip()
    # Their end tells most.
    return f"{words}\n{errors[-ERRORS_CHARS:]}" if errors else words


def _is_found(pattern: str, content: bytes) -> bool:
    try:
        return found_in(pattern, content)
    except TooSlow:
        return False


def _expected_of_call(test: dict[str, Any]) -> str | None:
    if "returns" in test:
        return show(test["returns"])
    return f"an exception of type {test['raises']}" if test.get("raises") else None


def _shown(content: bytes) -> str:
    text = content.decode(errors="replace").replace("\r\n", "\n")
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "\n…"
