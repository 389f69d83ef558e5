"""`graders faults`: where one's graders failed, and which tests learners fail most."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from graders.cli import options
from graders.cli.terminal import one_line, say, when


@click.command(name="faults")
@click.argument("fault", type=int, required=False)
@click.option("--queue", help="The queue whose faults are listed.")
@click.option("--grader", help="Only those of this grader, and how often each of its tests fails.")
@options.server
def command(
    fault: int | None,
    queue: str | None,
    grader: str | None,
    server_url: str | None,
    token_file: Path | None,
) -> None:
    """List the kinds of faults of a queue's graders, or show the one numbered FAULT.

    A fault is the grader's, not the learner's: the submission is held without a grade.
    """
    client = options.open_server(server_url, token_file)
    if fault is not None:
        say(_shown(client.request("GET", f"/api/v1/faults/{fault}")))
        return
    if queue is None:
        raise click.UsageError("give the number of a fault, or --queue")
    asked = {"queue": queue} | ({"grader": grader} if grader else {})
    listed = client.request("GET", "/api/v1/faults", params=asked)["faults"]
    for each in listed:
        say(_line(each))
    if not listed:
        click.echo("No faults.")
    if grader:
        path = f"/api/v1/graders/{quote(queue, safe='')}/{quote(grader, safe='')}/tests"
        for test in client.request("GET", path)["tests"]:
            say(_test_line(test))


def _line(fault: dict[str, Any]) -> str:
    who = f"{fault['grader'] or '-'} version {fault['version'] or '-'}"
    times = f"{fault['count']} times  last {when(fault['last_at'])}"
    return f"{fault['id']}  {times}  {who}  {one_line(fault['signature'])}"


def _shown(fault: dict[str, Any]) -> str:
    held = [f"  submission {each['id']}: {each['state']}" for each in fault["submissions"]]
    return "\n".join([_line(fault), "", fault["detail"], "", "The latest submissions:", *held])


def _test_line(test: dict[str, Any]) -> str:
    return f"test {test['id']}: {test['failure_rate']:.0%} of {test['total']} did not pass"
