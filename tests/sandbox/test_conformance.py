"""Every real backend keeps every promise of the conformance suite."""

import json
import os
import subprocess
from functools import partial
from pathlib import Path

import pytest

from sandbox.conformance import GVISOR, CaseOutcome, run_conformance
from sandbox.conformance_cases import CASES
from sandbox.probe.aimed import AimedBackend
from tests.support.sandboxes import ENGINES, backend_of
from tests.support.together import try_promise, try_together, wanted_cases

TOP = Path(__file__).parents[2]
NOBODY = 65534
AS_NOBODY = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
sys.path.insert(0, sys.argv[1])
from sandbox.backends.bubblewrap import BubblewrapBackend
from sandbox.conformance import run_conformance
from sandbox.conformance_cases import CASES
backend = BubblewrapBackend()
def tried(case):
    (result,) = run_conformance(backend, [case])
    return [result.name, result.outcome, result.detail]
with ThreadPoolExecutor(3) as pool:
    results = list(pool.map(tried, reversed(CASES)))
print(json.dumps([backend.describe().unenforced, results]))
"""


@pytest.fixture(scope="module", params=ENGINES)
def tried(request):
    """What came of each case on one engine, and the engine's runtime."""
    backend, _ = backend_of(request, request.param)
    runtime = backend.runtime if isinstance(backend, AimedBackend) else None
    # The last ones take longest.
    cases = reversed(wanted_cases(request, "case"))
    tries = {case.name: partial(try_promise, backend, runtime, case) for case in cases}
    return try_together(tries), runtime


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_promise_is_kept(tried, case):
    results, runtime = tried
    result = results[case.name].result()
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
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    unenforced, results = json.loads(done.stdout)
    assert [result for result in results if result[1] == "failed"] == []
    assert len(results) == len(CASES)
    assert ["file-count-limit", "passed"] in [result[:2] for result in results]
    assert any("memory" in sentence for sentence in unenforced)
    assert any("host uid" in sentence for sentence in unenforced)
