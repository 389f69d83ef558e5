"""`xqueue-server regrade`: what was graded anew, what came of it, and what the LMS must be told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.output import (
    json_option,
    show_facts,
    show_json,
    show_section,
    show_table,
)
from xqueue_server.cli.paging import ROW_ID, page_options, tell_of_older
from xqueue_server.cli.selection_options import asks_first, is_confirmed, show_done
from xqueue_server.errors import Conflict
from xqueue_server.models.regrade import Regrade, RegradeBatch, RegradeState
from xqueue_server.models.selection import Selection, read_problem
from xqueue_server.storage import regrades


@click.group()
def regrade() -> None:
    """Look at regrades, cancel them, and write down what the LMS does not take by itself."""


@regrade.command("list")
@page_options
@json_option
def list_batches(limit: int, before: int | None, as_json: bool) -> None:
    """List regrades that were asked for, newest first, and how far they are."""
    with database() as storage, storage.read() as tx:
        found = regrades.latest_batches(tx, limit=limit, before=before)
    if as_json:
        show_json([_as_object(batch) for batch in found])
        return
    headers = ["ID", "ASKED FOR", "BY", *[s.value.upper() for s in RegradeState], "LMS KEEPS OLD"]
    show_table(headers, [_line(batch) for batch in found])
    tell_of_older([batch.id for batch in found], limit)


@regrade.command()
@click.argument("batch_id", metavar="BATCH", type=ROW_ID)
@click.option(
    "--after", type=ROW_ID, metavar="ID", default=None, help="Only regrades with a higher id."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@json_option
def show(batch_id: int, after: int | None, limit: int, as_json: bool) -> None:
    """Show the regrade BATCH: each submission with its old and new score."""
    with database() as storage, storage.read() as tx:
        batch = regrades.get_batch(tx, batch_id)
        found = regrades.of_batch(tx, batch_id, limit=limit, after=after or 0)
    if as_json:
        show_json(_as_object(batch) | {"regrades": found})
        return
    show_facts([(name.replace("_", " "), value) for name, value in _as_object(batch).items()])
    headers = ["ID", "SUBMISSION", "STATE", "OLD", "NEW", "LMS HAD OLD", "FINISHED", "DETAIL"]
    show_section("Submissions", lambda: show_table(headers, [_row(each) for each in found]))
    if len(found) == limit:
        click.echo(f"Perhaps there are more: --after {found[-1].id}", err=True)


@regrade.command("csv")
@click.argument("batch_id", metavar="BATCH", type=ROW_ID)
@click.option("--problem", metavar="ID", help="Only of this problem: its usage id or address.")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A new file that only its owner can read, instead of standard output.",
)
def write_csv(batch_id: int, problem: str | None, out: Path | None) -> None:
    """Write the changed scores of BATCH that the LMS does not take, because it has the old ones.

    For the course team, who can override them there.
    """
    from xqueue_server.repair import override_file

    with database() as storage, storage.read() as tx:
        usage_id = read_problem(problem) if problem else None
        found = override_file.write(tx, batch_id, problem=usage_id)
    if out is None:
        click.echo(found.text, nl=False)
    else:
        _write_new(out, found.text)
    click.echo(f"{found.rows} changed scores that the LMS has the old ones of", err=True)
    if found.left_out:
        click.echo(f"{found.left_out} left out: the learner has submitted again since", err=True)


def _write_new(path: Path, text: str) -> None:
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise Conflict(f"can not write {path}: {error.strerror}") from error


@regrade.command()
@click.argument("batch_id", metavar="BATCH", type=ROW_ID)
@asks_first
def cancel(batch_id: int, dry_run: bool, yes: bool) -> None:
    """Let the old grades stand of what BATCH has not graded anew yet."""
    from xqueue_server.models.scope import EVERYTHING
    from xqueue_server.repair import bulk

    selection = Selection(batch=batch_id)
    with database() as storage:
        with storage.read() as tx:
            regrades.get_batch(tx, batch_id)
        count = bulk.matching(storage, bulk.Act.CANCEL_REGRADE, selection, EVERYTHING)
        if not is_confirmed(count, "left with their old grade", dry_run=dry_run, yes=yes):
            return
        done = bulk.cancel_regrades(storage, selection, EVERYTHING, confirmed=count, actor=actor())
    show_done(done, "left with their old grade")


def _as_object(batch: RegradeBatch) -> dict[str, object]:
    row = dataclasses.asdict(batch)
    counts = row.pop("counts")
    return row | {state.value: counts.get(state, 0) for state in RegradeState}


def _line(batch: RegradeBatch) -> tuple[object, ...]:
    return (
        batch.id,
        batch.requested_at,
        batch.requested_by,
        *[batch.counts.get(state, 0) for state in RegradeState],
        batch.lms_kept_old,
    )


def _row(found: Regrade) -> tuple[object, ...]:
    return (
        found.id,
        found.submission_id,
        found.state,
        found.old_score,
        found.new_score,
        found.lms_had_it,
        found.finished_at,
        found.detail,
    )
