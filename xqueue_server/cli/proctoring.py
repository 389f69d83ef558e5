"""`xqueue-server proctoring`: does what proctoring relies on hold, and who is course staff?"""

from __future__ import annotations

import sys

import click

from proctoring_hooks.joining import Joining
from proctoring_hooks.joining import check as joining_check
from proctoring_hooks.worker.check import Level, check_worker
from xqueue_server import settings
from xqueue_server.callbacks.in_flight import Concurrency
from xqueue_server.cli.deliver import create_lms_http
from xqueue_server.cli.environment import actor
from xqueue_server.cli.exam_store import exam_store
from xqueue_server.cli.finding import Finding, Verdict
from xqueue_server.cli.paging import ROW_ID
from xqueue_server.cli.proctoring_checks import check_all, providers_of
from xqueue_server.errors import InvalidRequest, NotFound
from xqueue_server.storage import events
from xqueue_server.storage.proctoring.session import ProctoringSession

MOST_CHARS = 255


@click.group()
def proctoring() -> None:
    """Check what proctored exams rely on, and say who is staff of a course."""


@proctoring.command("check-worker")
@click.argument("place")
def check_worker_command(place: str) -> None:
    """Look at the worker bundles at PLACE, an address or a directory, as a learner's page would.

    Ends with 1 if learners could not start an exam with them.
    """
    findings = check_worker(place)
    for finding in findings:
        click.echo(f"{finding.level}: {finding.where}: {finding.text}")
    if any(finding.level is Level.ERROR for finding in findings):
        sys.exit(1)
    click.echo("The worker bundles can be used")


COURSE = click.argument("course")
LMS = click.argument("lms")
USER = click.argument("user_id", metavar="USER_ID", type=click.IntRange(min=1))


@proctoring.command("grant-staff")
@LMS
@COURSE
@USER
def grant_staff(lms: str, course: str, user_id: int) -> None:
    """Let the LMS's user with this numeric id act as staff of COURSE in the exam service."""
    if not 0 < len(course) <= MOST_CHARS or not course.isprintable():
        raise InvalidRequest(f"COURSE must have 1 to {MOST_CHARS} printable characters")
    with exam_store() as store, store.write() as session:
        name = session.lms(lms).name
        session.service.grant_staff(name, course, str(user_id), who=actor())
        _record(session, name, "course staff granted", f"course={course}, user={user_id}")
    click.echo(f"User {user_id} of LMS {name} is staff of {course}")


@proctoring.command("revoke-staff")
@LMS
@COURSE
@USER
def revoke_staff(lms: str, course: str, user_id: int) -> None:
    """Take that away again. Whom the LMS's own tokens call staff stays so."""
    with exam_store() as store, store.write() as session:
        if not session.service.revoke_staff(lms, course, str(user_id)):
            raise NotFound(f"User {user_id} of LMS {lms} has no such grant for {course}")
        _record(session, lms, "course staff revoked", f"course={course}, user={user_id}")
    click.echo(f"User {user_id} of LMS {lms} is no longer staff of {course} by a grant")


@proctoring.command("staff")
@LMS
@COURSE
def staff(lms: str, course: str) -> None:
    """List the user ids that are staff of COURSE by a grant, one on each line."""
    with exam_store() as store, store.read() as session:
        for user_id in session.service.course_staff(session.lms(lms).name, course):
            click.echo(user_id)


def _record(session: ProctoringSession, lms: str, why: str, detail: str) -> None:
    events.append(session.tx, subject=f"lms {lms}", actor=actor(), why=why, detail=detail)


@proctoring.command("check")
@LMS
@click.option("--user-id", help="Of one known learner: the number in the LMS.")
@click.option("--obscured", help="Of the same one: the id by which the LMS names him to providers.")
@click.option("--attempt", "attempt_id", type=ROW_ID, help="Instead: an attempt that is his.")
@click.option("--offline", is_flag=True, help="Ask nobody: only whether the ids join.")
def check(
    lms: str,
    user_id: str | None,
    obscured: str | None,
    attempt_id: int | None,
    offline: bool,
) -> None:
    """Check what the LMS and this server must agree on; ends with 1 if they do not.

    With a known learner: that the stored obfuscation key joins attempts to submissions. Then that
    the LMS gives us a token, that grades may go to it and it can be reached, that the providers of
    its exams know us, and that our worker bundles are served. Each line says what to do.
    """
    if (user_id is None) != (obscured is None and attempt_id is None) or (obscured and attempt_id):
        raise click.UsageError("Give --user-id with either --obscured or --attempt, or neither.")
    loaded = settings.load()
    with exam_store(loaded) as store, store.read() as session:
        found = session.lms(lms)
        providers = providers_of(session, lms)
        if attempt_id is not None:
            obscured = session.attempts.get(attempt_id).learner.obscured_id
    findings = []
    if user_id is not None:
        joining = joining_check(found, user_id=user_id, obscured=obscured or "")
        findings.append(_told(joining))
    if not offline:
        http = create_lms_http(loaded, Concurrency())
        try:
            findings += check_all(loaded, http, found, providers)
        finally:
            http.close()
    for each in findings:
        click.echo(f"{each.verdict}: {each.what}: {each.found}")
        if each.to_do is not None:
            click.echo(f"      {each.to_do}")
    if any(each.verdict is Verdict.FAIL for each in findings):
        sys.exit(1)


def _told(joining: Joining) -> Finding:
    """Its words say what to do."""
    verdict = Verdict.OK if joining.is_joined else Verdict.FAIL
    return Finding(verdict=verdict, what="learners", found=joining.words)
