"""A few hostile programs and an honest one in a single run: whether this sandbox still holds.

Cheap enough for the start of a worker and every hour after it. What it cannot tell is in the whole
hostile suite; what it can is that answers, grader, network and kernel are out of reach right now.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox.backend import SandboxBackend
from sandbox.errors import SandboxError
from sandbox.hostile.bench import open_bench
from sandbox.hostile.case import Engine, Expected, HostileCase, Program, Submission
from sandbox.hostile.engines import RUNSC
from sandbox.hostile.table import CANARY_NUMBERS, case_of
from sandbox.hostile.trying import TookTooLong, judge_attack, judge_run
from sandbox.probe.aimed import AimedBackend
from sandbox.run import Isolation, Limits


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryResult:
    """`problems` are sentences for an operator, empty when the canary lives."""

    at: datetime
    took_ms: float
    problems: tuple[str, ...] = ()

    @property
    def lives(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        when = self.at.isoformat(timespec="seconds")
        if self.lives:
            return f"passed {len(CANARY_NUMBERS)} attacks at {when} in {self.took_ms:.0f} ms"
        return f"failed at {when}: {'; '.join(self.problems)}"


def canary_cases() -> tuple[HostileCase, ...]:
    return tuple(case_of(number) for number in CANARY_NUMBERS)


def run_canary(
    backend: SandboxBackend,
    *,
    isolation: Isolation | None = None,
    runtime: str | None = None,
    limits: Limits | None = None,
    now: Callable[[], datetime] = _now,
) -> CanaryResult:
    """One submission with all of it; never raises.

    With the default limits a warm pool for graders that set none serves it as well.
    """
    started_at = time.monotonic()
    aimed = AimedBackend(backend, isolation=isolation, runtime=runtime)
    engine = Engine.GVISOR if runtime == RUNSC else Engine.SPLIT_UID
    try:
        problems = _problems(aimed, engine, limits or Limits())
    except SandboxError as error:
        problems = (f"the backend failed: {error}",)
    took_ms = (time.monotonic() - started_at) * 1000
    return CanaryResult(at=now(), took_ms=round(took_ms, 1), problems=problems)


def _problems(backend: SandboxBackend, engine: Engine, limits: Limits) -> tuple[str, ...]:
    """`engine` matters for what gVisor does otherwise; of these, all others expect the same."""
    cases = canary_cases()
    programs = [_program(case) for case in cases]
    with open_bench(backend, engine) as bench:
        result = backend.run(bench.request_for(programs, limits))
    found = []
    try:
        reports = judge_run(result, Expected())
    except AssertionError as broken:
        return (str(broken),)
    for number, (case, program) in enumerate(zip(cases, programs, strict=True), 1):
        try:
            expected = case.expected_on(engine)
            assert expected is not None, "the canary has no case that is not tried somewhere"
            judge_attack(reports[f"attack-{number}"], program, expected)
        except (AssertionError, TookTooLong) as broken:
            found.append(f"{case.number} {case.name}: {broken}")
    return tuple(found)


def _program(case: HostileCase) -> Program:
    assert isinstance(case.plan, Submission)
    (program,) = case.plan.programs
    return program
