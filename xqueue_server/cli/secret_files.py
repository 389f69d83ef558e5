"""Secrets from files or standard input: every process sees the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

MOST_CHARS = 4096
SECRET_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def secret_option(name: str, about: str, *, required: bool = False) -> Option:
    """`--NAME-file`; the parameter is `NAME_file`, a path for `read_secret`."""
    return click.option(
        f"--{name}-file", type=SECRET_FILE, required=required, help=f"File with {about}; -: stdin."
    )


def read_secrets(**paths: Path | None) -> dict[str, str]:
    """Name -> secret, of those that are given. Raises: click.UsageError."""
    if sum(str(path) == "-" for path in paths.values()) > 1:
        raise click.UsageError("Standard input can be one secret only; give the others in files.")
    return {name: _read(path) for name, path in paths.items() if path is not None}


def _read(path: Path) -> str:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} can not be read as text") from error
    secret = text.removesuffix("\n").removesuffix("\r")
    if not 0 < len(secret) <= MOST_CHARS or not secret.isprintable():
        where = "Standard input" if str(path) == "-" else str(path)
        raise click.ClickException(f"{where} must hold the secret alone, in one line")
    return secret
