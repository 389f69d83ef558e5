"""`xqueue-server retention`: removing what is old at once, or seeing what would go."""

from __future__ import annotations

import click

from xqueue_server import settings
from xqueue_server.app import create_files
from xqueue_server.cli.environment import database
from xqueue_server.cli.output import json_option, show_facts, show_json
from xqueue_server.retention import Keep, apply, preview
from xqueue_server.settings import Settings

DAY_S = 24 * 3600


def keep_of(loaded: Settings) -> Keep:
    return Keep(
        code_s=loaded.keep_code_days * DAY_S,
        results_s=loaded.keep_results_days * DAY_S,
        load_s=loaded.keep_load_days * DAY_S,
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
    if as_json:
        show_json(removed)
        return
    click.echo("Would be removed:" if dry_run else "Removed:")
    show_facts(
        [
            ("code of submissions", removed.code),
            ("whole submissions", removed.submissions),
            ("files", removed.files),
            ("minutes of load", removed.load_minutes),
        ]
    )
