"""A backend that runs nothing: it answers with what its script says. For tests of callers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sandbox.backend import BackendDescription, BackendHealth, SandboxBackend
from sandbox.errors import SandboxError
from sandbox.run import ExitReason, Preparation, RunRequest, RunResult, TestReport

Answer = RunResult | SandboxError
Script = Iterable[Answer] | Callable[[RunRequest], Answer]


class FakeBackend(SandboxBackend):
    """Gives the scripted answers in order, or asks a function for each; raises errors among them.

    `requests` holds what was asked for. A script that has run out is the test's mistake and
    raises AssertionError, so that it cannot pass for a result.
    """

    def __init__(self, script: Script = (), *, problems: tuple[str, ...] = ()) -> None:
        self.requests: list[RunRequest] = []
        self.prepared: list[Preparation] = []
        self.reaped = 0
        self.closed = False
        self._answer = script if callable(script) else _one_by_one(script)
        self._problems = problems

    def run(self, request: RunRequest) -> RunResult:
        self.requests.append(request)
        answer = self._answer(request)
        if isinstance(answer, SandboxError):
            raise answer
        return answer

    def prepare(self, preparation: Preparation) -> None:
        self.prepared.append(preparation)

    def check(self) -> BackendHealth:
        return BackendHealth(healthy=not self._problems, problems=self._problems)

    def describe(self) -> BackendDescription:
        return BackendDescription(
            name="fake", version="1", unenforced=("this backend runs nothing and limits nothing",)
        )

    def reap(self) -> int:
        self.reaped += 1
        return 0

    def close(self) -> None:
        self.closed = True


def a_result(
    *,
    score: float = 1.0,
    max_score: float = 1.0,
    reason: ExitReason = ExitReason.COMPLETED,
    detail: str = "",
    notice: str = "",
) -> RunResult:
    """A result with one test, for scripts that care about little of it."""
    report = TestReport(test_id="t1", title="a test", score=score, max_score=max_score)
    return RunResult(
        reason=reason,
        reports=() if reason is ExitReason.GRADER_FAILED else (report,),
        declared_max=max_score,
        detail=detail,
        notice=notice,
        phases_ms={"prepare": 0.0, "run": 0.0, "cleanup": 0.0},
    )


def _one_by_one(script: Iterable[Answer]) -> Callable[[RunRequest], Answer]:
    answers = iter(script)

    def answer(request: RunRequest) -> Answer:
        try:
            return next(answers)
        except StopIteration:
            raise AssertionError(f"nothing is scripted for run {request.run_id}") from None

    return answer
