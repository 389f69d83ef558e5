"""`xqueue-server exam`: exams, what submissions they claim, and their terms."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from enum import StrEnum
from typing import Any, TextIO
from uuid import uuid4

import click

from proctoring_hooks import publishing, saving
from proctoring_hooks.clock import Allowance, AllowanceKind
from proctoring_hooks.exam import Exam, Readying, Release, Reviewing, Unmatched
from proctoring_hooks.incidents import read_policy
from proctoring_hooks.publishing import BadExams
from proctoring_hooks.terms import BadTerms, read_rules, read_staff, warnings_of
from xqueue_server.cli import exam_held
from xqueue_server.cli.environment import actor
from xqueue_server.cli.exam_store import EXAM_ID, exam_store, looked
from xqueue_server.cli.output import json_option, show_facts, show_json, show_section, show_table
from xqueue_server.cli.paging import page_options, tell_of_older
from xqueue_server.models.scope import EVERYTHING
from xqueue_server.storage import events
from xqueue_server.storage.proctoring import browsing, claims
from xqueue_server.storage.proctoring.claims import ClaimKind
from xqueue_server.storage.proctoring.session import ProctoringSession

NOBODY_JUDGES = """\
auto_pass: NOBODY watches or judges these attempts. Every attempt that is submitted counts as
verified, whatever happened in it. Each page and each review will say so."""
A_WHOLE_QUEUE = """\
A whole queue: EVERY submission to {queue} from this LMS belongs to the exam from now on, also
those of homework. Whoever has no attempt in progress is held back, or refused."""
MOST_MINUTES = 7 * 24 * 60


def one_of(kind: type[StrEnum]) -> click.Choice[str]:
    """By the stored words; click's own choice of an enum is by its members' names."""
    return click.Choice([each.value for each in kind])


@click.group()
def exam() -> None:
    """Look at exams, set their terms, and say which submissions belong to them."""


for _command in exam_held.COMMANDS:
    exam.add_command(_command)


@exam.command("list")
@click.option("--lms", help="Only of this LMS.")
@click.option("--course", help="Only of this course.")
@click.option("--all", "also_inactive", is_flag=True, help="Inactive ones, too.")
@page_options
@json_option
def list_exams(
    lms: str | None,
    course: str | None,
    also_inactive: bool,
    limit: int,
    before: int | None,
    as_json: bool,
) -> None:
    """List exams, newest first."""
    with exam_store() as store, store.read() as session:
        found = browsing.exams_page(
            session.tx,
            EVERYTHING,
            lms=lms,
            course=course,
            active=None if also_inactive else True,
            limit=limit,
            before=before,
        )
    if as_json:
        show_json(found)
        return
    show_table(
        ["ID", "LMS", "COURSE", "NAME", "TYPE", "MINUTES", "DUE", "ACTIVE", "CLOCK"],
        [
            (
                each.id,
                each.lms,
                each.course_id,
                each.exam_name,
                each.exam_type,
                each.time_limit_mins,
                each.due_at,
                each.is_active,
                each.clock_owner,
            )
            for each in found
        ],
    )
    tell_of_older([each.id for each in found], limit)


@exam.command()
@EXAM_ID
@json_option
def show(exam_id: int, as_json: bool) -> None:
    """Show one exam with its terms, claims and allowances."""
    with exam_store() as store:
        with store.read() as session:
            found = session.exams.get(exam_id)
            claimed = claims.of_exam(session.tx, exam_id)
            granted = browsing.allowances_of(session.tx, exam_id)
        if granted:
            looked(store, f"exam {exam_id}")
    if as_json:
        given = dataclasses.asdict(found)
        show_json(given | {"claims": claimed, "allowances": granted})
        return
    facts = [(f.name, getattr(found, f.name)) for f in dataclasses.fields(Exam)]
    terms = dataclasses.asdict(found.terms)
    show_facts([(name.replace("_", " "), value) for name, value in facts if name != "terms"])
    show_section("Terms", lambda: show_facts([(n.replace("_", " "), v) for n, v in terms.items()]))
    show_section(
        "Claims",
        lambda: show_table(
            ["KIND", "VALUE", "BY", "AT"],
            [(each.kind, each.value, each.claimed_by, each.claimed_at) for each in claimed],
        ),
    )
    show_section(
        "Allowances",
        lambda: show_table(
            ["LEARNER", "KIND", "VALUE", "BY", "AT"],
            [
                (
                    each.user_id,
                    each.allowance.kind,
                    each.allowance.value,
                    each.granted_by,
                    each.granted_at,
                )
                for each in granted
            ],
        ),
    )


@exam.command("set")
@EXAM_ID
@click.option(
    "--release",
    type=one_of(Release),
    help="When the LMS gets the grades.",
)
@click.option(
    "--unmatched",
    type=one_of(Unmatched),
    help="What becomes of submissions without an attempt, or after its end.",
)
@click.option(
    "--review",
    type=one_of(Reviewing),
    help="Who judges, without a provider.",
)
@click.option(
    "--readying",
    type=one_of(Readying),
    help="What lets a learner start.",
)
@click.option("--provider", help='Name of a proctoring provider; "": none.')
@click.option(
    "--incident-policy", help="record, flag, two_strikes, warn_then_review, or a JSON object."
)
@click.option(
    "--needs-onboarding/--needs-no-onboarding",
    default=None,
    help="Whether learners must have passed the course's onboarding exam, where it has one.",
)
@click.option("--grace-s", type=click.IntRange(0, 3600), help="Seconds after the end.")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="KEY=SENTENCE",
    help="What learners may and may not do; repeatable. KEY= takes that rule away.",
)
@click.option(
    "--staff",
    metavar="IDS",
    help='The LMS\'s user ids of those who try the exam, like 12,17; "": nobody.',
)
@click.option("--yes", is_flag=True, help="Do not ask about auto_pass.")
def set_terms(exam_id: int, yes: bool, rules: tuple[str, ...], **given: Any) -> None:
    """Change what is given of the terms of EXAM, for what happens from now on."""
    changes = {name: value for name, value in given.items() if value is not None}
    named = _named_rules(rules)
    if "staff" in changes:
        changes["staff"] = _staff(changes["staff"])
    if not changes and not named:
        raise click.UsageError("Say what to change.")
    if changes.get("review") == Reviewing.AUTO_PASS:
        click.secho(NOBODY_JUDGES, err=True, bold=True)
        if not yes:
            click.confirm("Is that what the course team wants?", abort=True, err=True)
    with exam_store() as store, store.write() as session:
        found = session.exams.get(exam_id)
        read_policy(changes.get("incident_policy", ""))
        if provider := changes.get("provider"):
            session.provider_url(provider)
        if named:
            changes["rules"] = _with_rules(found.terms.rules, named)
        terms = dataclasses.replace(found.terms, **_typed(changes))
        saving.change(session, exam_id, terms=terms)
        detail = ", ".join(f"{name}={_said_of(value)}" for name, value in changes.items())
        _record(session, exam_id, "terms changed", detail)
    click.echo(f"Changed exam {exam_id}: {detail}")
    for warning in warnings_of(terms):
        click.secho(f"Warning: {warning}", err=True)


_KINDS: dict[str, type[StrEnum]] = {
    "release": Release,
    "unmatched": Unmatched,
    "review": Reviewing,
    "readying": Readying,
}


def _typed(changes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _KINDS[name](value) if name in _KINDS else value for name, value in changes.items()
    }


def _named_rules(given: tuple[str, ...]) -> dict[str, str]:
    """An empty sentence: to be taken away."""
    pairs = [each.partition("=") for each in given]
    if any(not separator for _, separator, _ in pairs):
        raise click.UsageError("--rule is written KEY=SENTENCE, or KEY= to take it away.")
    return {key: sentence for key, _, sentence in pairs}


def _with_rules(before: dict[str, str], named: dict[str, str]) -> dict[str, str]:
    gone = {key for key, sentence in named.items() if not sentence}
    if unknown := sorted(gone - before.keys()):
        raise click.ClickException(f"--rule: there is no rule {unknown[0]!r} to take away")
    kept = {key: sentence for key, sentence in before.items() if key not in named}
    try:
        given = read_rules({key: named[key] for key in named.keys() - gone})
        return kept | {key: given[key] for key in named if key in given}
    except BadTerms as error:
        raise click.ClickException(f"--rule: {error}") from None


def _staff(text: str) -> tuple[str, ...]:
    try:
        return read_staff([each.strip() for each in text.split(",")] if text.strip() else [])
    except BadTerms as error:
        raise click.BadParameter(str(error), param_hint="--staff") from None


def _said_of(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple | dict) else str(value)


# -- publishing ----------------------------------------------------------------------------------


@exam.command()
@click.argument("lms")
@click.argument("course")
@click.argument("path", metavar="FILE", type=click.File(encoding="utf-8"))
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
def push(lms: str, course: str, path: TextIO, dry_run: bool) -> None:
    """Publish all exams of COURSE, a JSON list in FILE, as the course's authors do.

    Those of our own that are not in the list become inactive. `-` is standard input.
    """
    try:
        published = publishing.read_exams(json.load(path))
    except ValueError as error:
        raise click.ClickException("FILE must be a JSON list of exams") from error
    except BadExams as error:
        raise click.ClickException(_said(error)) from error
    with exam_store() as store:
        try:
            with store.write() as session:
                before = _of_course(session, lms, course)
                of_course = session.service.course(lms, course, lock=True)
                publishing.publish(
                    session,
                    lms,
                    course,
                    published,
                    terms=dataclasses.replace(of_course.terms, provider=of_course.provider),
                    new_id=lambda: uuid4().hex,
                )
                changes = _changes(before, _of_course(session, lms, course))
                if dry_run:
                    raise _OnlyShown
                detail = f"{len(published)} exams by a list"
                events.append(
                    session.tx,
                    subject=f"course {course}",
                    actor=actor(),
                    why="exams published",
                    detail=detail,
                )
        except _OnlyShown:
            pass
        except BadExams as error:
            raise click.ClickException(_said(error)) from error
    for line in changes:
        click.echo(line)
    click.echo("Nothing was written" if dry_run else f"Published {len(published)} exams")


class _OnlyShown(Exception):
    """Rolls a dry run back."""


def _of_course(session: ProctoringSession, lms: str, course: str) -> dict[int, Exam]:
    session.lms(lms)
    return {each.id: each for each in session.exams.of_course(lms, course, active_only=False)}


def _changes(before: dict[int, Exam], after: dict[int, Exam]) -> list[str]:
    lines = []
    for exam_id, now in after.items():
        was = before.get(exam_id)
        name = f"{now.exam_name} ({now.exam_type}, {now.content_id})"
        if was is None:
            lines.append(f"new: {name}")
        elif was.is_active and not now.is_active:
            lines.append(f"inactive: {exam_id} {name}")
        elif was != now:
            lines.append(f"changed: {exam_id} {name}")
    return lines


def _said(error: BadExams) -> str:
    if isinstance(error.errors, dict):
        return "; ".join(text for texts in error.errors.values() for text in texts)
    return "; ".join(
        f"item {number}: {field}: {' '.join(texts)}"
        for number, wrong in enumerate(error.errors, 1)
        for field, texts in wrong.items()
    )


# -- claims --------------------------------------------------------------------------------------


def _what(problem: str | None, queue: str | None) -> tuple[ClaimKind, str]:
    if (problem is None) == (queue is None):
        raise click.UsageError("Give --problem or --queue, one of the two.")
    if problem is not None:
        return ClaimKind.PROBLEM, problem
    return ClaimKind.QUEUE, str(queue)


PROBLEM = click.option("--problem", metavar="USAGE-ID", help="A problem, as in callback URLs.")
QUEUE = click.option("--queue", help="A whole queue.")


@exam.command()
@EXAM_ID
@PROBLEM
@QUEUE
@click.option("--yes", is_flag=True, help="Do not ask about a whole queue.")
def claim(exam_id: int, problem: str | None, queue: str | None, yes: bool) -> None:
    """Let submissions of a problem, or of a whole queue, belong to EXAM from now on."""
    kind, value = _what(problem, queue)
    if kind is ClaimKind.QUEUE:
        click.secho(A_WHOLE_QUEUE.format(queue=value), err=True, bold=True)
        if not yes:
            click.confirm("Claim it?", abort=True, err=True)
    with exam_store() as store, store.write() as session:
        found = session.exams.get(exam_id)
        is_new = claims.add(session.tx, found, kind, value, actor=actor())
    click.echo(f"Exam {exam_id} {'claims' if is_new else 'has claimed before'} {kind} {value}")


@exam.command()
@EXAM_ID
@PROBLEM
@QUEUE
def unclaim(exam_id: int, problem: str | None, queue: str | None) -> None:
    """Take a claim of EXAM back; what was submitted until now stays the exam's."""
    kind, value = _what(problem, queue)
    with exam_store() as store, store.write() as session:
        found = session.exams.get(exam_id)
        if not claims.remove(session.tx, found, kind, value, actor=actor()):
            raise click.ClickException(f"Exam {exam_id} does not claim {kind} {value}")
    click.echo(f"Exam {exam_id} claims {kind} {value} no more")


