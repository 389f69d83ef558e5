"""Worker hosts: what they announce, what they are told, and what operators want of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from xqueue_server.authoring.publishing import Refused
from xqueue_server.errors import Conflict, NotFound
from xqueue_server.models.account import Account
from xqueue_server.models.grader import Problem
from xqueue_server.storage import Storage, Transaction, events, queues, workers
from xqueue_server.storage.workers import HostAnnouncement, WorkerHost, WorkerReport

BEAT_S = 10
STATES = ("starting", "idle", "grading", "waiting", "draining")
MOST_WORKERS = 1000
"""Of one host, and of one wish."""
MOST_HOSTS = 1000
"""Of one account: pages list them all."""
MAX_NAME_CHARS = 128
MAX_SHORT_CHARS = 64
MAX_CANARY_CHARS = 500
MOST_CPUS = 4096
HIGHEST_PID = 2**31 - 1
HIGHEST_ID = 2**63 - 1
MOST_SINCE_S = 10.0 * 366 * 24 * 3600


# -- reading -------------------------------------------------------------------------------------


def read_announcement(host: str, document: Mapping[str, Any]) -> HostAnnouncement:
    """Raises: Refused, naming everything that can not be used."""
    problems = [*_host_problems(host, document), *_workers_problems(document.get("workers"))]
    if problems:
        raise Refused("invalid", problems)
    canary, autoscale = document.get("canary"), document.get("autoscale")
    return HostAnnouncement(
        host=host,
        pid=document["pid"],
        version=document["version"],
        backend=document["backend"],
        is_canary_ok=canary["ok"] if canary else None,
        canary=_one_line(canary["detail"]) if canary else None,
        cpus=document["cpus"],
        autoscale_min=autoscale["min"] if autoscale else None,
        autoscale_max=autoscale["max"] if autoscale else None,
        started_at=datetime.fromisoformat(document["started_at"]),
        workers=tuple(_read_worker(worker) for worker in document["workers"]),
    )


def _host_problems(host: str, document: Mapping[str, Any]) -> Iterator[Problem]:
    if not _is_short(host, MAX_NAME_CHARS):
        yield Problem(where="host", problem=f"must have 1 to {MAX_NAME_CHARS} printable characters")
    elif host in (".", ".."):  # browsers take it out of an address: nobody could drain it
        yield Problem(where="host", problem="must not be . or ..")
    if not _is_whole(document.get("pid"), 1, HIGHEST_PID):
        yield Problem(where="pid", problem="must be a process id")
    for key in ("version", "backend"):
        if not _is_short(document.get(key), MAX_SHORT_CHARS):
            yield Problem(
                where=key, problem=f"must have 1 to {MAX_SHORT_CHARS} printable characters"
            )
    if not _is_whole(document.get("cpus"), 1, MOST_CPUS):
        yield Problem(where="cpus", problem=f"must be a whole number from 1 to {MOST_CPUS}")
    if not _is_moment(document.get("started_at")):
        yield Problem(where="started_at", problem="must be ISO 8601 with an offset")
    yield from _canary_problems(document.get("canary"))
    yield from _autoscale_problems(document.get("autoscale"))


def _canary_problems(canary: Any) -> Iterator[Problem]:
    if canary is None:
        return
    if not isinstance(canary, dict):
        yield Problem(where="canary", problem="must be an object or null")
        return
    if not isinstance(canary.get("ok"), bool):
        yield Problem(where="canary.ok", problem="must be true or false")
    if not isinstance(canary.get("detail"), str):
        yield Problem(where="canary.detail", problem="must be text")


def _autoscale_problems(autoscale: Any) -> Iterator[Problem]:
    if autoscale is None:
        return
    if not isinstance(autoscale, dict):
        yield Problem(where="autoscale", problem="must be an object or null")
        return
    for key in ("min", "max"):
        if not _is_whole(autoscale.get(key), 0, MOST_WORKERS):
            yield Problem(
                where=f"autoscale.{key}", problem=f"must be a whole number from 0 to {MOST_WORKERS}"
            )
            return
    if autoscale["min"] > autoscale["max"]:
        yield Problem(where="autoscale", problem="has a min above its max")


def _workers_problems(given: Any) -> Iterator[Problem]:
    if not isinstance(given, list) or len(given) > MOST_WORKERS:
        yield Problem(where="workers", problem=f"must be a list of at most {MOST_WORKERS}")
        return
    seen: set[str] = set()
    for index, worker in enumerate(given):
        where = f"workers[{index}]"
        if not isinstance(worker, dict):
            yield Problem(where=where, problem="must be an object")
            continue
        yield from _worker_problems(where, worker)
        name = worker.get("name")
        if isinstance(name, str) and name in seen:
            yield Problem(where=f"{where}.name", problem="is another worker's")
        elif isinstance(name, str):
            seen.add(name)


def _worker_problems(where: str, worker: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("name", "queue"):
        if not _is_short(worker.get(key), MAX_NAME_CHARS):
            yield Problem(
                where=f"{where}.{key}",
                problem=f"must have 1 to {MAX_NAME_CHARS} printable characters",
            )
    if not _is_whole(worker.get("pid"), 1, HIGHEST_PID):
        yield Problem(where=f"{where}.pid", problem="must be a process id")
    if worker.get("state") not in STATES:
        yield Problem(where=f"{where}.state", problem=f"must be one of {', '.join(STATES)}")
    submission_id = worker.get("submission_id")
    if submission_id is not None and not _is_whole(submission_id, 1, HIGHEST_ID):
        yield Problem(where=f"{where}.submission_id", problem="must be a submission's id or null")
    if not _is_seconds(worker.get("since_s")):
        yield Problem(where=f"{where}.since_s", problem="must be a number of seconds")


def _read_worker(worker: Mapping[str, Any]) -> WorkerReport:
    return WorkerReport(
        name=worker["name"],
        pid=worker["pid"],
        queue=worker["queue"],
        state=worker["state"],
        submission_id=worker.get("submission_id"),
        since_s=float(worker["since_s"]),
    )


def _is_short(value: Any, most_chars: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most_chars and value.isprintable()


def _is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= MOST_SINCE_S  # not NaN


def _is_moment(value: Any) -> bool:
    try:
        moment = datetime.fromisoformat(value)
        # In UTC, in which it is read again: the year 10000 would break every page that lists it.
        return moment.tzinfo is not None and moment.astimezone(UTC).timestamp() > 0
    except (TypeError, ValueError, OverflowError):
        return False


def _one_line(text: str) -> str:
    """What a sandbox said ends on an operator's terminal."""
    shown = "".join(c if c.isprintable() else " " for c in text[:MAX_CANARY_CHARS])
    return " ".join(shown.split())


