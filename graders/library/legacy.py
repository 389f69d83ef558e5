"""Grades with an old `grader.py` and `answer.py`, unchanged (see docs/graders/reference.md).

Here, in the grader's role: the input checks, the staff's answer, every comparison, every verdict.
In the learner's process: the learner's code and the tests, which print. The staff's answer is
never in that process, so its outputs can only be computed, not read.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from graders.library.declared import announce, read_plan
from graders.library.program import NotRunnable, uploaded
from graders.library.room import has_room
from graders.library.session import grade_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from graders.library.session import GraderSession, Ran

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gradelib")  # noqa: PTH100,PTH118,PTH120
SENT = ("gradelib.py", "gradelib_checks.py", "graderutil.py", "legacy_driver.py")
DRIVER = "legacy_driver.py"
ANSWER = "answer.py"
LONGEST_SOURCE_BYTES = 100 * 1024
"""The checks of old graders take a text apart in the grader's memory, a thousandfold of its size.
No program that was typed in is longer."""
TOO_LONG = f"Your code is too long to be graded: at most {LONGEST_SOURCE_BYTES // 1024} KB."
TOO_LARGE = "Your code and the files beside it are too large to be run."
ODD_CODE = "Your code could not be examined: it does not have the form that is asked for."
ODD_OUTPUT = "What your code printed could not be compared: it does not have the expected form."
STOPPED = {
    "time": "Your code took too long and was stopped. Does a loop never end?",
    "memory": "Your code used too much memory and was stopped.",
    "output": "Your code printed too much and was stopped.",
    "exited": "Your program ended before this test was over.",
}


class OldGraderBroken(Exception):
    """grader.py or answer.py does not work; for the course team."""


def main() -> None:
    grade_with(grade)


def grade(session: GraderSession) -> None:
    plan = read_plan()
    path = plan["gradelib"]
    sys.path[:0] = [HERE, os.path.dirname(os.path.abspath(path))]  # noqa: PTH100, PTH120
    import legacy_driver  # type: ignore[import-not-found]

    grader = legacy_driver.load_grader(path, session.job.seed)
    tests = _declared(plan, grader.tests())
    announce(session, tests)
    if session.job.describe:
        for test in tests:
            session.report(test["id"], score=0)
        return
    LegacyGrading(session, plan, grader, tests, legacy_driver).grade()


def _declared(plan: dict[str, Any], found: list[Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = plan["tests"]
    if listed and len(listed) != len(found):
        raise OldGraderBroken(
            f"grader.yaml lists {len(listed)} tests, and {plan['gradelib']} has {len(found)}"
        )
    if listed:
        return listed
    return [
        {"id": f"t{number}", "title": test.short_description, "points": 1.0, "hidden": False}
        for number, test in enumerate(found, start=1)
    ]


class LegacyGrading:
    """One submission against an old grader's tests."""

    def __init__(
        self,
        session: GraderSession,
        plan: dict[str, Any],
        grader: Any,
        tests: list[dict[str, Any]],
        driver: Any,
    ) -> None:
        self._session = session
        self._plan = plan
        self._grader = grader
        self._tests = tests
        self._driver = driver
        self._config = _config(session.job.payload)

    def grade(self) -> None:
        submission = self._session.job.response
        if self._config.get("skip_grader"):
            for test in self._tests:
                self._session.report(test["id"], score=test["points"], status="passed")
            return
        if len(submission.encode("utf-8", "surrogatepass")) > LONGEST_SOURCE_BYTES:
            self._report_all(TOO_LONG, "error")
            return
        answer = self._answer()
        try:
            beside = self._beside()
            source = self._examined(submission, answer)
            self._require_room(source, beside)
        except NotRunnable as problem:
            self._report_all(str(problem), problem.status)
            return
        self._compare(self._answers_of_the_staff(answer), source, beside)

    def _answer(self) -> str:
        path = os.path.join(os.path.dirname(self._plan["gradelib"]), ANSWER)  # noqa: PTH118, PTH120
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()

    def _examined(self, submission: str, answer: str) -> str:
        """What is to be run. Raises NotRunnable when the checks complain of the submission, and
        when they fail on it and not on the staff's answer."""
        try:
            errors = self._grader.input_errors(submission)
            source: str = "" if errors else self._grader.preprocess(submission)
        except Exception:  # noqa: BLE001 - the author's code raises anything
            self._grader.input_errors(answer)
            self._grader.preprocess(answer)
            raise NotRunnable(ODD_CODE, "failed") from None
        if errors:
            raise NotRunnable("\n".join(errors), "failed")
        return source

    def _require_room(self, source: str, beside: Mapping[str, bytes]) -> None:
        request = self._request(source, 0)
        if not has_room(self._session.limits, beside.values(), len(request)):
            raise NotRunnable(TOO_LARGE)

    def _answers_of_the_staff(self, answer: str) -> list[str]:
        source = self._grader.preprocess(answer)
        outputs: list[str] = []
        module = self._driver.load_module("answer", source)

        def keep(_: int, told: dict[str, Any]) -> None:
            outputs.append(told["output"])

        self._driver.run_tests(self._grader, module, self._session.job.seed, 0, keep)
        return outputs

    def _beside(self) -> dict[str, bytes]:
        """What is placed beside the learner's program; never the answer."""
        files = {name: _read(path) for name, path in self._plan["files"].items()}
        files |= uploaded(self._session.job, self._plan["uploads"])
        files |= {name: _read(os.path.join(HERE, name)) for name in SENT}  # noqa: PTH118
        files[self._grader_name()] = _read(self._plan["gradelib"])
        return files

    def _grader_name(self) -> str:
        return str(self._plan["gradelib"]).rpartition("/")[2]

    def _compare(self, expected: list[str], source: str, beside: dict[str, bytes]) -> None:
        """A test that does not end fails; those after it are run in a new process."""
        first = 0
        while first < len(self._tests):
            ran = self._run(source, beside, first)
            told = _told(ran)
            problem = told.get(-1)
            if problem is not None:
                self._report_all(self._problem(problem, beside), "error", first)
                return
            while first < len(self._tests) and first in told:
                self._judge(first, expected[first], told[first])
                first += 1
            if first < len(self._tests):
                status = "error" if ran.reason == "exited" else ran.reason
                self._report(first, 0.0, status, STOPPED[ran.reason], expected[first], "")
                first += 1

    def _run(self, source: str, beside: dict[str, bytes], first: int) -> Ran:
        return self._session.run(
            ["python3", "-I", DRIVER],
            stdin=self._request(source, first),
            files=beside,
            zygote=True,
            **self._plan["limits"],
        )

    def _request(self, source: str, first: int) -> bytes:
        seed = self._session.job.seed
        request = {"grader": self._grader_name(), "source": source, "seed": seed, "first": first}
        return json.dumps(request).encode()

    def _problem(self, problem: dict[str, Any], beside: dict[str, bytes]) -> str:
        if "grader_error" not in problem:
            return str(problem.get("submission_error", "Your code could not be run."))
        # Said by a process with hostile code in it. Said by one without, it is true.
        alone = _told(self._run("", beside, len(self._tests))).get(-1, {})
        if "grader_error" in alone:
            raise OldGraderBroken(
                f"{self._plan['gradelib']} cannot be loaded beside the learner's program: "
                f"{alone['grader_error']}. What it imports must be listed in `files`."
            )
        return "Your code interfered with the grader."

    def _judge(self, number: int, expected: str, told: dict[str, Any]) -> None:
        actual, error = told["output"], told.get("error")
        test = self._grader.tests()[number]
        why_not = "" if error == "interfered" else self._difference(test, expected, actual)
        passed = why_not is None
        failed = "failed" if error is None else "error"
        points = self._tests[number]["points"] if passed else 0.0
        words = "\n".join(filter(None, [test.detailed_description, why_not]))
        self._report(number, points, "passed" if passed else failed, words, expected, actual)

    def _difference(self, test: Any, expected: str, actual: str) -> str | None:
        """None where there is none, else what there is to say about it. A comparison that fails on
        this output and not on the expected one was given something that it was not written for."""
        end_test = sys.modules["gradelib"].EndTest
        try:
            return None if test.compare_results(expected, actual) else ""
        except end_test as end:
            return str(end.message or "")
        except Exception:  # noqa: BLE001 - the author's code raises anything
            with suppress(end_test):
                test.compare_results(expected, expected)
            return ODD_OUTPUT

    def _report(
        self, number: int, points: float, status: str, words: str, expected: str, actual: str
    ) -> None:
        test = self._tests[number]
        if test["hidden"] or self._config.get("hide_output"):
            self._session.report(test["id"], score=points, status=status)
            return
        self._session.report(
            test["id"],
            score=points,
            status=status,
            output=words,
            expected=expected,
            actual=actual,
        )

    def _report_all(self, words: str, status: str, first: int = 0) -> None:
        """The learner reads once why."""
        for test in self._tests[first:]:
            self._session.report(test["id"], score=0, status=status, output=words)
            words = ""


def _config(payload: str) -> Mapping[str, Any]:
    try:
        config = json.loads(payload)
    except ValueError:
        return {}
    return config if isinstance(config, dict) else {}


def _told(ran: Ran) -> dict[int, dict[str, Any]]:
    """By test number, what the learner's process says that they printed; -1 for what went wrong
    before. The first word of each counts."""
    told: dict[int, dict[str, Any]] = {}
    for line in ran.stdout.split(b"\n"):
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        number = said.get("test") if isinstance(said, dict) else None
        if isinstance(number, int) and (number == -1 or isinstance(said.get("output"), str)):
            told.setdefault(number, said)
    return told


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - start-up time
        return file.read()