# -- allowances ----------------------------------------------------------------------------------


@exam.command()
@EXAM_ID
@click.argument("learner")
@click.option("--minutes", type=click.IntRange(1, MOST_MINUTES), help="So many more.")
@click.option("--multiplier", type=click.FloatRange(1, 10), help="Times the exam's own limit.")
@click.option("--none", "is_none", is_flag=True, help="Take the allowance away.")
def allow(
    exam_id: int, learner: str, minutes: int | None, multiplier: float | None, is_none: bool
) -> None:
    """Give LEARNER (a numeric user id) more time in EXAM, from his next start on.

    Time for an attempt that is in progress: `xqueue-server attempt extend`.
    """
    if (minutes is not None) + (multiplier is not None) + is_none != 1:
        raise click.UsageError("Give --minutes, --multiplier or --none, one of them.")
    if not learner.isdecimal() or len(learner) > 20:
        raise click.BadParameter("LEARNER is the number of a user of the LMS")
    allowance = None
    if minutes is not None:
        allowance = Allowance(kind=AllowanceKind.ADDITIONAL_MINUTES, value=minutes)
    elif multiplier is not None:
        allowance = Allowance(kind=AllowanceKind.MULTIPLIER, value=multiplier)
    with exam_store() as store, store.write() as session:
        session.exams.get(exam_id)
        session.exams.allow(exam_id, learner, allowance, who=actor())
    click.echo(f"Exam {exam_id}: {'no allowance' if allowance is None else 'allowance set'}")


# -- marks ---------------------------------------------------------------------------------------


@exam.command()
@EXAM_ID
@json_option
def marks(exam_id: int, as_json: bool) -> None:
    """Write the mark sheet of EXAM to standard output as CSV."""
    with exam_store() as store:
        with store.read() as session:
            session.exams.get(exam_id)
            found = session.marks.of_exam(exam_id)
        looked(store, f"exam {exam_id}")
    if as_json:
        show_json(found)
        return
    sheet = csv.writer(sys.stdout)
    sheet.writerow(
        ["learner", "problem", "score", "factor", "counts", "state", "submission", "attempt"]
    )
    for each in found:
        sheet.writerow(
            [
                _text(each.learner),
                _text(each.problem),
                each.score,
                each.factor,
                each.counts,
                each.state,
                each.submission_id,
                each.attempt_id,
            ]
        )


def _text(given: str) -> str:
    """An LMS chose it: no spreadsheet shall take it for a formula."""
    return f"'{given}" if given.startswith(("=", "+", "-", "@", "\t")) else given


def _record(session: ProctoringSession, exam_id: int, why: str, detail: str) -> None:
    events.append(session.tx, subject=f"exam {exam_id}", actor=actor(), why=why, detail=detail)
