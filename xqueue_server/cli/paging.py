"""The options of every list that can be long, and the word about what lies further back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

ROW_ID = click.IntRange(1, 2**63 - 1)
"""What the databases can hold as an id."""


def page_options(command: Command) -> Command:
    """--limit and --before."""
    for option in (
        click.option(
            "--before", type=ROW_ID, metavar="ID", help="Only those with a lower id: older ones."
        ),
        click.option(
            "--limit",
            type=click.IntRange(1, 10_000),
            default=50,
            show_default=True,
            help="At most so many, newest first.",
        ),
    ):
        command = option(command)
    return command


def tell_of_older(ids: list[int], limit: int) -> None:
    """On stderr, so that the table can be piped on."""
    if len(ids) == limit:
        click.echo(f"Perhaps there are older ones: --before {ids[-1]}", err=True)
