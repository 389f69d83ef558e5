"""`grader-worker poll`: over HTTP alone."""

from __future__ import annotations

import os

import click

from grader_worker.cli.assignment_options import AssignmentFlags, assignment_options
from grader_worker.event_log import configure_logging
from grader_worker.polling import poll_pools
from grader_worker.pool import queues_of
from grader_worker.published.grader_cache import default_cache_dir
from grader_worker.published.publications import Publications
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.sandboxd.client import SandboxdClient
from grader_worker.stopping import Stop, stop_on_signals


@click.command()
@assignment_options
def poll(flags: AssignmentFlags) -> None:
    """Lease, grade and answer submissions; needs a running sandboxd on this host."""
    settings = flags.settings()
    configure_logging()
    stop = Stop()
    stop_on_signals(stop)
    sandbox = SandboxdClient(flags.socket_path(settings))
    publications = Publications(queues_of(settings.pools), default_cache_dir(os.environ))
    poll_pools(settings.pools, publications, sandbox=sandbox, gate=SandboxGate(sandbox), stop=stop)
