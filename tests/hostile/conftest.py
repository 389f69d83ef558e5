"""All cases of an engine are tried together, some at a time; a test looks at its own result."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sandbox.backend import SandboxBackend
from sandbox.checking import nothing_left
from sandbox.conformance import CaseResult
from sandbox.hostile.bench import open_bench
from sandbox.hostile.case import DOCKER, Engine, HostileCase
from sandbox.hostile.leftovers import look_around
from sandbox.hostile.trying import try_cases
from sandbox.probe.aimed import AimedBackend
from sandbox.run import RunRequest, RunResult
from tests.support.sandboxes import ENGINES, backend_of
from tests.support.together import AT_ONCE, wanted_cases

SLOW = {Engine.GVISOR}
SUBSET = frozenset(
    "1 2 5 14 16 20 26 27 31 34 35 38 40 43 44 48 50 56 58 62 67 71 79 83".split()  # noqa: SIM905
)
"""What is tried on a slow engine; `sandbox-check --suite hostile` tries the whole table there."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Takes what a slow engine is spared out of the session."""
    items[:] = [item for item in items if not _is_spared(item)]


def _is_spared(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return False
    params = item.callspec.params
    case = params.get("case")
    if not isinstance(case, HostileCase) or params.get("tried") not in ENGINES:
        return False
    return ENGINES[params["tried"]][0] in SLOW and case.number not in SUBSET


class RecordingBackend(AimedBackend):
    """Keeps what came of every run."""

    def __init__(self, backend: SandboxBackend) -> None:
        super().__init__(backend, isolation=None, runtime=None)
        self._recorded = backend
        self.results: list[RunResult] = []

    def run(self, request: RunRequest) -> RunResult:
        result = self._recorded.run(request)
        self.results.append(result)
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of the cases on one engine."""

    engine: Engine
    results: dict[str, CaseResult]
    left: CaseResult
    runs: list[RunResult]


@pytest.fixture(scope="module", params=ENGINES)
def tried(request: pytest.FixtureRequest) -> Tried:
    opened, row = backend_of(request, request.param)
    backend = RecordingBackend(opened)
    before = look_around(engine=row in DOCKER)
    with open_bench(backend, row) as bench:
        cases = wanted_cases(request, "case")
        results = {case.number: case for case in try_cases(bench, cases, at_once=AT_ONCE)}
    opened.settle()
    if row is Engine.BOX:
        # Slots live as long as their backend, which other tests use too.
        left = nothing_left(before, engine=False)
    else:
        left = nothing_left(before, engine=row in DOCKER)
    return Tried(engine=row, results=results, left=left, runs=backend.results)
