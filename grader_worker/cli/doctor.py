"""`grader-worker doctor`: whether this host can run graders, and what to do if not."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import replace

import click

from grader_worker.sandboxd.backends import BACKENDS, open_backend
from sandbox.backend import BackendDescription, BackendHealth, SandboxBackend
from sandbox.canary import run_canary


@click.command()
@click.option("--backend", type=click.Choice(BACKENDS), required=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(backend: str, as_json: bool) -> None:
    """Run a trivial program and the canary in the sandbox; say what fails and what is not limited.

    Ends with 0 when graders can run here, 1 when not. `sandbox-check` tries every protection.
    """
    with closing(open_backend(backend)) as opened:
        health, described = _examined(opened), opened.describe()
    click.echo(_as_json(health, described) if as_json else _as_lines(health, described))
    if not health.healthy:
        sys.exit(1)


def _examined(backend: SandboxBackend) -> BackendHealth:
    """A backend that cannot even run a trivial program is asked no more."""
    health = backend.check()
    if not health.healthy:
        return health
    canary = run_canary(backend)
    problems = tuple(f"canary: {problem}" for problem in canary.problems)
    return replace(health, healthy=canary.lives, problems=problems, canary=str(canary))


def _as_json(health: BackendHealth, described: BackendDescription) -> str:
    return json.dumps(
        {
            "backend": described.name,
            "version": described.version,
            "healthy": health.healthy,
            "problems": list(health.problems),
            "canary": health.canary,
            "unenforced": list(described.unenforced),
        }
    )


def _as_lines(health: BackendHealth, described: BackendDescription) -> str:
    state = "ok  " if health.healthy else "fail"
    lines = [f"{state} {described.name} {described.version}"]
    lines += [f"fail {problem}" for problem in health.problems]
    if health.healthy:
        lines.append(f"ok   the canary {health.canary}")
    lines += [f"warn {sentence}" for sentence in described.unenforced]
    return "\n".join(lines)
