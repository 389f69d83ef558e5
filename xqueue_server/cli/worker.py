"""`xqueue-server worker`: which hosts grade, and what is wanted of them."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from typing import Any

import click

from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.output import json_option, show_json, show_table
from xqueue_server.storage import workers
from xqueue_server.storage.workers import AnnouncedWorker, Wish, WorkerHost
from xqueue_server.workload import workforce


@click.group()
def worker() -> None:
    """Look at worker hosts, and say what is wanted of them."""


@worker.command("list")
@json_option
def list_workers(as_json: bool) -> None:
    """List the hosts that have announced themselves within the last day, with their workers."""
    with database() as storage, storage.read() as tx:
        hosts = workers.hosts(tx)
        at_work: dict[str, list[AnnouncedWorker]] = defaultdict(list)
        for each in workers.all_workers(tx):
            at_work[each.host].append(each)
        wanted: dict[str, list[Wish]] = defaultdict(list)
        for wish in workers.all_wishes(tx):
            wanted[wish.host].append(wish)
    if as_json:
        show_json([_as_object(host, at_work[host.host], wanted[host.host]) for host in hosts])
        return
    show_table(
        ["HOST", "STATE", "LAST BEAT", "BACKEND", "CANARY", "WORKERS", "WANTED", "VERSION"],
        [_line(host, at_work[host.host], wanted[host.host]) for host in hosts],
    )


class QueueCount(click.ParamType[tuple[str, int]]):
    """`QUEUE=N`."""

    name = "queue=n"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        queue, _, number = str(value).rpartition("=")
        if not queue or not (number.isascii() and number.isdecimal() and len(number) < 6):
            self.fail(f"{value!r} is not like cs101=4", param, ctx)
        if int(number) > workforce.MOST_WORKERS:
            self.fail(f"at most {workforce.MOST_WORKERS} workers", param, ctx)
        return queue, int(number)


@worker.command()
@click.argument("host")
@click.argument("wanted", metavar="QUEUE=N", type=QueueCount(), nargs=-1, required=True)
def scale(host: str, wanted: tuple[tuple[str, int], ...]) -> None:
    """Want so many workers for a queue on HOST; 0 drains it.

    The host is told with its next beat, within 10 seconds. It holds until `worker release`, or
    until the host ends cleanly.
    """
    with database() as storage:
        for queue, count in wanted:
            workforce.wish(storage, host, queue, count, actor=actor())
            click.echo(f"Host {host} is to run {count} workers for queue {queue}")


@worker.command()
@click.argument("host")
def drain(host: str) -> None:
    """Let HOST finish what it grades, and begin nothing more."""
    with database() as storage:
        drained = workforce.drain(storage, host, actor=actor())
    click.echo(f"Host {host} drains {', '.join(drained) or 'nothing: it serves no queue'}")


@worker.command()
@click.argument("host")
def release(host: str) -> None:
    """Let HOST decide for itself again how many workers it runs."""
    with database() as storage:
        released = workforce.withdraw_all(storage, host, actor=actor())
    click.echo(f"Host {host} decides for itself for {', '.join(released) or 'every queue already'}")


@worker.command()
@click.argument("host")
def forget(host: str) -> None:
    """Remove HOST from the list. One that still runs announces itself anew."""
    with database() as storage:
        workforce.forget(storage, host, actor=actor())
    click.echo(f"Forgot host {host}")


def _as_object(
    host: WorkerHost, at_work: list[AnnouncedWorker], wanted: list[Wish]
) -> dict[str, object]:
    row = dataclasses.asdict(host)
    del row["account_id"], row["is_alive"]
    return row | {
        "state": _state(host),
        "workers": [_without_host(each) for each in at_work],
        "wishes": [_without_host(each) for each in wanted],
    }


def _without_host(row: AnnouncedWorker | Wish) -> dict[str, object]:
    found = dataclasses.asdict(row)
    del found["host"]
    return found


def _line(
    host: WorkerHost, at_work: list[AnnouncedWorker], wanted: list[Wish]
) -> tuple[object, ...]:
    return (
        host.host,
        _state(host),
        host.beat_at,
        host.backend,
        None if host.is_canary_ok is None else "ok" if host.is_canary_ok else "FAILED",
        ", ".join(_counted(at_work)),
        ", ".join(f"{wish.queue}={wish.count}" for wish in wanted),
        host.version,
    )


def _counted(at_work: list[AnnouncedWorker]) -> list[str]:
    """For each queue and state how many."""
    counts = Counter((each.queue, each.state) for each in at_work)
    return [f"{queue}: {count} {state}" for (queue, state), count in sorted(counts.items())]


def _state(host: WorkerHost) -> str:
    return "alive" if host.is_alive else "gone"
