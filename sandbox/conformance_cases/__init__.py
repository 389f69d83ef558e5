"""The cases of the conformance suite: honest, hostile and broken programs, one promise each."""

from __future__ import annotations

from sandbox.conformance import Case
from sandbox.conformance_cases import (
    exhausting,
    failing_graders,
    forging,
    host_protections,
    outliving,
    surroundings,
)

CASES: tuple[Case, ...] = (
    *surroundings.CASES,
    *forging.CASES,
    *exhausting.CASES,
    *outliving.CASES,
    *failing_graders.CASES,
    *host_protections.CASES,
)
