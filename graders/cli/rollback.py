"""`graders rollback`: another version, from the next submission on."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from graders.cli import options
from graders.errors import ServerRefused


@click.command(name="rollback")
@click.argument("name")
@click.argument("version", type=click.IntRange(1), required=False)
@click.option("--queue", required=True)
@options.server
def command(
    name: str, version: int | None, queue: str, server_url: str | None, token_file: Path | None
) -> None:
    """Use VERSION of the grader NAME, or else the one before the present one.

    Submissions that are being graded finish with the version they began with.
    """
    client = options.open_server(server_url, token_file)
    path = f"/api/v1/graders/{quote(queue, safe='')}/{quote(name, safe='')}"
    version = version or _previous(client.request("GET", path))
    active = client.request("POST", f"{path}/activate", json={"version": version})
    click.echo(f"{name} on queue {queue} is graded by version {active['version']} now.")


def _previous(grader: dict[str, Any]) -> int:
    active = grader["active_version"]
    older = [each["version"] for each in grader["versions"] if active and each["version"] < active]
    if not older:
        raise ServerRefused(f"{grader['name']} has no version before {active}; name one")
    return int(max(older))
