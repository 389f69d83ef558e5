"""`xqueue-server learner`: a learner's own data."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from xqueue_server import settings
from xqueue_server.app import create_files, create_proctoring
from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.output import json_option, show_json
from xqueue_server.settings import origin_of
from xqueue_server.upkeep import learner_data
from xqueue_server.upkeep.learner_data import Erased, Learner

Decorated = Callable[..., Any]


def whose(command: Decorated) -> Decorated:
    """The argument and options that say which learner is meant."""
    for add in (
        click.option(
            "--name",
            "names",
            multiple=True,
            help="User name or e-mail address by which staff may have given time in an exam to "
            "somebody who never came there; repeatable.",
        ),
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

    A learner is the id of the LMS's user, as it stands in callback URLs; of exams also the
    obscured id by which the LMS names him to providers.
    """


@learner.command("export")
@whose
def export(learner_id: str, lms: str, course: str | None, names: tuple[str, ...]) -> None:
    """Write a ZIP archive of everything to standard output."""
    if sys.stdout.isatty():
        raise click.UsageError("the archive goes to standard output; write it to a file: > FILE")
    loaded = settings.load()
    wanted = Learner(id=learner_id, lms=lms, course=course, names=frozenset(names))
    with database(loaded) as storage:
        told = learner_data.export(
            storage,
            create_files(loaded),
            wanted,
            sys.stdout.buffer,
            secret_key=loaded.secret_key,
            actor=actor(),
        )
    click.echo(f"{len(told.submissions)} submissions, {told.attempts} attempts", err=True)


@learner.command("erase")
@whose
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--also-unfinished",
    is_flag=True,
    help="Also what has no grade or no judgement yet, or is not delivered: it ends, and the LMS "
    "is not told.",
)
@json_option
def erase(
    learner_id: str,
    lms: str,
    course: str | None,
    names: tuple[str, ...],
    yes: bool,
    also_unfinished: bool,
    as_json: bool,
) -> None:
    """Erase code, files, results, names and the learner's ids; what was counted stays counted."""
    loaded = settings.load()
    wanted = Learner(id=learner_id, lms=lms, course=course, names=frozenset(names))
    with database(loaded) as storage:
        if not yes:
            found = learner_data.find(create_proctoring(loaded, storage), storage, wanted)
            what = f"{len(found.submissions)} submissions"
            if found.of_exams:
                what += f" and {found.attempts} attempts at exams"
            click.confirm(f"Erase {what} of this learner for good?", abort=True, err=True)
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
        click.echo(_said(erased))


def _said(erased: Erased) -> str:
    parts = [f"Erased {erased.submissions} submissions and {erased.files} files"]
    if erased.attempts:
        parts.append(f"{erased.attempts} attempts at exams are nobody's now")
    if erased.attempts_ended:
        parts.append(f"{erased.attempts_ended} of them were not finished, and are removed")
    if erased.ended:
        parts.append(f"{erased.ended} had no grade yet, and get none")
    if erased.files_left:
        parts.append(
            f"{erased.files_left} files could not be removed now; "
            "`xqueue-server sweep` removes them in the next days"
        )
    return "; ".join(parts)
