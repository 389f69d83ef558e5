"""`graders versions`: what is published, and whether the grading hosts are ready for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import click

from graders.cli import options
from graders.cli.terminal import one_line, say, when

OLD_DAYS = 90
"""A base image that old lacks a season of its distribution's security fixes."""


@click.command(name="versions")
@click.argument("name", required=False)
@click.option("--queue", required=True)
@options.server
def command(name: str | None, queue: str, server_url: str | None, token_file: Path | None) -> None:
    """List the graders of a queue, or the versions of the grader NAME."""
    client = options.open_server(server_url, token_file)
    if name is None:
        listed = client.request("GET", "/api/v1/graders", params={"queue": queue})["graders"]
        for grader in listed:
            say(_grader_line(grader))
        if not listed:
            click.echo(f"Queue {queue} has no published grader.")
        return
    path = f"/api/v1/graders/{quote(queue, safe='')}/{quote(name, safe='')}"
    grader = client.request("GET", path)
    for version in grader["versions"]:
        say(_version_line(version))
    for host in grader["readiness"]:
        say(_host_line(host))


def _grader_line(grader: dict[str, object]) -> str:
    marks = ["default"] if grader["default"] else []
    marks += ["FORGEABLE"] if grader["forgeable"] else []
    active = grader["active_version"] or "none"
    hosts = f"{grader['hosts_ready']} ready, {grader['hosts_not_ready']} not"
    note = f"  ({', '.join(marks)})" if marks else ""
    image = image_age(grader.get("image_created"))
    latest = grader["latest_version"]
    return f"{grader['name']}  version {active} of {latest}  hosts: {hosts}{image}{note}"


def _version_line(version: dict[str, object]) -> str:
    mark = "*" if version["active"] else " "
    what = version["digest"] or version["image"]
    who = f"{when(str(version['published_at']))}  {version['published_by']}"
    forgeable = "  FORGEABLE" if version["forgeable"] else ""
    return f"{mark} {version['version']}  {who}  {what}{forgeable}"


def _host_line(host: dict[str, object]) -> str:
    state = "ready" if host["ready"] else f"NOT READY: {one_line(host['problem'])}"
    image = image_age(host.get("image_created"))
    return f"  host {one_line(host['host'])}: version {host['version']} {state}{image}"


def image_age(created: object, *, now: datetime | None = None) -> str:
    """Servers of an earlier version do not say."""
    try:
        made_at = datetime.fromisoformat(str(created))
        days = ((now or datetime.now(UTC)) - made_at).days
    except (ValueError, TypeError):  # TypeError: without an offset
        return ""
    warning = f", older than {OLD_DAYS} days: BUILD IT ANEW" if days > OLD_DAYS else ""
    return f"  base image of {days} days{warning}"
