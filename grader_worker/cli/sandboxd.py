"""`grader-worker sandboxd`: the one owner of the host's sandbox."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from grader_worker.cli.assignment_options import SOCKET_OPTION
from grader_worker.cli.docker_options import docker_options, docker_settings
from grader_worker.errors import SettingsError
from grader_worker.event_log import configure_logging, log_event, log_warning
from grader_worker.sandboxd.backends import BACKENDS, open_backend
from grader_worker.sandboxd.canary import CanaryBackend
from grader_worker.sandboxd.daemon import SandboxDaemon
from grader_worker.sandboxd.engine_trust import is_in_container, require_trusted_engine
from grader_worker.sandboxd.socket_path import ListeningSocket, default_socket_path
from grader_worker.stopping import stop_on_signals
from sandbox.backend import SandboxBackend


@click.command()
@click.option("--backend", type=click.Choice(BACKENDS), required=True, help="There is no fallback.")
@click.option("--concurrency", type=click.IntRange(1), help="Runs at once [number of cores].")
@docker_options
@click.option(
    "--allow-root-engine",
    is_flag=True,
    help="In a container: use an engine that makes this container root on its host.",
)
@SOCKET_OPTION
def sandboxd(
    backend: str,
    concurrency: int | None,
    allow_root_engine: bool,
    socket: Path | None,
    **for_docker: Any,
) -> None:
    """Run graders for the workers of this host, each in fresh isolation."""
    settings = docker_settings(backend, **for_docker)
    configure_logging()
    opened = CanaryBackend(open_backend(backend, settings))
    try:
        in_container = is_in_container(os.environ) and not allow_root_engine
        require_trusted_engine(opened.describe(), in_container=in_container)
        listening = ListeningSocket(socket or default_socket_path(os.environ))
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    daemon = SandboxDaemon(
        opened, listening, concurrency=concurrency or os.cpu_count() or 1, canary=opened.word
    )
    stop_on_signals(daemon.stopping)
    _log_start(opened, listening)
    opened.keep(daemon.stopping)
    if not daemon.serve():
        log_warning("sandboxd-runs-left-behind")
        # Their threads can not be ended, and the interpreter would wait for them for ever.
        os._exit(0)


def _log_start(backend: SandboxBackend, listening: ListeningSocket) -> None:
    described = backend.describe()
    log_event(
        "sandboxd-started",
        backend=described.name,
        version=described.version,
        unenforced=list(described.unenforced),
        socket=str(listening.path),
    )
