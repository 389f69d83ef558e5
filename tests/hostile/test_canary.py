"""The canary passes where the sandbox holds, and names what got out where it does not."""

import json
from dataclasses import replace

import pytest

from sandbox.backends.fake import FakeBackend
from sandbox.canary import canary_cases, run_canary
from sandbox.errors import SandboxUnavailable
from sandbox.run import ExitReason, Isolation, RunResult
from sandbox.run import TestReport as Report
from sandbox.supervisor.frames import pack_bytes
from tests.support.sandboxes import ENGINES, backend_of

IMPORTED = json.dumps({"file": "/usr/lib/colorsys.py", "path": []})


def ran(stdout):
    frame = {"reason": "exited", "code": 0, "stdout": pack_bytes(stdout.encode()), "stderr": ""}
    return json.dumps(frame | {"wall_ms": 1.0})


def all_quiet(*loud):
    """A run in which nothing was gained but in the attacks at these places."""
    attacks = [
        "GAINED a way out\nATTACKED\n" if number in loud else "ATTACKED\n"
        for number, _ in enumerate(canary_cases())
    ]
    outputs = {
        "before": (1, ""),
        **{f"attack-{number}": (0, ran(text)) for number, text in enumerate(attacks, 1)},
        "next": (1, ran("clean\n")),
        "after": (0, IMPORTED),
    }
    return RunResult(
        reason=ExitReason.COMPLETED,
        reports=tuple(
            Report(test_id=name, title=name, score=score, max_score=1, output=output)
            for name, (score, output) in outputs.items()
        ),
        declared_max=9,
    )


@pytest.mark.parametrize("name", ENGINES)
def test_it_passes_on_every_engine(request, name):
    _, backend_name, isolation, runtime = ENGINES[name]
    backend_of(request, name)  # skips what is not here
    backend = request.getfixturevalue(f"{backend_name}_backend")
    result = run_canary(backend, isolation=isolation, runtime=runtime)
    assert result.lives, result
    assert str(result).startswith("passed 6 attacks")


def test_it_lives_where_nothing_was_gained():
    assert run_canary(FakeBackend([all_quiet()])).lives


def test_it_names_each_attack_that_gained_something():
    result = run_canary(FakeBackend([all_quiet(2, 3)]))
    assert not result.lives
    assert [problem.split(":")[0] for problem in result.problems] == ["48 network", "50 vsock"]


def test_a_next_program_that_is_not_honoured_fails_it():
    broken = all_quiet()
    reports = tuple(
        replace(report, output=ran("LEFT files\n")) if report.test_id == "next" else report
        for report in broken.reports
    )
    assert not run_canary(FakeBackend([replace(broken, reports=reports)])).lives


def test_a_backend_that_is_away_fails_it_and_raises_nothing():
    result = run_canary(FakeBackend([SandboxUnavailable("no daemon")]))
    assert result.problems == ("the backend failed: no daemon",)


def test_it_asks_for_the_isolation_that_is_to_be_tried():
    backend = FakeBackend([all_quiet()])
    run_canary(backend, isolation=Isolation.SPLIT_CONTAINER, runtime="runsc")
    (request,) = backend.requests
    assert (request.isolation, request.runtime) == (Isolation.SPLIT_CONTAINER, "runsc")
