"""`xqueue-server retention`: removing what is old at once, or seeing what would go."""

from __future__ import annotations

from dataclasses import asdict

import click

from xqueue_server import settings
from xqueue_server.app import create_files, create_proctoring
from xqueue_server.cli.environment import database
from xqueue_server.cli.output import json_option, show_facts, show_json
from xqueue_server.settings import Settings
from xqueue_server.upkeep.exam_leftovers import (
    KeepExams,
    preview_exam_leftovers,
    remove_exam_leftovers_now,
)
from xqueue_server.upkeep.retention import Keep, apply, preview

DAY_S = 24 * 3600


def keep_of(loaded: Settings) -> Keep:
    return Keep(
        code_s=loaded.keep_code_days * DAY_S,
        results_s=loaded.keep_results_days * DAY_S,
        load_s=loaded.keep_load_days * DAY_S,
    )


def keep_exams_of(loaded: Settings) -> KeepExams:
    return KeepExams(
        attempts_s=loaded.keep_attempts_days * DAY_S, names_s=loaded.keep_names_days * DAY_S
    )


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@json_option
def retention(dry_run: bool, as_json: bool) -> None:
    """Remove now what is older than the settings say; `sweep` does it bit by bit."""
    loaded = settings.load()
    with database(loaded) as storage:
        keep = keep_of(loaded)
        removed = preview(storage, keep) if dry_run else apply(storage, create_files(loaded), keep)
        of_exams = preview_exam_leftovers if dry_run else remove_exam_leftovers_now
        exams = of_exams(create_proctoring(loaded, storage), keep_exams_of(loaded))
    if as_json:
        of_exams_gone = {name: asdict(exams)[name] for name in ("attempts", "allowances", "words")}
        show_json(asdict(removed) | of_exams_gone)
        return
    click.echo("Would be removed:" if dry_run else "Removed:")
    show_facts(
        [
            ("code of submissions", removed.code),
            ("whole submissions", removed.submissions),
            ("files", removed.files),
            ("kinds of faults", removed.faults),
            ("messages about exams", removed.messages),
            ("minutes of load", removed.load_minutes),
            ("attempts at exams", exams.attempts),
            ("allowances", exams.allowances),
            ("learners' names, and attempts' words", exams.words),
        ]
    )
