"""Case 81: names of learners' uploads that mean something to some program."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.probe.script import DONE, TESTS, probe_request, report_step
from sandbox.run import ExitReason

if TYPE_CHECKING:
    from sandbox.hostile.bench import Bench

NAMES = (
    *(
        "-rf",
        "con",
        "..",
        ".",
        "a/b",
        "../../etc/passwd",
        "/etc/passwd",
        "grade.py",
        "a\nb",
        "x" * 255,
    ),
    *("e\u0301.py", "\u00e9.py", "\u202egpj.exe", "~", "$(id)", "*"),
)


def every_name_reaches_the_grader(bench: Bench) -> None:
    """Raises AssertionError when a name is lost, merged with its twin, or breaks the run."""
    script = [TESTS, {"do": "names", "as": "t1"}, report_step("t2"), report_step("t3"), DONE]
    request = probe_request(script)
    job = {**request.job, "files": dict.fromkeys(NAMES, "eA==")}
    result = bench.backend.run(replace(request, job=job))
    assert result.reason is ExitReason.COMPLETED, result
    assert json.loads(result.reports[0].output) == sorted(NAMES), result.reports[0].output
