"""`xqueue-server fault`: what is wrong with graders."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import click

from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.output import (
    FORGEABLE_MARK,
    json_option,
    printable,
    show_facts,
    show_json,
    show_section,
    show_table,
)
from xqueue_server.cli.paging import ROW_ID, page_options, tell_of_older
from xqueue_server.cli.selection_options import asks_first, is_confirmed, show_done
from xqueue_server.errors import NotFound
from xqueue_server.models.fault import Fault, FaultKind
from xqueue_server.storage import faults, forgeable
from xqueue_server.storage.faults import FaultySubmission


@click.group()
def fault() -> None:
    """Look at faults of graders; each kind is listed once."""


@fault.command("list")
@click.option("--queue", metavar="NAME")
@click.option("--grader", metavar="NAME")
@click.option("--kind", type=click.Choice([kind.value for kind in FaultKind]))
@page_options
@json_option
def list_faults(
    queue: str | None,
    grader: str | None,
    kind: str | None,
    limit: int,
    before: int | None,
    as_json: bool,
) -> None:
    """List kinds of faults, newest first."""
    with database() as storage, storage.read() as tx:
        found = faults.latest(
            tx,
            queues=None if queue is None else [queue],
            grader=grader,
            kind=FaultKind(kind) if kind else None,
            limit=limit,
            before=before,
        )
    if as_json:
        show_json([_as_object(f) for f in found])
        return
    headers = ["ID", "QUEUE", "GRADER", "VERSION", "KIND", "COUNT", "LAST SEEN", "SIGNATURE"]
    show_table(headers, [_line(f) for f in found])
    tell_of_older([f.id for f in found], limit)


@fault.command()
@click.argument("fault_id", metavar="ID", type=ROW_ID)
@json_option
def show(fault_id: int, as_json: bool) -> None:
    """Show one kind of fault with the report of its first occurrence.

    The report is the grader's and may quote what a learner wrote.
    """
    with database() as storage, storage.read() as tx:
        found = faults.find(tx, fault_id)
        if found is None:
            raise NotFound(f"Fault {fault_id} not found")
        held = faults.submissions_of(tx, fault_id)
        marked = forgeable.among(tx, [s.submission_id for s in held])
    if as_json:
        objects = [dataclasses.asdict(s) | {"forgeable": s.submission_id in marked} for s in held]
        show_json(_as_object(found) | {"detail": found.detail, "submissions": objects})
        return
    show_facts([(name.replace("_", " "), value) for name, value in _as_object(found).items()])
    show_section(
        "Submissions (the latest)",
        lambda: show_table(["ID", "STATE", "AT", "MARK"], [_held_line(s, marked) for s in held]),
    )
    click.echo("\nReport")
    click.echo("\n".join(printable(line) for line in found.detail.splitlines()))


@fault.command()
@click.argument("fault_id", metavar="ID", type=ROW_ID)
@click.option(
    "--anyway", is_flag=True, help="Also while the version that failed is the one in use."
)
@asks_first
def release(fault_id: int, anyway: bool, dry_run: bool, yes: bool) -> None:
    """Put all submissions that the fault ID holds back to the queue, when its grader is mended."""
    from xqueue_server.repair import bulk

    with database() as storage:
        count = bulk.held_by_fault(storage, fault_id)
        if not is_confirmed(count, "queued again", dry_run=dry_run, yes=yes):
            return
        done = bulk.release_fault(storage, fault_id, confirmed=count, actor=actor(), anyway=anyway)
    show_done(done, "queued again, with all their attempts")


def _held_line(held: FaultySubmission, marked: Collection[int]) -> tuple[object, ...]:
    mark = FORGEABLE_MARK if held.submission_id in marked else None
    return (held.submission_id, held.state, held.at, mark)


def _as_object(found: Fault) -> dict[str, object]:
    row = dataclasses.asdict(found)
    row.pop("detail")
    return row


def _line(found: Fault) -> tuple[object, ...]:
    return (
        found.id,
        found.queue,
        found.grader,
        found.version,
        found.kind,
        found.count,
        found.last_at,
        found.signature,
    )
