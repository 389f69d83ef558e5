"""The options that say which submissions are meant, the same for every command, and the question
before something is done to many."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xqueue_server.cli.paging import ROW_ID
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.regrade import RegradeState
from xqueue_server.models.selection import Mark, Selection, parse
from xqueue_server.models.submission import HoldReason, SubmissionState

if TYPE_CHECKING:  # the acts bring the LMS's parsers along
    from xqueue_server.repair.bulk import Done

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--queue", multiple=True, metavar="NAME", help="May be repeated."),
    click.option(
        "--state",
        multiple=True,
        type=click.Choice([s.value for s in SubmissionState]),
        help="May be repeated.",
    ),
    click.option("--course", multiple=True, metavar="ID", help="E.g. course-v1:Org+Course+Run."),
    click.option(
        "--problem",
        metavar="ID",
        help="The problem's usage id, its address in the LMS, or a callback URL.",
    ),
    click.option("--learner", metavar="ID", help="The user id that stands in the callback URL."),
    click.option("--since", metavar="TIME", help="Arrived then or later; ISO 8601, UTC."),
    click.option("--until", metavar="TIME", help="Arrived before; ISO 8601, UTC."),
    click.option("--held-reason", type=click.Choice([r.value for r in HoldReason])),
    click.option(
        "--callback",
        type=click.Choice([s.value for s in CallbackState]),
        help="With a callback in this state.",
    ),
    click.option("--account", metavar="NAME", help="That submitted it."),
    click.option("--batch", type=ROW_ID, metavar="ID", help="Regraded in this batch."),
    click.option(
        "--regrade",
        type=click.Choice([s.value for s in RegradeState]),
        help="With a regrade in this state.",
    ),
    click.option(
        "--forgeable", is_flag=True, help="Whose grade the learner's own code can have written."
    ),
)
NAMES = (
    "queue",
    "state",
    "course",
    "problem",
    "learner",
    "since",
    "until",
    "held_reason",
    "callback",
    "account",
    "batch",
    "regrade",
    "forgeable",
)
"""Parameters of a command that has the options."""


def selection_options(command: Command) -> Command:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen(given: Mapping[str, Any], ids: Sequence[int] = ()) -> Selection:
    """Raises: InvalidRequest."""
    fields = {name: _text(given[name]) for name in NAMES if name != "forgeable"}
    if given["forgeable"]:
        fields["mark"] = Mark.FORGEABLE.value
    if ids:
        fields["id"] = ",".join(map(str, ids))
    return parse(fields)


def chosen_for_all(given: Mapping[str, Any], ids: Sequence[int] = ()) -> Selection:
    """For what changes something: everything must be asked for by name. Raises: as `chosen`."""
    selection = chosen(given, ids)
    if selection.is_everything:
        raise click.UsageError("Say which: IDs, or options like --queue, --problem or --since.")
    return selection


def _text(value: Any) -> str:
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, tuple) else str(value)


# -- asking --------------------------------------------------------------------------------------

act_options = [
    click.option("--dry-run", is_flag=True, help="Only say how many there are."),
    click.option("--yes", is_flag=True, help="Do not ask."),
]


def asks_first(command: Command) -> Command:
    """--dry-run and --yes."""
    for option in reversed(act_options):
        command = option(command)
    return command


def is_confirmed(count: int, what: str, *, dry_run: bool, yes: bool) -> bool:
    """Say how many there are and ask; `what` completes "12 submissions will be ..."."""
    sentence = f"{submissions(count)} will be {what}"
    if not count or dry_run:
        click.echo(sentence)
        return False
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.ClickException(f"Refused without --yes: {sentence}")
    click.echo(sentence)
    return click.confirm("Go on?", abort=True)


def submissions(count: int) -> str:
    return f"{count} submission{'' if count == 1 else 's'}"


def show_done(done: Done, what: str) -> None:
    """`what` completes "12 submissions ..."."""
    click.echo(f"{submissions(done.count)} {what}")
    for skipped in done.skipped:
        click.echo(f"Skipped: {skipped.why}", err=True)
    if done.skipped_count > len(done.skipped):
        click.echo(f"... {done.skipped_count} skipped in all", err=True)
