"""What the kernel could be kept busy with on a busy host, long after its run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sandbox.backend import SandboxBackend
from sandbox.conformance import CaseOutcome
from sandbox.hostile.bench import open_bench
from sandbox.hostile.case import Engine
from sandbox.hostile.table import CASES
from sandbox.hostile.trying import try_cases
from tests.support.together import AT_ONCE

(DEEP_FOLDERS,) = [case for case in CASES if case.name == "deep-folders"]
TIMES = 6


@pytest.fixture
def _busy_neighbours() -> Iterator[None]:
    """Twice as many as there are processors: the kernel's own work is interrupted all the time."""
    with ExitStack() as neighbours:
        for _ in range(2 * (os.cpu_count() or 1)):
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            neighbours.enter_context(busy)
            neighbours.callback(busy.kill)
        yield


@pytest.mark.usefixtures("_busy_neighbours")
def test_deep_folders_are_gone_for_the_next_program_and_the_next_run(
    bubblewrap_backend: SandboxBackend,
) -> None:
    with open_bench(bubblewrap_backend, Engine.BUBBLEWRAP) as bench:
        results = list(try_cases(bench, [DEEP_FOLDERS] * TIMES, at_once=AT_ONCE))
    assert [result.outcome for result in results] == [CaseOutcome.PASSED] * TIMES, [
        result.detail for result in results
    ]
    bubblewrap_backend.settle()
