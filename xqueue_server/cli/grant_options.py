"""The options that name grants, shared by the account commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from xqueue_server.account import ALL_QUEUES, Grant, Role

Command = TypeVar("Command", bound=Callable[..., Any])


def grant_options(command: Command) -> Command:
    """--role, --queue and --all-queues, as `roles`, `queue_names` and `all_queues`."""
    for option in (
        click.option("--all-queues", is_flag=True, help="Every queue, those added later included."),
        click.option(
            "--queue", "queue_names", multiple=True, metavar="NAME", help="A queue; repeatable."
        ),
        click.option(
            "--role",
            "roles",
            multiple=True,
            required=True,
            type=click.Choice([role.value for role in Role]),
            help="lms: submit. grader: lease and answer. operator: see and repair. author: publish "
            "graders and see their faults. Repeatable: many installations share one account "
            "between LMS and graders.",
        ),
    ):
        command = option(command)
    return command


def grants_of(
    roles: tuple[str, ...], queue_names: tuple[str, ...], all_queues: bool
) -> list[Grant]:
    """Every role on every queue. Nothing is granted by leaving an option out."""
    if all_queues == bool(queue_names):
        raise click.UsageError(
            "Say on which queues: --queue NAME (repeatable) or --all-queues, one of the two. "
            "Nothing is allowed by default."
        )
    if ALL_QUEUES in queue_names:
        raise click.UsageError("For every queue use --all-queues.")
    names = (ALL_QUEUES,) if all_queues else queue_names
    return [Grant(role=Role(role), queue=name) for role in roles for name in names]
