"""`xqueue-server db`: the database's tables."""

from __future__ import annotations

from pathlib import Path

import click

from xqueue_server import settings
from xqueue_server.cli.environment import database
from xqueue_server.cli.output import json_option, show_facts, show_json, size


@click.group()
def db() -> None:
    """Create and update the database's tables, and copy it."""


@db.command()
@click.option(
    "--step",
    type=click.Choice(["before", "after"]),
    default="after",
    show_default=True,
    help="before: only what this version needs, while programs of the old one still work; "
    "after: everything, when none of them is left.",
)
def upgrade(step: str) -> None:
    """Bring the database to this version's tables. Does nothing if it is there already."""
    from xqueue_server.storage import migration  # Alembic: half of the start-up time otherwise

    with database() as storage:
        before = migration.current(storage)
        migration.upgrade(storage, until=migration.Step(step))
        after = migration.current(storage)
    click.echo(f"At revision {after} already" if before == after else f"Upgraded to {after}")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Copy an SQLite database to FILE, which must not exist, while it is being used."""
    from xqueue_server.storage.backup import back_up

    loaded = settings.load()
    with database(loaded) as storage:
        copied = back_up(storage, file)
    uploads = "the bucket" if loaded.s3 else str(loaded.data_dir / "files")
    click.echo(f"Copied {size(copied)} to {file}; now copy the uploads in {uploads} as well")


@db.command()
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show the database's revision and this version's; exit code 1 if it can not work with it."""
    from xqueue_server.storage import migration

    with database() as storage:
        current, is_current = migration.current(storage), migration.is_current(storage)
    facts = {"current": current, "head": migration.head(), "up_to_date": is_current}
    if as_json:
        show_json(facts)
    else:
        show_facts(list(facts.items()))
    if not is_current:
        ctx.exit(1)
