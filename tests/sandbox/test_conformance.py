"""Every real backend keeps every promise of the conformance suite."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from sandbox.conformance import GVISOR, CaseOutcome, run_conformance
from sandbox.conformance_cases import CASES
from sandbox.probe.aimed import AimedBackend

TOP = Path(__file__).parents[2]
NOBODY = 65534
AS_NOBODY = """
import json, sys
sys.path.insert(0, sys.argv[1])
from sandbox.backends.bubblewrap import BubblewrapBackend
from sandbox.conformance import run_conformance
from sandbox.conformance_cases import CASES
backend = BubblewrapBackend()
results = [[case.name, case.outcome, case.detail] for case in run_conformance(backend, CASES)]
print(json.dumps([backend.describe().unenforced, results]))
"""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_promise_is_kept(any_backend, case):
    runtime = any_backend.runtime if isinstance(any_backend, AimedBackend) else None
    (result,) = run_conformance(any_backend, [case], runtime=runtime)
    allowed = {CaseOutcome.PASSED}
    if not case.required:
        allowed.add(CaseOutcome.NOT_ENFORCED)
    if runtime == GVISOR and case.under_gvisor:
        allowed.add(CaseOutcome.DEVIATES)
    assert result.outcome in allowed, result.detail


def test_docker_limits_the_number_of_files(docker_backend):
    results = run_conformance(docker_backend, [c for c in CASES if c.name == "file-count-limit"])
    assert [result.outcome for result in results] == [CaseOutcome.PASSED]


def test_a_case_that_breaks_is_reported_with_what_happened_instead(bubblewrap_backend):
    def broken(_):
        raise AssertionError("it burned")

    from sandbox.conformance import Case

    case = Case(name="x", promise="It does not burn.", try_it=broken)
    (result,) = run_conformance(bubblewrap_backend, [case])
    assert (result.outcome, result.detail) == (CaseOutcome.FAILED, "it burned")


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are the unprivileged ones already")
def test_bubblewrap_keeps_the_promises_without_root_and_says_what_is_missing(bubblewrap_backend):
    done = subprocess.run(
        ["/usr/bin/python3", "-B", "-c", AS_NOBODY, str(TOP)],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        env={"PATH": os.environ["PATH"]},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    unenforced, results = json.loads(done.stdout)
    assert [result for result in results if result[1] == "failed"] == []
    assert len(results) == len(CASES)
    assert any("memory" in sentence for sentence in unenforced)
    assert any("host uid" in sentence for sentence in unenforced)
