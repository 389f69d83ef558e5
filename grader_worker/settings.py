"""workers.toml: several servers, queues and graders for one worker process.

    socket = "/run/xqueue/sandboxd.sock"      # optional

    [servers.campus]
    url = "https://xqueue.example.edu"
    username = "grader"
    password_file = "/run/secrets/campus"
    basic_auth_file = "/run/secrets/proxy"    # optional, one line user:password
    ca_bundle = "/etc/ssl/campus.pem"         # optional

    [[queues]]
    name = "python"
    server = "campus"
    grader = "/srv/graders/python"            # a directory or an image; without it, what course
                                              # teams publish on the server
    concurrency = 2                           # optional
    limits = { wall_s = 20, pids = 32 }       # optional, see sandbox.run.Limits
    lms_points = 10                           # optional, for an input with points="10"
    isolation = "split-container"             # optional, see sandbox.run.Isolation
    runtime = "runsc"                         # optional
    legacy_reason = "..."                     # required with, and only with, isolation = "none"

Relative paths are relative to the file. An unknown key is an error: a misspelt limit must not
silently be the default.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from grader_worker.assignment import Assignment, ServedQueue
from grader_worker.errors import SettingsError
from grader_worker.local_grader import Wishes, local_assignment
from grader_worker.published.grader_cache import default_cache_dir
from grader_worker.server_account import ServerAccount, read_basic_auth, read_secret
from sandbox.run import Isolation, Limits

QUEUE_KEYS = (
    "name",
    "server",
    "grader",
    "concurrency",
    "limits",
    "lms_points",
    "isolation",
    "runtime",
    "legacy_reason",
)

Table = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    served: tuple[ServedQueue, ...]
    socket: Path | None = None


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
    _refuse_unknown(table, ("socket", "servers", "queues"), "the top level")
    accounts = {
        name: _account(_table(server, f"servers.{name}"), f"servers.{name}", here)
        for name, server in _table(table.get("servers", {}), "servers").items()
    }
    queues = table.get("queues", [])
    if not isinstance(queues, list) or not queues:
        raise SettingsError("there is no [[queues]]: nothing to grade")
    served = tuple(
        _served(_table(queue, f"queues[{at}]"), f"queues[{at}]", accounts, here)
        for at, queue in enumerate(queues)
    )
    _refuse_twice(served)
    socket = _optional(table, "socket", str, "the top level")
    return WorkerSettings(served=served, socket=here / socket if socket else None)


def _account(table: Table, where: str, here: Path) -> ServerAccount:
    keys = ("url", "username", "password_file", "basic_auth_file", "ca_bundle")
    _refuse_unknown(table, keys, where)
    basic_auth_file = _optional(table, "basic_auth_file", str, where)
    ca_bundle = _optional(table, "ca_bundle", str, where)
    return ServerAccount(
        url=_required(table, "url", str, where),
        username=_required(table, "username", str, where),
        password=read_secret(here / _required(table, "password_file", str, where)),
        basic_auth=read_basic_auth(here / basic_auth_file) if basic_auth_file else None,
        ca_bundle=here / ca_bundle if ca_bundle else None,
    )


def _served(
    table: Table, where: str, accounts: Mapping[str, ServerAccount], here: Path
) -> ServedQueue:
    _refuse_unknown(table, QUEUE_KEYS, where)
    server = _required(table, "server", str, where)
    if server not in accounts:
        raise SettingsError(f"{where}: no server {server!r}{_nearest(server, accounts)}")
    concurrency = _optional(table, "concurrency", int, where)
    if concurrency is not None and concurrency < 1:
        raise SettingsError(f"{where}: concurrency must be at least 1")
    return ServedQueue(
        account=accounts[server],
        name=_required(table, "name", str, where),
        assignment=_assignment(table, where, here),
        concurrency=concurrency or 1,
    )


def _assignment(table: Table, where: str, here: Path) -> Assignment | None:
    grader = _nonempty(table, "grader", where)
    if grader is None:
        _refuse_without_grader(table, where)
        return None
    limits = table.get("limits")
    return local_assignment(
        _required(table, "name", str, where),
        grader,
        Wishes(
            limits=None if limits is None else _limits(_table(limits, where), f"{where}.limits"),
            isolation=_isolation(table, where),
            runtime=_nonempty(table, "runtime", where),
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
    _refuse_unknown(table, known, where)
    values: dict[str, Any] = {}
    for name in table:
        whole = isinstance(known[name].default, int)
        value = _above_zero(table, name, where)
        values[name] = int(value) if whole else float(value)
    return Limits(**values)


def _lms_points(table: Table, where: str) -> float | None:
    return float(_above_zero(table, "lms_points", where)) if "lms_points" in table else None


def _above_zero(table: Table, name: str, where: str) -> float:
    value = table[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingsError(f"{where}: {name} must be a number")
    if value <= 0 or not math.isfinite(value):
        raise SettingsError(f"{where}: {name} must be above zero")
    return value


def _isolation(table: Table, where: str) -> Isolation | None:
    name = _nonempty(table, "isolation", where)
    known = {isolation.value: isolation for isolation in Isolation}
    if name is not None and name not in known:
        raise SettingsError(f"{where}: unknown isolation {name!r}{_nearest(name, known)}")
    return None if name is None else known[name]


def _legacy_reason(table: Table, where: str) -> str:
    """`Assignment` asks for one where it is needed; elsewhere it is a mistake."""
    reason = _nonempty(table, "legacy_reason", where)
    if reason is not None and _isolation(table, where) is not Isolation.NONE:
        raise SettingsError(f'{where}: legacy_reason goes with isolation = "none" only')
    return reason or ""


def _nonempty(table: Table, key: str, where: str) -> str | None:
    value = _optional(table, key, str, where)
    if value is not None and not value.strip():
        raise SettingsError(f"{where}: {key} is empty")
    return value


def _refuse_twice(served: tuple[ServedQueue, ...]) -> None:
    seen: set[tuple[str, str]] = set()
    for queue in served:
        key = (queue.account.url, queue.name)
        if key in seen:
            raise SettingsError(
                f"queue {key[1]!r} of {key[0]} is listed twice: raise its concurrency instead"
            )
        seen.add(key)


def _refuse_unknown(table: Table, known: Collection[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise SettingsError(f"{where}: unknown key {key!r}{_nearest(key, known)}")


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _required(table: Table, key: str, kind: type[T], where: str) -> T:
    value = _optional(table, key, kind, where)
    if value is None or value == "":
        raise SettingsError(f"{where}: {key} is missing")
    return value


def _optional(table: Table, key: str, kind: type[T], where: str) -> T | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise SettingsError(f"{where}: {key} must be a {kind.__name__}")
    return value


def _table(value: object, where: str) -> Table:
    if not isinstance(value, dict):
        raise SettingsError(f"{where} must be a table")
    return value
