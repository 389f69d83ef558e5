"""What every real backend must hold against hostile code, as cases that run for real.

Part of the product: `sandbox-check` lets an operator ask it of a host, the tests ask it of each
backend. The cases are in `conformance_cases`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sandbox.backend import SandboxBackend
from sandbox.errors import SandboxUnavailable

GVISOR = "runsc"


class CaseOutcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_ENFORCED = "not-enforced"
    """Missing on this host, and known to be: a protection that is not required of a backend."""
    DEVIATES = "deviates"
    """Another outcome than on other engines, which is known and accepted; `detail` says why."""
    NOT_TRIED = "not-tried"
    """It cannot be tried here; `detail` says why."""
    ELSEWHERE = "elsewhere"
    """Not decided by the sandbox; `detail` names what decides it and what proves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One promise; `try_it` raises AssertionError, saying what happened instead, if broken."""

    name: str
    promise: str
    try_it: Callable[[SandboxBackend], None]
    required: bool = True
    under_gvisor: str = ""
    """Why another outcome under gVisor, whose own kernel answers, is accepted; empty: it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    name: str
    promise: str
    outcome: CaseOutcome
    detail: str
    took_ms: float
    number: str = ""
    """In the list of hostile submissions; a case of the conformance suite has none."""
    group: str = ""


def run_conformance(
    backend: SandboxBackend, cases: Sequence[Case], *, runtime: str | None = None
) -> Iterator[CaseResult]:
    """Try the cases one after the other, giving each result as it comes.

    `runtime` is what the backend is made to use, `runsc` for gVisor. A backend that raises
    SandboxUnavailable in a case has failed that case.
    """
    for case in cases:
        started_at = time.monotonic()
        outcome, detail = _try(case, backend)
        if outcome is CaseOutcome.FAILED and runtime == GVISOR and case.under_gvisor:
            outcome, detail = CaseOutcome.DEVIATES, f"{case.under_gvisor} ({detail})"
        took_ms = (time.monotonic() - started_at) * 1000
        yield CaseResult(
            name=case.name,
            promise=case.promise,
            outcome=outcome,
            detail=detail,
            took_ms=round(took_ms, 1),
        )


def _try(case: Case, backend: SandboxBackend) -> tuple[CaseOutcome, str]:
    try:
        case.try_it(backend)
    except AssertionError as broken:
        outcome = CaseOutcome.FAILED if case.required else CaseOutcome.NOT_ENFORCED
        return outcome, str(broken)
    except SandboxUnavailable as error:
        return CaseOutcome.FAILED, f"the backend failed: {error}"
    return CaseOutcome.PASSED, ""
