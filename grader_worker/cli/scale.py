"""`grader-worker scale`: more or fewer workers, while they run."""

from __future__ import annotations

from pathlib import Path

import click

from grader_worker.cli.control_option import CONTROL_OPTION, control_client
from grader_worker.errors import ControlUnavailable

AUTO = "auto"


@click.command()
@click.argument("counts", metavar="QUEUE=N...", nargs=-1, required=True)
@CONTROL_OPTION
def scale(counts: tuple[str, ...], control: Path | None) -> None:
    """Have N workers for a queue or pool; 0 drains it, `auto` leaves it to the settings again.

    New ones start at once. Those too many end: idle ones first, one that grades after its grading.
    """
    wanted = dict(map(_parse, counts))
    try:
        status = control_client(control).scale(wanted)
    except ControlUnavailable as error:
        raise click.ClickException(str(error)) from error
    for pool in status["pools"]:
        click.echo(f"{pool['name']} {pool['wanted']}")


def _parse(text: str) -> tuple[str, int | None]:
    name, equals, count = text.rpartition("=")
    if not (equals and name and (count == AUTO or (count.isascii() and count.isdecimal()))):
        raise click.UsageError(f"{text!r}: expected QUEUE=N or QUEUE=auto")
    return name, None if count == AUTO else int(count)
