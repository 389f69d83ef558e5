"""`graders check`: grades a grader's own samples and says what they show about its tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from graders.errors import GradingFailed
from graders.grader_file import GraderFile, read_grader_file
from graders.grader_sample import Sample
from graders.reply.score import NoGrade, grade_of
from graders.reply.verdict import is_passed, status_of
from graders.trying import Answer, OpenGrader, opened
from sandbox.backend import SandboxBackend
from sandbox.run import ExitReason, RunResult, TestReport

SCORE_SLACK = 0.005
"""A sample's score may be written with two digits."""


class Kind(StrEnum):
    OK = "ok"
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report; `about` is a sample's path, a test's id or `grader.yaml`."""

    kind: Kind
    about: str
    text: str


def check_grader(
    directory: Path, backend: SandboxBackend, progress: Callable[[str], None] = lambda _: None
) -> tuple[Finding, ...]:
    """Everything that can be said about the grader. `progress` is told what is being graded.

    Raises:
        ManifestInvalid, BundleRefused: there is nothing to grade yet.
        GradingFailed: the grader can not be run at all.
    """
    grader_file = read_grader_file(directory)
    with opened(directory, backend) as grader:
        return tuple(_Check(grader_file, grader, progress).findings())


class _Check:
    def __init__(
        self, file: GraderFile, grader: OpenGrader, progress: Callable[[str], None]
    ) -> None:
        self._file = file
        self._grader = grader
        self._progress = progress
        self._failed_by_some: set[str] = set()

    def findings(self) -> Iterator[Finding]:
        for sample in self._file.samples:
            self._progress(sample.path)
            yield from self._sample(sample)
        self._progress("an empty answer")
        yield from self._empty_answer()
        yield from self._coverage()

    def _sample(self, sample: Sample) -> Iterator[Finding]:
        answer = answer_of(sample, self._file.directory)
        try:
            first, again = self._grade(answer), self._grade(answer)
        except GradingFailed as error:
            yield Finding(kind=Kind.ERROR, about=sample.path, text=str(error))
            return
        problems = [*differences(sample, first), *_disagreements(first, again)]
        for problem in problems:
            yield Finding(kind=Kind.ERROR, about=sample.path, text=problem)
        if not problems:
            text = f"{grade_of(first).fraction:.4g} of the points, as declared"
            yield Finding(kind=Kind.OK, about=sample.path, text=text)
        if sample.score < 1:
            self._failed_by_some |= {
                report.test_id for report in first.reports if not is_passed(report)
            }

    def _grade(self, answer: Answer) -> RunResult:
        """Raises GradingFailed for everything that is not a grade."""
        result = self._grader.grade(answer)
        if result.reason is ExitReason.GRADER_FAILED:
            log = f"\n{result.grader_log.strip()}" if result.grader_log else ""
            raise GradingFailed(f"the grader fails on it: {result.detail}{log}")
        try:
            grade_of(result)
        except NoGrade as error:
            raise GradingFailed(f"there is no grade: {error}") from error
        return result

    def _empty_answer(self) -> Iterator[Finding]:
        files = dict.fromkeys(self._file.uploads, b"")
        try:
            result = self._grade(Answer(response="", files=files))
        except GradingFailed as error:
            yield Finding(kind=Kind.ERROR, about="an empty answer", text=str(error))
            return
        allowed = {test.test_id for test in self._file.tests if test.allow_empty}
        free = [
            report
            for report in result.reports
            if report.score > 0 and report.test_id not in allowed
        ]
        for report in free:
            text = (
                f"an empty answer gets {report.score:g} of its {report.max_score:g} points; if "
                "that is meant, write `allow_empty: true`"
            )
            yield Finding(kind=Kind.ERROR, about=report.test_id, text=text)
        if not free:
            yield Finding(kind=Kind.OK, about="an empty answer", text="passes no test")

    def _coverage(self) -> Iterator[Finding]:
        samples = self._file.samples
        if not any(sample.score >= 1 for sample in samples):
            text = "no sample is correct (`score: 1`): nothing shows that the tests can be passed"
            yield Finding(kind=Kind.ERROR, about="grader.yaml", text=text)
        if not any(sample.score < 1 for sample in samples):
            text = "no sample is incorrect: nothing shows that the tests find mistakes"
            yield Finding(kind=Kind.WARNING, about="grader.yaml", text=text)
            return
        for test in self._grader.manifest.tests:
            if test.test_id not in self._failed_by_some:
                text = "no incorrect sample fails it: nothing shows what it is for"
                yield Finding(kind=Kind.WARNING, about=test.test_id, text=text)


def answer_of(sample: Sample, directory: Path) -> Answer:
    """What a learner would have handed in."""
    return Answer(
        response=(directory / sample.path).read_text(encoding="utf-8", errors="replace"),
        files={name: (directory / path).read_bytes() for name, path in sample.uploads.items()},
        seed=sample.seed,
        payload=sample.payload or None,
    )


def differences(sample: Sample, result: RunResult) -> Iterator[str]:
    """Between what the sample declares and what came of it."""
    score = grade_of(result).fraction
    if abs(score - sample.score) > SCORE_SLACK:
        yield f"gets {score:.4g} of the points, {sample.score:.4g} is declared{_failed(result)}"
    failed = {report.test_id for report in result.reports if not is_passed(report)}
    failed |= {test.test_id for test in result.not_run}
    if sample.fails is not None and failed != set(sample.fails):
        declared = ", ".join(sample.fails) or "none"
        yield f"fails {', '.join(sorted(failed)) or 'no test'}; declared: {declared}"
    statuses = {report.test_id: status_of(report) for report in result.reports}
    for test_id, status in sample.statuses.items():
        actual = statuses.get(test_id)
        if actual != status:
            was = actual.value if actual else "not run"
            yield f"test {test_id}: {was}, {status.value} is declared"


def _failed(result: RunResult) -> str:
    """The first test that did not pass, with its words."""
    for report in result.reports:
        if not is_passed(report):
            return f"\n{report.test_id}: {_words(report)}"
    return ""


def _words(report: TestReport) -> str:
    parts = [report.output.strip()]
    if report.expected is not None:
        parts.append(f"expected {report.expected.strip()!r:.200}")
    if report.actual is not None:
        parts.append(f"got {report.actual.strip()!r:.200}")
    return "; ".join(filter(None, parts)) or status_of(report).value


def _disagreements(first: RunResult, again: RunResult) -> Iterator[str]:
    """What two runs of the same answer do not agree on. Limits of time and memory are left to
    chance near their edge, which the score shows."""
    before = {report.test_id: report.score for report in first.reports}
    after = {report.test_id: report.score for report in again.reports}
    for test_id in sorted(before.keys() | after.keys()):
        if before.get(test_id) != after.get(test_id):
            yield (
                f"test {test_id}: two runs do not agree ({_points(before.get(test_id))}, then "
                f"{_points(after.get(test_id))}); is something random, or close to a limit?"
            )


def _points(points: float | None) -> str:
    return "not run" if points is None else f"{points:g} points"
