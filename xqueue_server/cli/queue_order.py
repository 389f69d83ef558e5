"""Who of a queue is served, and when: verbs of `queue` that pause it and weigh its courses."""

from __future__ import annotations

from typing import Any

import click

from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.output import when
from xqueue_server.errors import NotFound
from xqueue_server.models.callback_url import MOST_COURSE_CHARS
from xqueue_server.models.queue import Queue
from xqueue_server.storage import ordering, queues
from xqueue_server.storage.ordering import MOST_WEIGHT


class CapType(click.ParamType[int]):
    """A number of submissions, or "none" (as 0: None is an option that was not given)."""

    name = "N|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "none":
            return 0
        return click.IntRange(1, 10_000).convert(value, param, ctx)


@click.command()
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Why; shown with the queue.")
def pause(name: str, reason: str) -> None:
    """Hand out nothing of the queue NAME until `queue resume`.

    Submissions are still taken in, and results of what is being graded too.
    """
    if not reason.strip():
        raise click.UsageError("Give a reason.")
    with database() as storage, storage.write() as tx:
        queues.pause(tx, name, reason=reason.strip(), actor=actor())
    click.echo(f"Paused queue {name}: nothing is handed out until `queue resume`")


@click.command()
@click.argument("name")
def resume(name: str) -> None:
    """Let the paused queue NAME hand out again."""
    with database() as storage, storage.write() as tx:
        queues.resume(tx, name, actor=actor())
    click.echo(f"Resumed queue {name}")


@click.command()
@click.argument("name")
@click.argument("course")
@click.argument("weight", required=False, type=click.IntRange(1, MOST_WEIGHT))
@click.option("--remove", is_flag=True, help="Back to 1.")
def weight(name: str, course: str, weight: int | None, remove: bool) -> None:
    """Give COURSE a WEIGHT times the share of a course without one on the queue NAME.

    COURSE is the id as the LMS has it, like course-v1:Org+Course+Run. It counts for what arrives
    from now on.
    """
    if remove == (weight is not None):
        raise click.UsageError("Give a weight, or --remove.")
    if not course.isprintable() or len(course) > MOST_COURSE_CHARS:
        raise click.BadParameter("is no course id", param_hint="COURSE")
    with database() as storage, storage.write() as tx:
        queues.get(tx, name)
        if weight is not None:
            ordering.set_weight(tx, name, course, weight, actor=actor())
        elif not ordering.remove_weight(tx, name, course, actor=actor()):
            raise NotFound(f"Course '{course}' has no weight of its own on queue '{name}'")
    click.echo(f"Course {course} has weight {weight or 1} on queue {name}")


def order_facts(queue: Queue, weights: dict[str, int]) -> list[tuple[str, object]]:
    """What `queue show` says of it."""
    return [
        ("priority", queue.priority),
        ("learner cap", cap_of(queue) or "none"),
        ("paused", paused_of(queue) or "no"),
        *((f"weight of {course}", weight) for course, weight in weights.items()),
    ]


def priority_of(queue: Queue) -> int | None:
    """What the list shows, where it is not the usual one."""
    return queue.priority or None


def cap_of(queue: Queue) -> int | None:
    return queue.learner_cap


def paused_of(queue: Queue) -> str | None:
    if queue.paused_at is None:
        return None
    return f"since {when(queue.paused_at)} by {queue.paused_by}: {queue.paused_reason}"


COMMANDS = (pause, resume, weight)
