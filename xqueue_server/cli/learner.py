"""`xqueue-server learner`: a learner's own data."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from xqueue_server import learner_data, settings
from xqueue_server.app import create_files
from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.output import json_option, show_json
from xqueue_server.learner_data import Learner
from xqueue_server.settings import origin_of

Decorated = Callable[..., Any]


def whose(command: Decorated) -> Decorated:
    """The argument and options that say which learner is meant."""
    for add in (
        click.option("--course", help="Only what belongs to this course."),
        click.option(
            "--lms",
            required=True,
            metavar="ORIGIN",
            callback=lambda _context, _parameter, value: _origin(value),
            help="The LMS whose learner it is, like https://lms.example.org.",
        ),
        click.argument("learner_id", metavar="LEARNER"),
    ):
        command = add(command)
    return command


def _origin(text: str) -> str:
    origin = origin_of(text)
    if origin is None:
        raise click.BadParameter(f"{text!r} is not an origin like https://lms.example.org")
    return origin


@click.group()
def learner() -> None:
    """Hand out or erase what is stored of a learner.

    A learner is the id of the LMS's user, as it stands in callback URLs.
    """


@learner.command("export")
@whose
def export(learner_id: str, lms: str, course: str | None) -> None:
    """Write a ZIP archive of everything to standard output."""
    if sys.stdout.isatty():
        raise click.UsageError("the archive goes to standard output; write it to a file: > FILE")
    loaded = settings.load()
    wanted = Learner(id=learner_id, lms=lms, course=course)
    with database(loaded) as storage:
        count = learner_data.export(storage, create_files(loaded), wanted, sys.stdout.buffer)
    click.echo(f"{count} submissions", err=True)


@learner.command("erase")
@whose
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--also-unfinished",
    is_flag=True,
    help="Also what has no grade yet or is not delivered: it ends, and the LMS is not told.",
)
@json_option
def erase(
    learner_id: str,
    lms: str,
    course: str | None,
    yes: bool,
    also_unfinished: bool,
    as_json: bool,
) -> None:
    """Erase code, files, results and the learner's id; what was counted stays counted."""
    loaded = settings.load()
    wanted = Learner(id=learner_id, lms=lms, course=course)
    with database(loaded) as storage:
        if not yes:
            count = len(learner_data.find(storage, wanted))
            click.confirm(
                f"Erase {count} submissions of this learner for good?", abort=True, err=True
            )
        erased = learner_data.erase(
            storage,
            create_files(loaded),
            wanted,
            secret_key=loaded.secret_key,
            actor=actor(),
            also_unfinished=also_unfinished,
        )
    if as_json:
        show_json(erased)
    else:
        click.echo(
            f"Erased {erased.submissions} submissions and {erased.files} files"
            + (f"; {erased.ended} had no grade yet, and get none" if erased.ended else "")
        )
