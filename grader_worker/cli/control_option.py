"""Where the supervisor of this host is asked."""

from __future__ import annotations

import os
from pathlib import Path

import click

from grader_worker.control import CONTROL_VARIABLE, ControlClient, control_path
from grader_worker.sandboxd.socket_path import SOCKET_VARIABLE, default_socket_path

CONTROL_OPTION = click.option(
    "--control",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar=CONTROL_VARIABLE,
    help="Where `grader-worker run` is asked and told [default: workers.sock beside sandboxd's].",
)


def control_client(control: Path | None) -> ControlClient:
    socket = os.environ.get(SOCKET_VARIABLE)
    sandboxd = Path(socket) if socket else default_socket_path(os.environ)
    return ControlClient(control or control_path(sandboxd))
