"""`xqueue-server queue`: which queues there are and on which terms they lease."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

import click

from xqueue_server.cli import queue_order, queue_policy
from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.output import duration, json_option, show_facts, show_json, show_table
from xqueue_server.models.queue import (
    GIVE_UP_AFTER_S,
    LEASE_S,
    MAX_ATTEMPTS,
    MAX_PLATFORM_FAILURES,
    NAME,
    Queue,
)
from xqueue_server.models.submission import (
    LEAST_PRIORITY,
    MOST_PRIORITY,
    UNFINISHED,
    SubmissionState,
)
from xqueue_server.storage import Transaction, browsing, ordering, policies, queues
from xqueue_server.storage.policies import Policy

Command = TypeVar("Command", bound=Callable[..., Any])

_A_YEAR_S = 366 * 24 * 3600


@click.group()
def queue() -> None:
    """Add, change and look at queues."""


for _command in (*queue_order.COMMANDS, *queue_policy.COMMANDS):
    queue.add_command(_command)


def _new_name(_ctx: click.Context, _param: click.Parameter, name: str) -> str:
    if not NAME.fullmatch(name):
        raise click.BadParameter("up to 128 letters, digits, spaces and . : @ + - _")
    return name


def _terms(command: Command) -> Command:
    """The options that `add` and `set` share; absent ones are None."""
    for option in reversed(
        [
            click.option(
                "--lease-s",
                type=click.IntRange(1, _A_YEAR_S),
                help="Seconds that a grader has before the submission goes to another one. Must "
                f"outlast any grading of graders that can not renew. [default: {LEASE_S}]",
            ),
            click.option(
                "--max-attempts",
                type=click.IntRange(1, 1000),
                help=f"Leases before a submission is held for people. [default: {MAX_ATTEMPTS}]",
            ),
            click.option(
                "--give-up-after-s",
                type=click.IntRange(0, _A_YEAR_S),
                help="Seconds that a held submission waits for people before the learner is told "
                "that no grade comes, which is irreversible at the LMS and spends the attempt; "
                f"0: for ever. [default: {GIVE_UP_AFTER_S}]",
            ),
            click.option(
                "--max-platform-failures",
                type=click.IntRange(1, 100_000),
                help="Failures of the workers' own platform, in a row, before a submission is "
                f"held. [default: {MAX_PLATFORM_FAILURES}]",
            ),
            click.option(
                "--priority",
                type=click.IntRange(LEAST_PRIORITY, MOST_PRIORITY),
                help="Among the queues that a worker asks together; the highest is served first. "
                "[default: 0]",
            ),
            click.option(
                "--learner-cap",
                type=queue_order.CapType(),
                help="Submissions of one learner that wait in line or are being graded at once; "
                "further ones wait beside it. [default: none]",
            ),
        ]
    ):
        command = option(command)
    return command


@queue.command()
@click.argument("name", callback=_new_name)
@_terms
def add(name: str, **terms: int | None) -> None:
    """Add the queue NAME. Course content names it in the attribute `queuename`."""
    with database() as storage, storage.write() as tx:
        queues.add(tx, Queue(name=name, **_given(terms)), actor=actor())
    click.echo(f"Added queue {name}")


@queue.command("set")
@click.argument("name")
@_terms
def set_terms(name: str, **terms: int | None) -> None:
    """Change terms of the queue NAME. Leases already given keep theirs."""
    if not _given(terms):
        raise click.UsageError("Give at least one option to change.")
    with database() as storage, storage.write() as tx:
        queues.change(tx, dataclasses.replace(queues.get(tx, name), **_given(terms)), actor=actor())
    click.echo(f"Changed queue {name}")


@queue.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove the queue NAME; refused while any of its submissions is kept."""
    with database() as storage, storage.write() as tx:
        queues.remove(tx, name, actor=actor())
    click.echo(f"Removed queue {name}")


@queue.command("list")
@json_option
def list_queues(as_json: bool) -> None:
    """List queues with their terms and unfinished submissions."""
    with database() as storage, storage.read() as tx:
        found, counts, own = queues.all_queues(tx), _counts(tx), policies.all_policies(tx)
        weights = {q.name: ordering.weights_of(tx, q.name) for q in found} if as_json else {}
    if as_json:
        show_json([_as_object(q, counts[q.name], own.get(q.name), weights[q.name]) for q in found])
        return
    states = (s.upper() for s in UNFINISHED)
    headers = ["NAME", "LEASE", "ATTEMPTS", "GIVE UP AFTER", *states]
    lines = [_line(q, counts[q.name]) for q in found]
    columns: dict[str, list[Any]] = {
        **{header: [of(q) for q in found] for header, of in _ORDER_COLUMNS.items()},
        **{header: [of(own.get(q.name)) for q in found] for header, of in _POLICY_COLUMNS.items()},
    }
    for header, shown in columns.items():
        if any(shown):
            headers.append(header)
            lines = [(*line, fact) for line, fact in zip(lines, shown, strict=True)]
    show_table(headers, lines)


@queue.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show the queue NAME."""
    with database() as storage, storage.read() as tx:
        found, counts, own = queues.get(tx, name), _counts(tx)[name], policies.of_queue(tx, name)
        weights = ordering.weights_of(tx, name)
    if as_json:
        show_json(_as_object(found, counts, own, weights))
        return
    show_facts(
        [
            ("name", found.name),
            ("lease", duration(found.lease_s)),
            ("max attempts", found.max_attempts),
            ("give up after", _give_up_after(found)),
            ("max platform failures", found.max_platform_failures),
            *queue_order.order_facts(found, weights),
            *((str(state), counts[state]) for state in UNFINISHED),
            *queue_policy.policy_facts(own),
        ]
    )


_Counts = dict[SubmissionState, int]
_ORDER_COLUMNS = {
    "PRIORITY": queue_order.priority_of,
    "LEARNER CAP": queue_order.cap_of,
    "PAUSED": queue_order.paused_of,
}
_POLICY_COLUMNS = {
    "ISOLATION": queue_policy.isolation_of,
    "MARK": queue_policy.forgeable_mark,
}
"""Of the list, both, each where a queue has it."""


def _counts(tx: Transaction) -> defaultdict[str, _Counts]:
    found: defaultdict[str, _Counts] = defaultdict(lambda: dict.fromkeys(UNFINISHED, 0))
    for entry in browsing.unfinished_counts(tx):
        found[entry.queue][entry.state] = entry.count
    return found


def _line(queue: Queue, counts: _Counts) -> tuple[Any, ...]:
    terms = (queue.name, duration(queue.lease_s), queue.max_attempts, _give_up_after(queue))
    return (*terms, *(counts[state] for state in UNFINISHED))


def _as_object(
    queue: Queue, counts: _Counts, policy: Policy | None, weights: dict[str, int]
) -> dict[str, object]:
    own = dataclasses.asdict(policy or Policy(queue=queue.name))
    own.pop("queue")
    return dataclasses.asdict(queue) | {
        "course_weights": weights,
        "unfinished": counts,
        "graders": own | {"forgeable": own["legacy_reason"] is not None},
    }


def _give_up_after(queue: Queue) -> str:
    return duration(queue.give_up_after_s) if queue.give_up_after_s else "never"


def _given(terms: dict[str, int | None]) -> dict[str, Any]:
    given: dict[str, Any] = {name: value for name, value in terms.items() if value is not None}
    if given.get("learner_cap") == 0:
        given["learner_cap"] = None  # "none"
    return given
