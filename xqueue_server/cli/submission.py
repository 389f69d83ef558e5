"""`xqueue-server submission`: what became of submissions, and deciding about held ones."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.output import FORGEABLE_MARK, json_option, show_json, show_table
from xqueue_server.cli.paging import ROW_ID, page_options, tell_of_older
from xqueue_server.cli.selection_options import (
    asks_first,
    chosen,
    chosen_for_all,
    is_confirmed,
    selection_options,
    show_done,
)
from xqueue_server.cli.selection_options import submissions as submissions_count
from xqueue_server.cli.submission_view import facts_of, view
from xqueue_server.errors import Conflict
from xqueue_server.models.scope import EVERYTHING
from xqueue_server.models.selection import Selection
from xqueue_server.models.submission import (
    LEAST_PRIORITY,
    MOST_PRIORITY,
    Submission,
    SubmissionState,
)
from xqueue_server.storage import forgeable, regrades, selecting, submissions

if TYPE_CHECKING:  # the acts bring the LMS's parsers along
    from xqueue_server.repair.bulk import Preview

IRREVERSIBLE = (
    "This can not be undone: the LMS takes the first reply to a submission for good. The learner "
    "is told that there is no grade, the attempt is spent, and a later grade is ignored."
)


@click.group()
def submission() -> None:
    """Look at submissions, and decide about those that are held."""


@submission.command("list")
@selection_options
@page_options
@json_option
def list_submissions(limit: int, before: int | None, as_json: bool, **filters: Any) -> None:
    """List submissions, newest first; those for which all options hold."""
    selection = chosen(filters)
    with database() as storage, storage.read() as tx:
        selected = selecting.page(tx, selection, EVERYTHING, limit=limit, before=before)
        found = [each.submission for each in selected]
        marked = forgeable.among(tx, [s.id for s in found])
    if as_json:
        show_json(
            [
                facts_of(each.submission)
                | {"problem": each.problem, "forgeable": each.submission.id in marked}
                for each in selected
            ]
        )
        return
    headers = ["ID", "QUEUE", "STATE", "ATTEMPT", "ARRIVED", "FROM", "LEASED BY", "HELD FOR"]
    lines = [_line(s) for s in found]
    if marked:
        headers.append("MARK")
        lines = [(*line, FORGEABLE_MARK if line[0] in marked else None) for line in lines]
    show_table(headers, lines)
    tell_of_older([s.id for s in found], limit)


@submission.command()
@click.argument("submission_id", metavar="ID", type=ROW_ID)
@click.option("--with-result", is_flag=True, help="Also show what graders answered, in full.")
@json_option
def show(submission_id: int, with_result: bool, as_json: bool) -> None:
    """Show one submission: what happened to it, its results and its callbacks.

    What the learner wrote is never shown.
    """
    with database() as storage, storage.read() as tx:
        found = view(tx, submission_id)
    if as_json:
        show_json(found.as_object(with_result=with_result))
    else:
        found.show(with_result=with_result)


@submission.command()
@click.argument("ids", metavar="[ID]...", type=ROW_ID, nargs=-1)
@selection_options
@asks_first
def release(ids: tuple[int, ...], dry_run: bool, yes: bool, **filters: Any) -> None:
    """Put held submissions back to their queues, with all their attempts.

    Those with these IDs, or all for which the options hold.
    """
    from xqueue_server.repair import bulk
    from xqueue_server.submissions import holding

    selection = chosen_for_all(filters, ids)
    if selection == Selection(ids=frozenset(ids)) and not dry_run:
        with database() as storage:
            for submission_id in ids:
                holding.release(storage, submission_id, actor=actor())
                click.echo(f"Submission {submission_id} is queued again, with all its attempts")
        return
    with database() as storage:
        count = bulk.matching(storage, bulk.Act.RELEASE, selection, EVERYTHING)
        if not is_confirmed(count, "queued again", dry_run=dry_run, yes=yes):
            return
        done = bulk.release(storage, selection, EVERYTHING, confirmed=count, actor=actor())
    show_done(done, "queued again, with all their attempts")


@submission.command()
@click.argument("ids", metavar="[ID]...", type=ROW_ID, nargs=-1)
@selection_options
@click.option("--reason", required=True, metavar="TEXT", help="Kept with the regrade.")
@click.option(
    "--continue",
    "batch_id",
    type=ROW_ID,
    metavar="BATCH",
    help="Go on with a regrade that was interrupted: without what it has already.",
)
@asks_first
def regrade(
    ids: tuple[int, ...],
    reason: str,
    batch_id: int | None,
    dry_run: bool,
    yes: bool,
    **filters: Any,
) -> None:
    """Grade graded submissions anew, with the grader that is in use now.

    Those with these IDs, or all for which the options hold. They wait until no learner's own work
    does. The old grade stands until there is a new one. A grade that the LMS has taken stays there:
    `xqueue-server regrade csv` writes down what staff must override.
    """
    from xqueue_server.repair import bulk, regrading

    selection = chosen_for_all(filters, ids)
    with database() as storage:
        with storage.read() as tx:
            if batch_id is not None:
                regrades.get_batch(tx, batch_id)
            else:
                for submission_id in ids:
                    regrading.require_regradable(tx, submission_id)
        preview = bulk.preview_regrade(storage, selection, EVERYTHING, batch_id=batch_id)
        _show_preview(preview)
        if not is_confirmed(preview.count, "graded anew", dry_run=dry_run, yes=yes):
            return
        done = bulk.regrade(
            storage,
            selection,
            EVERYTHING,
            reason=reason,
            confirmed=preview.count,
            actor=actor(),
            batch_id=batch_id,
        )
    show_done(done, f"will be graded anew, as regrade {done.batch_id}")


def _show_preview(preview: Preview) -> None:
    if preview.count:
        show_table(
            ["GRADED BY", "VERSION", "THE LMS HAS IT", "COUNT"],
            [
                (each.grader or "a worker's own", each.version, each.lms_has_it, each.count)
                for each in preview.graded_by
            ],
        )
    if preview.lms_has:
        click.echo(
            f"Of {submissions_count(preview.lms_has)} the LMS has taken the grade: it keeps it, "
            "whatever comes of this."
        )


@submission.command()
@click.argument("submission_id", metavar="ID", type=ROW_ID)
@click.option(
    "--priority",
    required=True,
    type=click.IntRange(LEAST_PRIORITY, MOST_PRIORITY),
    help="Within its queue: higher is first; 0 is the usual one.",
)
def prioritise(submission_id: int, priority: int) -> None:
    """Give the queued or held submission ID another priority in its queue."""
    from xqueue_server.submissions import line

    with database() as storage:
        line.prioritise(storage, submission_id, priority, actor=actor())
    click.echo(f"Submission {submission_id} has priority {priority}")


@submission.command("give-up")
@click.argument("submission_id", metavar="ID", type=ROW_ID)
@click.option("--yes", is_flag=True, help="Do not ask.")
def give_up(submission_id: int, yes: bool) -> None:
    """Tell the learner that the held submission ID will not be graded.

    IRREVERSIBLE: the LMS takes the first reply to a submission for good. The learner is told
    that there is no grade, the attempt is spent, and a later grade is ignored. If the grader
    can still be mended, mend it and use `submission release` instead.
    """
    from xqueue_server.submissions import holding

    with database() as storage:
        with storage.read() as tx:
            _require_held(submissions.find(tx, submission_id), submission_id)
        if not yes:
            _ask(submission_id)
        holding.give_up(storage, submission_id, actor=actor())
    click.echo(f"Gave up submission {submission_id}; the LMS will be told so. {IRREVERSIBLE}")


def _require_held(found: Submission | None, submission_id: int) -> None:
    """Before asking; the act itself checks again."""
    if found and found.state is not SubmissionState.HELD:
        raise Conflict(f"Submission {submission_id} is {found.state}, not held")


def _ask(submission_id: int) -> None:
    if not sys.stdin.isatty():
        raise click.ClickException(f"Refused without --yes. {IRREVERSIBLE}")
    click.echo(IRREVERSIBLE)
    click.confirm(f"Give up submission {submission_id}?", abort=True)


def _line(found: Submission) -> tuple[object, ...]:
    return (
        found.id,
        found.queue,
        found.state,
        found.attempt,
        found.arrived_at,
        found.submitted_by,
        found.leased_by,
        found.held_reason,
    )
