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


class CaseOutcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_ENFORCED = "not-enforced"
    """Missing on this host, and known to be: a protection that is not required of a backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One promise; `try_it` raises AssertionError, saying what happened instead, if broken."""

    name: str
    promise: str
    try_it: Callable[[SandboxBackend], None]
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    name: str
    promise: str
    outcome: CaseOutcome
    detail: str
    took_ms: float


def run_conformance(backend: SandboxBackend, cases: Sequence[Case]) -> Iterator[CaseResult]:
    """Try the cases one after the other, giving each result as it comes.

    A backend that raises SandboxUnavailable in a case has failed that case.
    """
    for case in cases:
        started_at = time.monotonic()
        outcome, detail = _try(case, backend)
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
