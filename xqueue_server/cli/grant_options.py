"""The options that name grants, shared by the account commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from xqueue_server.models.account import ALL_QUEUES, QUEUE_ROLES, Grant, Role
from xqueue_server.storage.course_grants import ROLES as COURSE_ROLES
from xqueue_server.storage.course_grants import CourseGrant

Command = TypeVar("Command", bound=Callable[..., Any])


ON_QUEUES = (
    "lms: submit. grader: lease and answer. operator: see and repair. author: publish graders and "
    "see their faults. Repeatable: many installations share one account between LMS and graders."
)
ON_COURSES = "On courses: viewer, operator, or proctor, who judges exams."
COURSE = click.option(
    "--course",
    "courses",
    multiple=True,
    metavar="COURSE",
    help="Instead of queues: a course, like course-v1:Org+Course+Run; repeatable.",
)


def grant_options(command: Command) -> Command:
    """--role, --queue and --all-queues, as `roles`, `queue_names` and `all_queues`."""
    return _options(command, QUEUE_ROLES, ON_QUEUES)


def grant_options_with_courses(command: Command) -> Command:
    """The same, and --course as `courses`; some roles are of courses alone."""
    of_courses = sorted(COURSE_ROLES - set(QUEUE_ROLES))
    return _options(COURSE(command), (*QUEUE_ROLES, *of_courses), f"{ON_QUEUES} {ON_COURSES}")


def _options(command: Command, roles: Iterable[Role], about: str) -> Command:
    for option in (
        click.option("--all-queues", is_flag=True, help="Every queue, those added later included."),
        click.option(
            "--queue", "queue_names", multiple=True, metavar="NAME", help="A queue; repeatable."
        ),
        click.option(
            "--role",
            "roles",
            multiple=True,
            required=True,
            type=click.Choice([role.value for role in roles]),
            help=about,
        ),
    ):
        command = option(command)
    return command


def grants_of(
    roles: tuple[str, ...], queue_names: tuple[str, ...], all_queues: bool
) -> list[Grant]:
    """Every role on every queue. Nothing is granted by leaving an option out."""
    if all_queues == bool(queue_names):
        raise click.UsageError(
            "Say on which queues: --queue NAME (repeatable) or --all-queues, one of the two. "
            "Nothing is allowed by default."
        )
    if ALL_QUEUES in queue_names:
        raise click.UsageError("For every queue use --all-queues.")
    names = (ALL_QUEUES,) if all_queues else queue_names
    return [Grant(role=Role(role), queue=name) for role in roles for name in names]


def course_grants_of(
    roles: tuple[str, ...], courses: tuple[str, ...], has_queues: bool
) -> list[CourseGrant]:
    """Every role on every course; empty if it is about queues."""
    if courses and has_queues:
        raise click.UsageError("Give either --course or queues; one command for each.")
    if not courses and (alone := set(roles) - {role.value for role in QUEUE_ROLES}):
        raise click.UsageError(f"{min(alone)} is a role on courses: say --course.")
    return [CourseGrant(role=Role(role), course=course) for role in roles for course in courses]
