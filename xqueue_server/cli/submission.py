"""`xqueue-server submission`: what became of submissions, and deciding about held ones."""

from __future__ import annotations

import sys

import click

from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.output import FORGEABLE_MARK, json_option, show_json, show_table
from xqueue_server.cli.paging import ROW_ID, page_options, tell_of_older
from xqueue_server.cli.submission_view import facts_of, view
from xqueue_server.errors import Conflict
from xqueue_server.storage import browsing, forgeable, submissions
from xqueue_server.submission import Submission, SubmissionState

IRREVERSIBLE = (
    "This can not be undone: the LMS takes the first reply to a submission for good. The learner "
    "is told that there is no grade, the attempt is spent, and a later grade is ignored."
)


@click.group()
def submission() -> None:
    """Look at submissions, and decide about those that are held."""


@submission.command("list")
@click.option("--queue", metavar="NAME")
@click.option("--state", type=click.Choice([s.value for s in SubmissionState]))
@page_options
@json_option
def list_submissions(
    queue: str | None, state: str | None, limit: int, before: int | None, as_json: bool
) -> None:
    """List submissions, newest first."""
    wanted = SubmissionState(state) if state else None
    with database() as storage, storage.read() as tx:
        found = browsing.latest_submissions(
            tx, queue=queue, state=wanted, limit=limit, before=before
        )
        marked = forgeable.among(tx, [s.id for s in found])
    if as_json:
        show_json([facts_of(s) | {"forgeable": s.id in marked} for s in found])
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
@click.argument("submission_id", metavar="ID", type=ROW_ID)
def release(submission_id: int) -> None:
    """Put the held submission ID back to its queue, with all its attempts."""
    from xqueue_server import holding

    with database() as storage:
        holding.release(storage, submission_id, actor=actor())
    click.echo(f"Submission {submission_id} is queued again, with all its attempts")


@submission.command("give-up")
@click.argument("submission_id", metavar="ID", type=ROW_ID)
@click.option("--yes", is_flag=True, help="Do not ask.")
def give_up(submission_id: int, yes: bool) -> None:
    """Tell the learner that the held submission ID will not be graded.

    IRREVERSIBLE: the LMS takes the first reply to a submission for good. The learner is told
    that there is no grade, the attempt is spent, and a later grade is ignored. If the grader
    can still be mended, mend it and use `submission release` instead.
    """
    from xqueue_server import holding

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
