"""`xqueue-server attempt`: learners' attempts at exams."""

from __future__ import annotations

import sys
from typing import Any

import click

from proctoring_hooks import attempts
from proctoring_hooks.attempts import Outcome
from proctoring_hooks.reviews import Comment, Review
from proctoring_hooks.statuses import Status
from proctoring_hooks.transitions import Action, Actor, By, Effect
from xqueue_server.cli.attempt_view import line_of, object_of, show_story
from xqueue_server.cli.environment import actor
from xqueue_server.cli.exam_store import exam_store, looked, staff
from xqueue_server.cli.output import json_option, show_json, show_table, when
from xqueue_server.cli.paging import ROW_ID, page_options, tell_of_older
from xqueue_server.models.scope import EVERYTHING
from xqueue_server.storage import accounts
from xqueue_server.storage.proctoring import browsing
from xqueue_server.storage.proctoring.browsing import AttemptFilter
from xqueue_server.storage.proctoring.story import story_of
from xqueue_server.upkeep.exam_history import check_all, check_one

MOST_MINUTES = 7 * 24 * 60
VERDICTS = {
    "pass": Action.PASS,
    "fail": Action.FAIL,
    "second-review": Action.REQUIRE_SECOND_REVIEW,
}
ATTEMPT_ID = click.argument("attempt_id", metavar="ATTEMPT", type=ROW_ID)
REASON = click.option("--reason", required=True, help="Why; it stands in the history.")


@click.group()
def attempt() -> None:
    """Look at, change, judge and check attempts at exams."""


@attempt.command("list")
@click.option("--lms", help="Only of this LMS.")
@click.option("--course", help="Only of this course.")
@click.option("--exam", "exam_id", type=ROW_ID, help="Only at this exam.")
@click.option("--learner", help="Only of this learner: numeric or obscured user id.")
@click.option("--status", type=click.Choice([each.value for each in Status]), help="Only those.")
@click.option("--flagged", is_flag=True, default=None, help="Only flagged ones.")
@page_options
@json_option
def list_attempts(
    status: str | None, limit: int, before: int | None, as_json: bool, **given: Any
) -> None:
    """List attempts, newest first."""
    wanted = AttemptFilter(status=None if status is None else Status(status), **given)
    with exam_store() as store:
        with store.read() as session:
            found = browsing.attempts_page(
                session.tx, EVERYTHING, wanted, limit=limit, before=before
            )
            now = session.now
        looked(store, *(f"exam {each.exam_id}" for each in found))
    if as_json:
        show_json([object_of(each, now) for each in found])
        return
    show_table(
        ["ID", "EXAM", "LEARNER", "STATUS", "STARTED", "EXPIRES", "FLAGGED"],
        [line_of(each) for each in found],
    )
    tell_of_older([each.id for each in found], limit)


@attempt.command()
@ATTEMPT_ID
@json_option
def show(attempt_id: int, as_json: bool) -> None:
    """Show one attempt: what happened to it, incidents, reviews, submissions and messages."""
    with exam_store() as store:
        with store.read() as session:
            story = story_of(session, attempt_id)
        looked(store, f"attempt {attempt_id}")
    show_story(story, as_json=as_json)


# -- changing ------------------------------------------------------------------------------------


@attempt.command()
@ATTEMPT_ID
@click.option(
    "--minutes",
    required=True,
    type=click.IntRange(-MOST_MINUTES, MOST_MINUTES),
    help="So many more; below 0: less.",
)
@REASON
def extend(attempt_id: int, minutes: int, reason: str) -> None:
    """Give ATTEMPT, which is in progress, more time."""
    if minutes == 0:
        raise click.UsageError("--minutes must not be 0.")
    with exam_store() as store, store.write() as session:
        done = attempts.extend(session, attempt_id, minutes, staff(reason))
    assert done.expires_at is not None, "it is in progress"
    click.echo(f"Attempt {attempt_id} ends at {when(done.expires_at)}")


@attempt.command()
@ATTEMPT_ID
@REASON
def terminate(attempt_id: int, reason: str) -> None:
    """End ATTEMPT for its learner; a person then judges it."""
    _act(attempt_id, Action.TERMINATE, reason)


@attempt.command()
@ATTEMPT_ID
@REASON
def resume(attempt_id: int, reason: str) -> None:
    """Let the learner of ATTEMPT, which broke off, go on with the time that was left."""
    _act(attempt_id, Action.RESUME, reason)


