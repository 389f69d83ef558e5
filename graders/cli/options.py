"""Arguments and options that several verbs have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graders.local_sandbox import NAMES

if TYPE_CHECKING:
    from graders.server_client import ServerClient

Command = Callable[..., Any]


def grader_directory(command: Command) -> Command:
    return click.argument(
        "directory", type=click.Path(exists=True, file_okay=False, path_type=Path)
    )(command)


def local_backend(command: Command) -> Command:
    return click.option(
        "--backend",
        type=click.Choice(NAMES),
        help="Where to run it; else Docker when it has what is needed, else bubblewrap (Linux).",
    )(command)


def server(command: Command) -> Command:
    """`server_url` and `token_file`; a token is never an argument, where others could see it."""
    command = click.option(
        "--token-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="GRADERS_TOKEN_FILE",
        help="File with your API token (or GRADERS_TOKEN_FILE).",
    )(command)
    return click.option(
        "--server",
        "server_url",
        envvar="GRADERS_SERVER",
        help="Address of the XQueue server (or GRADERS_SERVER).",
    )(command)


def open_server(url: str | None, token_file: Path | None) -> ServerClient:
    """Raises UsageError when one of the two was not given."""
    from graders.server_client import ServerClient, read_token

    if url is None or token_file is None:
        raise click.UsageError(
            "give --server and --token-file, or set GRADERS_SERVER and GRADERS_TOKEN_FILE"
        )
    return ServerClient(url, read_token(token_file))
