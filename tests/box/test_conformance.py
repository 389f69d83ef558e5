"""The box engine keeps every promise of the conformance suite."""

import pytest

from sandbox.conformance import CaseOutcome, run_conformance
from sandbox.conformance_cases import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_promise_is_kept(boxes, case):
    (result,) = run_conformance(boxes, [case])
    allowed = {CaseOutcome.PASSED}
    if not case.required:
        allowed.add(CaseOutcome.NOT_ENFORCED)
    assert result.outcome in allowed, result.detail
