"""workers.toml: several servers, queues and graders for one worker process.

    socket = "/run/xqueue/sandboxd.sock"      # optional
    control = "/run/xqueue/workers.sock"      # optional

    [servers.campus]
    url = "https://xqueue.example.edu"
    username = "grader"
    password_file = "/run/secrets/campus"
    basic_auth_file = "/run/secrets/proxy"    # optional, one line user:password
    ca_bundle = "/etc/ssl/campus.pem"         # optional
    whole_points = true                       # optional, for edx-submissions

    [[queues]]
    name = "python"
    server = "campus"
    grader = "/srv/graders/python"            # a directory or an image; without it, what course
                                              # teams publish on the server
    concurrency = 2                           # optional
    autoscale = [1, 8]                        # optional
    limits = { wall_s = 20, pids = 32 }       # optional, see sandbox.run.Limits
    lms_points = 10                           # optional, for an input with points="10"
    isolation = "split-container"             # optional, see sandbox.run.Isolation
    runtime = "runsc"                         # optional
    legacy_reason = "..."                     # required with, and only with, isolation = "none"

    [[pools]]                                 # optional: queues that are served together
    name = "exam"
    queues = ["a", "b"]                       # of [[queues]], all of one server
    server = "campus"                         # optional, where two servers have such queues
    concurrency = 4                           # optional
    autoscale = [1, 8]                        # optional

Relative paths are relative to the file. An unknown key is an error: a misspelt limit must not
silently be the default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from grader_worker.assignment import Assignment, ServedQueue
from grader_worker.errors import SettingsError
from grader_worker.local_grader import Wishes, local_assignment
from grader_worker.pool import Pool
from grader_worker.pool_settings import QueueRow, read_autoscale, read_concurrency, read_pools
from grader_worker.published.grader_cache import default_cache_dir
from grader_worker.server_account import ServerAccount, read_basic_auth, read_secret
from grader_worker.toml_table import (
    Table,
    above_zero,
    nearest,
    nonempty,
    optional,
    refuse_unknown,
    required,
    table_of,
    yes_or_no,
)
from sandbox.run import Isolation, Limits

QUEUE_KEYS = (
    "name",
    "server",
    "grader",
    "concurrency",
    "autoscale",
    "limits",
    "lms_points",
    "isolation",
    "runtime",
    "legacy_reason",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    pools: tuple[Pool, ...]
    socket: Path | None = None
    control: Path | None = None


def load_settings(path: Path) -> WorkerSettings:
    """Raises SettingsError, which names the file and the key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from error
    try:
        return _settings(table, path.parent)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def _settings(table: Table, here: Path) -> WorkerSettings:
    refuse_unknown(table, ("socket", "control", "servers", "queues", "pools"), "the top level")
    accounts = {
        name: _account(table_of(server, f"servers.{name}"), f"servers.{name}", here)
        for name, server in table_of(table.get("servers", {}), "servers").items()
    }
    queues = table.get("queues", [])
    if not isinstance(queues, list) or not queues:
        raise SettingsError("there is no [[queues]]: nothing to grade")
    rows = [
        _row(table_of(queue, f"queues[{at}]"), f"queues[{at}]", accounts, here)
        for at, queue in enumerate(queues)
    ]
    _refuse_twice(rows)
    pools = read_pools(table.get("pools", []), rows, accounts)
    socket = optional(table, "socket", str, "the top level")
    control = optional(table, "control", str, "the top level")
    return WorkerSettings(
        pools=pools,
        socket=here / socket if socket else None,
        control=here / control if control else None,
    )


def _account(table: Table, where: str, here: Path) -> ServerAccount:
    keys = ("url", "username", "password_file", "basic_auth_file", "ca_bundle", "whole_points")
    refuse_unknown(table, keys, where)
    basic_auth_file = optional(table, "basic_auth_file", str, where)
    ca_bundle = optional(table, "ca_bundle", str, where)
    return ServerAccount(
        url=required(table, "url", str, where),
        username=required(table, "username", str, where),
        password=read_secret(here / required(table, "password_file", str, where)),
        basic_auth=read_basic_auth(here / basic_auth_file) if basic_auth_file else None,
        ca_bundle=here / ca_bundle if ca_bundle else None,
        whole_points=yes_or_no(table, "whole_points", where),
    )


def _row(table: Table, where: str, accounts: Mapping[str, ServerAccount], here: Path) -> QueueRow:
    refuse_unknown(table, QUEUE_KEYS, where)
    server = required(table, "server", str, where)
    if server not in accounts:
        raise SettingsError(f"{where}: no server {server!r}{nearest(server, accounts)}")
    return QueueRow(
        server=server,
        queue=ServedQueue(
            account=accounts[server],
            name=required(table, "name", str, where),
            assignment=_assignment(table, where, here),
        ),
        concurrency=read_concurrency(table, where),
        autoscale=read_autoscale(table, where),
    )


def _assignment(table: Table, where: str, here: Path) -> Assignment | None:
    grader = nonempty(table, "grader", where)
    if grader is None:
        _refuse_without_grader(table, where)
        return None
    limits = table.get("limits")
    return local_assignment(
        required(table, "name", str, where),
        grader,
        Wishes(
            limits=None if limits is None else _limits(table_of(limits, where), f"{where}.limits"),
            isolation=_isolation(table, where),
            runtime=nonempty(table, "runtime", where),
            lms_points=_lms_points(table, where),
            legacy_reason=_legacy_reason(table, where),
        ),
        cache_dir=default_cache_dir(os.environ),
        relative_to=here,
    )


def _refuse_without_grader(table: Table, where: str) -> None:
    for key in ("limits", "isolation", "runtime", "lms_points", "legacy_reason"):
        if key in table:
            raise SettingsError(
                f"{where}: {key} goes with a grader; published ones bring their own"
            )


def _limits(table: Table, where: str) -> Limits:
    known = {limit.name: limit for limit in fields(Limits)}
    refuse_unknown(table, known, where)
    values: dict[str, Any] = {}
    for name in table:
        whole = isinstance(known[name].default, int)
        value = above_zero(table, name, where)
        values[name] = int(value) if whole else float(value)
    return Limits(**values)


def _lms_points(table: Table, where: str) -> float | None:
    return float(above_zero(table, "lms_points", where)) if "lms_points" in table else None


def _isolation(table: Table, where: str) -> Isolation | None:
    name = nonempty(table, "isolation", where)
    known = {isolation.value: isolation for isolation in Isolation}
    if name is not None and name not in known:
        raise SettingsError(f"{where}: unknown isolation {name!r}{nearest(name, known)}")
    return None if name is None else known[name]


def _legacy_reason(table: Table, where: str) -> str:
    """`Assignment` asks for one where it is needed; elsewhere it is a mistake."""
    reason = nonempty(table, "legacy_reason", where)
    if reason is not None and _isolation(table, where) is not Isolation.NONE:
        raise SettingsError(f'{where}: legacy_reason goes with isolation = "none" only')
    return reason or ""


def _refuse_twice(rows: Sequence[QueueRow]) -> None:
    seen: set[tuple[str, str]] = set()
    for row in rows:
        key = (row.queue.account.url, row.queue.name)
        if key in seen:
            raise SettingsError(
                f"queue {key[1]!r} of {key[0]} is listed twice: raise its concurrency instead"
            )
        seen.add(key)
