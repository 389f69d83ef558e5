"""`grader-worker doctor`: whether this host can run graders, and what to do if not."""

from __future__ import annotations

import json
import sys
from contextlib import closing

import click

from grader_worker.sandboxd.backends import BACKENDS, open_backend
from sandbox.backend import BackendDescription, BackendHealth


@click.command()
@click.option("--backend", type=click.Choice(BACKENDS), required=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(backend: str, as_json: bool) -> None:
    """Run a trivial program in the sandbox; say what fails and which limits are missing.

    Ends with 0 when graders can run here, 1 when not. `sandbox-check` tries every protection.
    """
    with closing(open_backend(backend)) as opened:
        health, described = opened.check(), opened.describe()
    click.echo(_as_json(health, described) if as_json else _as_lines(health, described))
    if not health.healthy:
        sys.exit(1)


def _as_json(health: BackendHealth, described: BackendDescription) -> str:
    return json.dumps(
        {
            "backend": described.name,
            "version": described.version,
            "healthy": health.healthy,
            "problems": list(health.problems),
            "unenforced": list(described.unenforced),
        }
    )


def _as_lines(health: BackendHealth, described: BackendDescription) -> str:
    state = "ok  " if health.healthy else "fail"
    lines = [f"{state} {described.name} {described.version}"]
    lines += [f"fail {problem}" for problem in health.problems]
    lines += [f"warn {sentence}" for sentence in described.unenforced]
    return "\n".join(lines)
