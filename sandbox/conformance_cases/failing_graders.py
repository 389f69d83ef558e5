"""Graders that fail, and runs that end early."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from sandbox.backend import SandboxBackend
from sandbox.conformance import Case
from sandbox.conformance_cases.asking import expect, graded, promising
from sandbox.errors import GraderNotUsable
from sandbox.probe.script import DONE, TESTS, probe_request, report_step, run_step
from sandbox.run import DirectoryGrader, ExitReason, Limits

CASES: list[Case] = []
promise = promising(CASES)


@promise("partial-results", "When the run's time ends in the learner's code, finished tests count.")
def _(backend: SandboxBackend) -> None:
    script = [TESTS, report_step("t1", 1), run_step("t2"), DONE]
    limits = Limits(wall_s=1.5, learner_wall_s=60)
    result = backend.run(probe_request(script, "import time; time.sleep(600)", limits=limits))
    expect(result.reason is ExitReason.LEARNER_LIMIT, result)
    expect([(report.test_id, report.score) for report in result.reports] == [("t1", 1)], result)
    expect(result.declared_max == 3 and bool(result.notice), result)


@promise(
    "grader-gives-up", "A grader that says `fail` is the course team's affair, with its words."
)
def _(backend: SandboxBackend) -> None:
    result = graded(
        backend, [{"do": "log", "text": "a note"}, {"do": "fail", "detail": "no such problem"}]
    )
    expect(result.reason is ExitReason.GRADER_FAILED, result)
    expect("no such problem" in result.detail and "a note" in result.grader_log, result)


@promise("grader-dies", "A grader that exits, crashes or hangs gives no grade.")
def _(backend: SandboxBackend) -> None:
    for step in (
        {"do": "exit", "code": 0},
        {"do": "exit", "code": 1},
        {"do": "crash"},
        {"do": "hang"},
    ):
        result = graded(backend, [TESTS, report_step("t1"), step])
        expect(result.reason is ExitReason.GRADER_FAILED and bool(result.detail), (step, result))


@promise("grader-talks-nonsense", "Scores and frames that may not be are never a grade.")
def _(backend: SandboxBackend) -> None:
    nonsense: list[list[dict[str, Any]]] = [
        [TESTS, report_step("t9")],
        [TESTS, report_step("t1", 2)],
        [TESTS, report_step("t1", -1)],
        [TESTS, report_step("t1", float("nan"))],
        [TESTS, report_step("t1", 10**400)],
        [TESTS, report_step("t1", True)],
        [TESTS, report_step("t1", "1")],
        [TESTS, report_step("t1"), report_step("t1")],
        [TESTS, DONE],
        [DONE],
        [TESTS, {"do": "ended", "how": "finished"}],
        [{"do": "raw", "hex": "ffffffff00"}],
        [{"do": "raw", "hex": "000000026869"}],
        [{"do": "raw", "hex": (200_000).to_bytes(4, "big").hex() + "5b" * 200_000}],
        [TESTS, {"do": "flood", "frame": {"type": "report", "id": "t1", "score": 1}}],
    ]
    for script in nonsense:
        result = graded(backend, script)
        expect(result.reason is ExitReason.GRADER_FAILED, (script[-1], result))
        expect(bool(result.detail), (script[-1], result))


@promise("grader-missing", "A grader that is not there, or has no entry point, is refused.")
def _(backend: SandboxBackend) -> None:
    with tempfile.TemporaryDirectory(prefix="xqueue-conformance-") as folder:
        for path in (Path(folder), Path(folder, "missing")):
            request = probe_request([DONE], grader=DirectoryGrader(path=path))
            try:
                result = backend.run(request)
            except GraderNotUsable:
                continue
            raise AssertionError(f"{path.name} was run: {result}")
