"""What an exam holds back, and staff's word on it: verbs of `exam`."""

from __future__ import annotations

import click

from proctoring_hooks import accepting
from xqueue_server.cli.attempt import REASON
from xqueue_server.cli.exam_store import EXAM_ID, exam_store, looked, staff
from xqueue_server.cli.output import json_option, show_json, show_table
from xqueue_server.cli.paging import ROW_ID
from xqueue_server.errors import Conflict, NotFound
from xqueue_server.storage.proctoring import pages
from xqueue_server.storage.proctoring.session import ProctoringSession

SUBMISSION = "A submission of this exam."


@click.command()
@EXAM_ID
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="At most so many, oldest first.",
)
@json_option
def held(exam_id: int, limit: int, as_json: bool) -> None:
    """List submissions to EXAM that were late or of no attempt, and wait for staff."""
    with exam_store() as store:
        with store.read() as session:
            session.exams.get(exam_id)
            found = pages.held_of_exam(session.tx, exam_id, limit=limit)
        if found:
            looked(store, f"exam {exam_id}")
    if as_json:
        show_json(found)
        return
    show_table(
        ["SUBMISSION", "ATTEMPT", "LEARNER", "STANDING", "ARRIVED", "GRADED", "PROBLEM"],
        [
            (
                h.submission_id,
                h.attempt_id,
                h.learner,
                h.standing,
                h.arrived_at,
                h.graded,
                h.problem,
            )
            for h in found
        ],
    )


@click.command()
@EXAM_ID
@click.option("--submission", "submission_id", type=ROW_ID, help=SUBMISSION)
@click.option("--all", "is_all", is_flag=True, help="All that were late or of no attempt.")
@REASON
@click.option("--yes", is_flag=True, help="Do not ask about --all.")
def accept(exam_id: int, submission_id: int | None, is_all: bool, reason: str, yes: bool) -> None:
    """Let grades go to the LMS that EXAM holds back."""
    if (submission_id is None) != is_all:
        raise click.UsageError("Give --submission or --all, one of the two.")
    with exam_store() as store:
        if submission_id is not None:
            with store.write() as session:
                _require_of(session, exam_id, submission_id)
                count = int(accepting.accept(session, submission_id, staff(reason)))
        else:
            with store.read() as session:
                session.exams.get(exam_id)
                waiting = pages.counts_of(session.tx, [exam_id])[exam_id].held
            if waiting and not yes:
                click.confirm(f"Let all {waiting} grades go?", abort=True, err=True)
            count = accepting.accept_all_flagged(store, exam_id, staff(reason))
    click.echo(f"Let {count} {'grade' if count == 1 else 'grades'} of exam {exam_id} go to the LMS")


@click.command()
@EXAM_ID
@click.option("--submission", "submission_id", type=ROW_ID, required=True, help=SUBMISSION)
@REASON
def refuse(exam_id: int, submission_id: int, reason: str) -> None:
    """Keep the grade of a submission to EXAM that was late or of no attempt.

    It may still be accepted.
    """
    with exam_store() as store, store.write() as session:
        _require_of(session, exam_id, submission_id)
        if not accepting.refuse(session, submission_id, staff(reason)):
            raise Conflict(f"Submission {submission_id} does not wait for a decision")
    click.echo(f"Refused submission {submission_id}: the LMS gets no grade of it")


def _require_of(session: ProctoringSession, exam_id: int, submission_id: int) -> None:
    found = session.grades.find(submission_id)
    if found is None or found.exam_id != exam_id:
        raise NotFound(f"Submission {submission_id} does not belong to exam {exam_id}")


COMMANDS = (held, accept, refuse)
