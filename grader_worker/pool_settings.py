"""The [[pools]] of workers.toml, and the numbers of a pool or a queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grader_worker.assignment import ServedQueue
from grader_worker.errors import SettingsError
from grader_worker.pool import MOST_WORKERS, Bounds, Pool
from grader_worker.server_account import ServerAccount
from grader_worker.toml_table import (
    Table,
    nearest,
    optional,
    refuse_unknown,
    required,
    table_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One of [[queues]]: alone it is a pool of its own."""

    server: str
    queue: ServedQueue
    concurrency: int | None
    autoscale: Bounds | None

    def as_pool(self) -> Pool:
        return Pool(
            name=self.queue.name,
            queues=(self.queue,),
            concurrency=self.concurrency or 1,
            autoscale=self.autoscale,
        )


def read_pools(
    tables: object, rows: Sequence[QueueRow], accounts: Mapping[str, ServerAccount]
) -> tuple[Pool, ...]:
    """Those of [[pools]], then the queues that are in none."""
    if not isinstance(tables, list):
        raise SettingsError("pools must be [[pools]]")
    taken: list[QueueRow] = []
    pools = []
    for at, table in enumerate(tables):
        where = f"pools[{at}]"
        members = _members(table_of(table, where), where, rows, accounts)
        for row in members:
            if row in taken:
                raise SettingsError(f"{where}: queue {row.queue.name!r} is in two pools")
            if row.concurrency is not None or row.autoscale is not None:
                raise SettingsError(
                    f"{where}: queue {row.queue.name!r} has a concurrency or autoscale of its own:"
                    " those of the pool count"
                )
        taken += members
        pools.append(
            Pool(
                name=required(table, "name", str, where),
                queues=tuple(row.queue for row in members),
                concurrency=read_concurrency(table, where) or 1,
                autoscale=read_autoscale(table, where),
            )
        )
    return (*pools, *(row.as_pool() for row in rows if row not in taken))


def _members(
    table: Table, where: str, rows: Sequence[QueueRow], accounts: Mapping[str, ServerAccount]
) -> list[QueueRow]:
    refuse_unknown(table, ("name", "queues", "server", "concurrency", "autoscale"), where)
    server = optional(table, "server", str, where)
    if server is not None and server not in accounts:
        raise SettingsError(f"{where}: no server {server!r}{nearest(server, accounts)}")
    names = table.get("queues")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise SettingsError(f'{where}: queues must be a list of names, as ["a", "b"]')
    if len(set(names)) < len(names):
        raise SettingsError(f"{where}: a queue is listed twice")
    return [_member(name, server, where, rows) for name in names]


def _member(name: str, server: str | None, where: str, rows: Sequence[QueueRow]) -> QueueRow:
    found = [row for row in rows if row.queue.name == name and server in (None, row.server)]
    if not found:
        known = [row.queue.name for row in rows if server in (None, row.server)]
        raise SettingsError(f"{where}: no queue {name!r} in [[queues]]{nearest(name, known)}")
    if len(found) > 1:
        raise SettingsError(f"{where}: several servers have a queue {name!r}: name the server")
    return found[0]


def read_concurrency(table: Table, where: str) -> int | None:
    concurrency = optional(table, "concurrency", int, where)
    if concurrency is not None and not 1 <= concurrency <= MOST_WORKERS:
        raise SettingsError(f"{where}: concurrency must be at least 1 and at most {MOST_WORKERS}")
    return concurrency


def read_autoscale(table: Table, where: str) -> Bounds | None:
    bounds = table.get("autoscale")
    if bounds is None:
        return None
    if not isinstance(bounds, list) or [type(each) for each in bounds] != [int, int]:
        raise SettingsError(f"{where}: autoscale must be [MIN, MAX], as [1, 8]")
    try:
        return Bounds(least=bounds[0], most=bounds[1])
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from error
