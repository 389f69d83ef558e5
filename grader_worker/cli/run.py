"""`grader-worker run`: woken through Redis and RQ."""

from __future__ import annotations

import click

from grader_worker.cli.assignment_options import AssignmentFlags, assignment_options
from grader_worker.event_log import configure_logging
from grader_worker.nudged import run_nudged
from grader_worker.sandboxd.client import SandboxdClient


@click.command()
@click.option(
    "--redis-url",
    envvar="XQUEUE_REDIS_URL",
    required=True,
    help="The Redis of the XQueue server; with a password in it, better as $XQUEUE_REDIS_URL.",
)
@assignment_options
def run(flags: AssignmentFlags, redis_url: str) -> None:
    """Like poll, but woken by the server's nudges; needs a running sandboxd on this host."""
    settings = flags.settings()
    configure_logging()
    sandbox = SandboxdClient(flags.socket_path(settings))
    publications = flags.publications(settings)
    run_nudged(settings.served, publications, redis_url=redis_url, sandbox=sandbox)
