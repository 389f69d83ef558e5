"""`grader-worker` and its verbs."""

from __future__ import annotations

import click

from grader_worker.cli.doctor import doctor
from grader_worker.cli.poll import poll
from grader_worker.cli.run import run
from grader_worker.cli.sandboxd import sandboxd
from grader_worker.cli.scale import scale
from grader_worker.cli.status import status


@click.group()
def main() -> None:
    """Grade what an XQueue server hands out, in a sandbox."""


main.add_command(doctor)
main.add_command(poll)
main.add_command(run)
main.add_command(sandboxd)
main.add_command(scale)
main.add_command(status)
