"""`xqueue-server deadline`: when many submissions will come at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import click

from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.expected import MOST, learner_options
from xqueue_server.cli.moment import Moment
from xqueue_server.cli.output import json_option, show_json, show_table, when
from xqueue_server.cli.paging import ROW_ID
from xqueue_server.storage import deadlines
from xqueue_server.storage.deadlines import Deadline

LONGEST_COURSE, LONGEST_NOTE = 255, 1000


@click.group()
def deadline() -> None:
    """Tell, list and remove deadlines; the number of workers follows them."""


def _at_most(longest: int) -> Callable[[click.Context, click.Parameter, str], str]:
    def checked(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
        if len(text) > longest or not text.isprintable():
            raise click.BadParameter(f"at most {longest} printable characters")
        return text

    return checked


@deadline.command()
@click.argument("queue")
@click.option("--at", required=True, type=Moment(), help="The deadline (ISO 8601, with an offset).")
@click.option("--opens", type=Moment(), help="From when one can submit. [default: a week before]")
@click.option("--submissions", type=click.IntRange(1, MOST), help="Expected in all.")
@learner_options(required=False)
@click.option(
    "--course", callback=_at_most(LONGEST_COURSE), default="", help="Whose deadline it is."
)
@click.option("--note", callback=_at_most(LONGEST_NOTE), default="", help="For people.")
def add(
    queue: str,
    at: datetime,
    opens: datetime | None,
    submissions: int | None,
    learners: int | None,
    each: int,
    course: str,
    note: str,
) -> None:
    """Tell a deadline of QUEUE. A past one teaches how sharp the next rush will be."""
    expected = _expected(submissions, learners, each)
    if opens is not None and opens >= at:
        raise click.UsageError("--opens must be before --at.")
    with database() as storage, storage.write() as tx:
        deadline_id = deadlines.add(
            tx,
            queue=queue,
            at=at,
            opens_at=opens,
            submissions=expected,
            course=course,
            note=note,
            actor=actor(),
        )
    click.echo(f"Deadline {deadline_id} of queue {queue}: {when(at)}, {expected} submissions")


def _expected(submissions: int | None, learners: int | None, each: int) -> int:
    if (submissions is None) == (learners is None):
        raise click.UsageError("Give either --submissions, or --learners (perhaps with --each).")
    expected = submissions if submissions is not None else (learners or 0) * each
    if expected > MOST:
        raise click.UsageError(f"At most {MOST:,} submissions.")
    return expected


@deadline.command("list")
@click.option("--queue", help="Only of this queue.")
@json_option
def list_deadlines(queue: str | None, as_json: bool) -> None:
    """List deadlines, the earliest first, past ones too."""
    with database() as storage, storage.read() as tx:
        found = deadlines.of_queue(tx, queue) if queue else deadlines.all_deadlines(tx)
    if as_json:
        show_json(found)
        return
    show_table(
        ["ID", "QUEUE", "AT", "OPENS", "SUBMISSIONS", "COURSE", "SOURCE", "NOTE"],
        [_line(each) for each in found],
    )


@deadline.command()
@click.argument("deadline_id", metavar="ID", type=ROW_ID)
def remove(deadline_id: int) -> None:
    """Remove the deadline ID. Removing a past one takes away what it teaches."""
    with database() as storage, storage.write() as tx:
        removed = deadlines.remove(tx, deadline_id, actor=actor())
    click.echo(f"Removed deadline {deadline_id} of queue {removed.queue}: {when(removed.at)}")


def _line(found: Deadline) -> tuple[object, ...]:
    return (
        found.id,
        found.queue,
        found.at,
        found.at - found.window,
        found.submissions,
        found.course,
        found.source,
        found.note,
    )
