"""Runs a suite as a whole: its cases, and then what it left behind."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing

from sandbox.backend import SandboxBackend
from sandbox.canary import run_canary
from sandbox.conformance import GVISOR, CaseOutcome, CaseResult, run_conformance
from sandbox.conformance_cases import CASES as PROMISES
from sandbox.hostile.bench import open_bench
from sandbox.hostile.case import DOCKER, Engine
from sandbox.hostile.leftovers import Snapshot, left_since, look_around
from sandbox.hostile.table import CASES as ATTACKS
from sandbox.hostile.trying import try_cases
from sandbox.run import MIB

CONFORMANCE, HOSTILE, CANARY = SUITES = ("conformance", "hostile", "canary")
MAX_GROWTH_BYTES = 128 * MIB
"""Of the largest memory this process ever had. A hostile program prints gigabytes."""


def try_suite(
    suite: str,
    opened: Callable[[], SandboxBackend],
    engine: Engine,
    wanted: Collection[str],
    at_once: int,
) -> Iterator[CaseResult]:
    """Each result as it comes; without `wanted` (names of cases) all cases are tried.

    Each suite has a backend of its own, because what a pool or slots keep is theirs until they are
    closed. The last two results of the hostile suite are about what it left.
    """
    with_engine = engine in DOCKER
    runtime = GVISOR if engine is Engine.GVISOR else None
    before, peak_before = look_around(engine=with_engine), _peak_bytes()
    with closing(opened()) as backend:
        match suite:
            case "conformance":
                promises = [case for case in PROMISES if _is_in(wanted, case.name)]
                yield from run_conformance(backend, promises, runtime=runtime)
            case "canary":
                yield _canary(backend, runtime)
            case _:
                yield from _hostile(backend, engine, wanted, at_once)
    if suite == HOSTILE:
        yield nothing_left(before, engine=with_engine)
        yield _memory_flat(peak_before)


def _hostile(
    backend: SandboxBackend, engine: Engine, wanted: Collection[str], at_once: int
) -> Iterator[CaseResult]:
    with open_bench(backend, engine) as bench:
        cases = [case for case in ATTACKS if _is_in(wanted, case.name)]
        yield from try_cases(bench, cases, at_once=at_once)


def nothing_left(before: Snapshot, *, engine: bool) -> CaseResult:
    """No process, container, volume, network, group, mount, file, key or System V object."""
    started_at = time.monotonic()
    left = left_since(before, engine=engine)
    return CaseResult(
        name="nothing-left",
        promise="After the suite nothing of it is left on the host.",
        outcome=CaseOutcome.FAILED if left else CaseOutcome.PASSED,
        detail="; ".join(f"{kind}: {', '.join(sorted(names))}" for kind, names in left.items()),
        took_ms=round((time.monotonic() - started_at) * 1000, 1),
    )


def _memory_flat(peak_before: int) -> CaseResult:
    grown = _peak_bytes() - peak_before
    return CaseResult(
        name="worker-memory",
        promise="What hostile programs print does not fill the memory of whoever runs them.",
        outcome=CaseOutcome.PASSED if grown <= MAX_GROWTH_BYTES else CaseOutcome.FAILED,
        detail=f"the peak grew by {grown // MIB} MiB",
        took_ms=0.0,
    )


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _canary(backend: SandboxBackend, runtime: str | None) -> CaseResult:
    result = run_canary(backend, runtime=runtime)
    return CaseResult(
        name="canary",
        promise="What a worker tries at its start and each hour.",
        outcome=CaseOutcome.PASSED if result.lives else CaseOutcome.FAILED,
        detail="; ".join(result.problems),
        took_ms=result.took_ms,
    )


def _is_in(wanted: Collection[str], name: str) -> bool:
    return not wanted or name in wanted
