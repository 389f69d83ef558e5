"""Payloads for the probe grader, and what its reports say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from sandbox.backend import BackendHealth
from sandbox.errors import SandboxError
from sandbox.run import DirectoryGrader, ExitReason, Limits, RunRequest, RunResult, TestReport
from sandbox.supervisor.frames import unpack_bytes

PROBE_GRADER = DirectoryGrader(path=Path(__file__).parent)
TESTS: dict[str, Any] = {
    "do": "tests",
    "tests": [{"id": f"t{number}", "title": f"test {number}", "max": 1} for number in range(1, 4)],
}
"""t1, t2 and t3, a point each."""
DONE: dict[str, Any] = {"do": "done"}


class Runs(Protocol):
    """What a trivial run needs of a backend."""

    def run(self, request: RunRequest) -> RunResult: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One execution of the learner's program as the probe reported it."""

    reason: str
    code: int
    stdout: str
    stderr: str
    wall_ms: float
    files: Mapping[str, bytes]
    """What was collected of its folder, if it is small."""
    file_sizes: Mapping[str, int]
    """Of all that was collected, in bytes and about."""


def run_step(test_id: str = "t1", **frame: Any) -> dict[str, Any]:
    return {"do": "run", "as": test_id, **frame}


def report_step(test_id: str, score: object = 1, **frame: Any) -> dict[str, Any]:
    return {"do": "report", "id": test_id, "score": score, **frame}


def one_run(**frame: Any) -> list[dict[str, Any]]:
    """A whole script around one execution: the other two tests are reported after it."""
    return [TESTS, run_step("t1", **frame), report_step("t2"), report_step("t3"), DONE]


def probe_request(
    script: Sequence[dict[str, Any]],
    response: str = "",
    *,
    limits: Limits | None = None,
    grader: DirectoryGrader = PROBE_GRADER,
) -> RunRequest:
    return RunRequest(
        run_id=f"probe-{uuid4().hex[:12]}",
        grader=grader,
        job={"response": response, "payload": json.dumps(list(script)), "files": {}, "seed": 0},
        limits=limits or Limits(wall_s=20),
    )


def ran(report: TestReport) -> Ran:
    """What a `run` step reported."""
    frame = json.loads(report.output)
    return Ran(
        reason=frame["reason"],
        code=frame["code"],
        stdout=unpack_bytes(frame["stdout"]).decode(errors="replace"),
        stderr=unpack_bytes(frame["stderr"]).decode(errors="replace"),
        wall_ms=frame["wall_ms"],
        files={name: unpack_bytes(content) for name, content in frame.get("files", {}).items()},
        file_sizes=frame.get("file_sizes", {}),
    )


def try_a_trivial_run(backend: Runs) -> BackendHealth:
    """One program that prints, for `check()`; never raises.

    Anything less (asking a version, listing containers) has answered "fine" on hosts that could
    not start a single program.
    """
    try:
        result = backend.run(probe_request(one_run(), "print(1)"))
    except SandboxError as error:
        return BackendHealth(healthy=False, problems=(str(error),))
    problem = _problem(result)
    return BackendHealth(healthy=problem is None, problems=(problem,) if problem else ())


def _problem(result: RunResult) -> str | None:
    if result.reason is not ExitReason.COMPLETED:
        return f"a trivial run ended as {result.reason}: {result.detail} {result.grader_log}"
    said = ran(result.reports[0])
    return None if said.stdout == "1\n" else f"a trivial program failed: {said}"
