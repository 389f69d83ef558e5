"""How many submissions a deadline brings: told at once, or as learners and tries of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

MOST = 10_000_000


def learner_options(*, required: bool) -> Callable[[Command], Command]:
    """--learners and --each."""

    def add(command: Command) -> Command:
        command = click.option(
            "--each",
            type=click.IntRange(1, 1000),
            default=1,
            show_default=True,
            help="Submissions of one learner, all its problems and tries together.",
        )(command)
        return click.option(
            "--learners",
            type=click.IntRange(1, MOST),
            required=required,
            help="Who take part.",
        )(command)

    return add