@attempt.command()
@ATTEMPT_ID
@REASON
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(attempt_id: int, reason: str, yes: bool) -> None:
    """Remove ATTEMPT, so that its learner may begin anew; its history stays."""
    if not yes:
        click.confirm(f"Remove attempt {attempt_id}?", abort=True, err=True)
    _act(attempt_id, Action.RESET, reason)


@attempt.command()
@ATTEMPT_ID
@click.option(
    "--factor",
    required=True,
    type=click.FloatRange(0, 1),
    help="What its marks count, from 0 to 1; 1 takes back what a policy has taken.",
)
@REASON
def mark(attempt_id: int, factor: float, reason: str) -> None:
    """Let the marks of ATTEMPT count that much, after an incident policy or against it."""
    if not 0 <= factor <= 1:  # NaN passes for within every range
        raise click.BadParameter("--factor is a number from 0 to 1")
    with exam_store() as store, store.write() as session:
        done = attempts.mark(session, attempt_id, factor=factor, by=staff(reason))
        gone = attempts.gone_with_less(session, done.attempt)
    before = " as before: nothing was changed" if done.effect is Effect.SAME else ""
    click.echo(f"Marks of attempt {attempt_id} count {factor:.0%}{before}")
    for submission_id in gone:
        click.echo(f"Submission {submission_id}: let go with less before; change it in the LMS")


@attempt.command()
@ATTEMPT_ID
@click.option("--verdict", required=True, type=click.Choice(list(VERDICTS)), help="The judgement.")
@click.option("--by", "reviewer", required=True, help="Name or e-mail of the person who judged.")
@click.option("--comment", "comments", multiple=True, help="For the course team; repeatable.")
def review(attempt_id: int, verdict: str, reviewer: str, comments: tuple[str, ...]) -> None:
    """Record what a named person has judged of ATTEMPT."""
    if not reviewer.strip() or not reviewer.isprintable() or len(reviewer) > 160:
        raise click.BadParameter("--by names a person")
    given = Review(
        action=VERDICTS[verdict],
        actor=Actor.PROCTOR,
        reviewed_by=reviewer.strip(),
        reviewer_email=reviewer.strip() if accounts.is_email(reviewer.strip()) else "",
        comments=tuple(Comment(comment=text, status=verdict) for text in comments),
    )
    by = By(actor=Actor.PROCTOR, who=actor())
    with exam_store() as store, store.write() as session:
        outcome = attempts.judge(session, attempt_id, given, by)
    _say(outcome)


def _act(attempt_id: int, action: Action, reason: str) -> None:
    with exam_store() as store, store.write() as session:
        outcome = attempts.act(session, attempt_id, action, staff(reason))
    _say(outcome)


_SAID = {
    Effect.CHANGE: "is {status}",
    Effect.SAME: "was {status} before: nothing was changed",
    Effect.KEEP: "is {status}; the review counts when it is submitted",
    Effect.NOTE: "is {status}: recorded beside what a person has decided",
    Effect.REMOVE: "was removed",
    Effect.REPLACE: "can be gone on with",
}


def _say(outcome: Outcome) -> None:
    said = _SAID[outcome.effect].format(status=outcome.attempt.status)
    click.echo(f"Attempt {outcome.attempt.id} {said}")


# -- checking ------------------------------------------------------------------------------------


@attempt.command()
@click.option("--attempt", "attempt_id", type=ROW_ID, help="Only this one.")
@click.option("--all", "is_all", is_flag=True, help="Every one, removed ones too.")
def verify(attempt_id: int | None, is_all: bool) -> None:
    """Check that nobody has edited the histories of attempts in the database.

    Exit code 1 if somebody has; each attempt and row is named.
    """
    if (attempt_id is None) != is_all:
        raise click.UsageError("Give --attempt or --all, one of the two.")
    count = flawed = 0
    with exam_store() as store:
        for each in check_all(store) if attempt_id is None else [check_one(store, attempt_id)]:
            count += 1
            if each.flaw is not None:
                flawed += 1
                click.echo(f"Attempt {each.attempt_id}: {each.flaw}")
    click.echo(f"{count} histories checked, {flawed} with a flaw")
    if flawed:
        sys.exit(1)
