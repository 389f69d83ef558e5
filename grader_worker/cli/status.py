"""`grader-worker status`: who works on this host, and on what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from grader_worker.cli.control_option import CONTROL_OPTION, control_client
from grader_worker.errors import ControlUnavailable

_ROW = "{:<24} {:>8} {:<24} {:<9} {:>12} {:>9}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@CONTROL_OPTION
def status(as_json: bool, control: Path | None) -> None:
    """List the workers of the `grader-worker run` on this host."""
    try:
        found = control_client(control).status()
    except ControlUnavailable as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(found) if as_json else _as_table(found))


def _as_table(found: Mapping[str, Any]) -> str:
    wanted = ", ".join(f"{pool['name']} {pool['wanted']}" for pool in found["pools"])
    lines = [f"wanted: {wanted}" + (" (ending)" if found["ending"] else "")]
    lines.append(_ROW.format("WORKER", "PID", "QUEUE", "STATE", "SUBMISSION", "SINCE"))
    for worker in found["workers"]:
        submission = "" if worker["submission_id"] is None else worker["submission_id"]
        lines.append(
            _ROW.format(
                worker["name"],
                worker["pid"],
                worker["queue"],
                worker["state"],
                submission,
                f"{worker['since_s']:.0f} s",
            )
        )
    return "\n".join(lines)