# -- announcing ----------------------------------------------------------------------------------


def announce(storage: Storage, account: Account, said: HostAnnouncement) -> None:
    """Keep what a host says of itself, in place of what it said before.

    Raises:
        Conflict: another account has announced a host of this name within the last day, or another
            process does that started later: two would take each other's place with every beat;
            or this account has announced too many hosts.
    """
    with storage.write() as tx:
        known = workers.find_host(tx, said.host)
        if known is not None and known.is_alive and _began(said) < _began(known):
            raise Conflict(
                f"Host '{said.host}' is announced by another process (pid {known.pid}, started "
                f"{known.started_at.isoformat(timespec='seconds')}): give one of them another "
                "--host-name"
            )
        if workers.count_other_hosts(tx, account.id, said.host) >= MOST_HOSTS:
            raise Conflict(
                f"Account '{account.name}' has announced {MOST_HOSTS} hosts within the last day; "
                "does each start of a worker take a host name of its own?"
            )
        if not workers.store(tx, account.id, said):
            raise Conflict(
                f"Host '{said.host}' is announced by another account; give this one another name "
                f"or run: xqueue-server worker forget {said.host}"
            )


def _began(host: HostAnnouncement | WorkerHost) -> tuple[datetime, int]:
    """Restarted under its name, a host began later than before."""
    return host.started_at, host.pid


def leave(storage: Storage, account: Account, host: str) -> None:
    """A host that ends cleanly is known no more, nor what was wanted of it. Raises: NotFound."""
    with storage.write() as tx:
        found = workers.find_host(tx, host)
        if found is None or found.account_id != account.id:
            raise NotFound(f"Host {host[:MAX_NAME_CHARS]!r} not found")
        workers.remove(tx, host)


# -- what operators want -------------------------------------------------------------------------


def wish(storage: Storage, host: str, queue: str, count: int, *, actor: str) -> None:
    """So many workers for the queue on this host (0: drain), told with the host's next beat.

    It holds until it is withdrawn, or the host ends cleanly or is forgotten.

    Raises: NotFound: the host or the queue is not there.
    """
    with storage.write() as tx:
        queues.get(tx, queue)
        _require_host(tx, host)
        workers.wish(tx, host, queue, count, by=actor)
        detail = f"{queue}={count}" if count else f"drain {queue}"
        events.append(tx, subject=_subject(host), actor=actor, why="scale", detail=detail)


def withdraw(storage: Storage, host: str, queue: str, *, actor: str) -> None:
    """The host decides for itself again. Raises: NotFound."""
    with storage.write() as tx:
        if not workers.withdraw(tx, host, queue):
            raise NotFound(f"Nothing is wanted of host '{host}' for the queue '{queue}'")
        events.append(tx, subject=_subject(host), actor=actor, why="own scale", detail=queue)


def withdraw_all(storage: Storage, host: str, *, actor: str) -> list[str]:
    """The host decides for itself for every queue; returns those for which it did not. Raises:
    NotFound."""
    with storage.read() as tx:
        _require_host(tx, host)
        wanted = [wish.queue for wish in workers.wishes_for(tx, host)]
    for queue in wanted:
        withdraw(storage, host, queue, actor=actor)
    return wanted


def drain(storage: Storage, host: str, *, actor: str) -> list[str]:
    """No workers for any queue that the host serves; returns those queues. Raises: NotFound."""
    with storage.read() as tx:
        _require_host(tx, host)
        served = sorted(
            {worker.queue for worker in workers.workers_of(tx, host)}
            | {wish.queue for wish in workers.wishes_for(tx, host)}
        )
    for queue in served:
        wish(storage, host, queue, 0, actor=actor)
    return served


def forget(storage: Storage, host: str, *, actor: str) -> None:
    """Raises: NotFound. A host that still runs announces itself anew."""
    with storage.write() as tx:
        _require_host(tx, host)
        workers.remove(tx, host)
        events.append(tx, subject=_subject(host), actor=actor, why="forgotten")


def forget_old(storage: Storage) -> int:
    """Remove the hosts that have been silent for a day; how many."""
    with storage.read() as tx:
        if not workers.has_forgotten(tx):
            return 0
    with storage.write() as tx:
        return len(workers.remove_forgotten(tx))


def _require_host(tx: Transaction, host: str) -> None:
    if workers.find_host(tx, host) is None:
        raise NotFound(f"Host {host[:MAX_NAME_CHARS]!r} not found")


def _subject(host: str) -> str:
    return f"host {host}"
