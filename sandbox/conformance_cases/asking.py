"""How the cases of the conformance suite ask a backend, and how they become cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.backend import SandboxBackend
from sandbox.conformance import Case
from sandbox.probe.script import (
    DONE,
    TESTS,
    Ran,
    one_run,
    probe_request,
    ran,
    report_step,
    run_step,
)
from sandbox.run import MIB, DirectoryGrader, ExitReason, Limits, RunResult

TryIt = Callable[[SandboxBackend], None]
QUICK = Limits(wall_s=12, learner_wall_s=3, learner_cpu_s=2, memory_bytes=128 * MIB)


def promising(cases: list[Case]) -> Callable[..., Callable[[TryIt], TryIt]]:
    """A decorator that adds what it decorates to these cases."""

    def promise(
        name: str, sentence: str, *, required: bool = True, under_gvisor: str = ""
    ) -> Callable[[TryIt], TryIt]:
        def register(try_it: TryIt) -> TryIt:
            case = Case(
                name=name,
                promise=sentence,
                try_it=try_it,
                required=required,
                under_gvisor=under_gvisor,
            )
            cases.append(case)
            return try_it

        return register

    return promise


def expect(holds: bool, otherwise: object) -> None:
    if not holds:
        raise AssertionError(f"{otherwise!r:.1500}")


def printing(code: str) -> str:
    return f"{code}\nimport json, sys\nsys.stdout.write(json.dumps(answer))\n"


def learner(backend: SandboxBackend, code: str, limits: Limits = QUICK, **step: Any) -> Ran:
    result = backend.run(probe_request(one_run(**step), code, limits=limits))
    expect(result.reason is ExitReason.COMPLETED, result)
    return ran(result.reports[0])


def answer_of(backend: SandboxBackend, code: str, limits: Limits = QUICK) -> Any:
    """What `code` left in its variable `answer`."""
    said = learner(backend, printing(code), limits)
    expect((said.reason, said.code) == ("exited", 0), said)
    return json.loads(said.stdout)


def graded(backend: SandboxBackend, script: list[dict[str, Any]]) -> RunResult:
    return backend.run(probe_request(script, limits=Limits(wall_s=2.0)))


def stopped_and_next_runs(
    backend: SandboxBackend, code: str, reasons: set[str], **step: Any
) -> Ran:
    honest = run_step("t2", argv=["python3", "-I", "-S", "-c", "print('next')"])
    script = [TESTS, run_step("t1", **step), honest, report_step("t3"), DONE]
    result = backend.run(probe_request(script, code, limits=QUICK))
    expect(result.reason is ExitReason.COMPLETED, result)
    stopped, following = ran(result.reports[0]), ran(result.reports[1])
    expect(stopped.reason in reasons, stopped)
    expect(following.stdout == "next\n", following)
    return stopped


def probe_with_secret(folder: Path) -> DirectoryGrader:
    (folder / "grade.py").write_text((Path(__file__).parents[1] / "probe" / "grade.py").read_text())
    (folder / "secret.txt").write_text("XQ-THE-ANSWER")
    return DirectoryGrader(path=folder)
