"""Hosts with their workers: what they announce, and what operators want of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response

from xqueue_server.accounts.access import REPAIR, SEE
from xqueue_server.models.account import ALL_QUEUES
from xqueue_server.models.grader import Problem
from xqueue_server.models.scope import Scope
from xqueue_server.storage import Transaction, queues, readiness, workers
from xqueue_server.storage.workers import AnnouncedWorker, HostAnnouncement, Wish, WorkerHost
from xqueue_server.web.api.answer import answer, answer_unless_known, instant, nothing
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.caller import WORKER
from xqueue_server.web.api.documents import READY_WITHIN_S
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.reading import SMALL_BYTES, Fields
from xqueue_server.web.api.route import Route
from xqueue_server.web.api.schema import (
    ID,
    INSTANT,
    NUMBER,
    TEXT,
    WHOLE,
    YES_NO,
    holding,
    list_of,
    nullable,
    one_of,
    record,
)
from xqueue_server.workload import workforce

MAX_ANNOUNCEMENT_BYTES = 256 * 1024


# -- hosts speak ---------------------------------------------------------------------------------


def announce_host(call: ApiCall, host: str) -> Response:
    document = call.document(MAX_ANNOUNCEMENT_BYTES)
    said = workforce.read_announcement(host, document)
    storage, account = call.services.storage, call.caller.account
    with storage.read() as tx:
        pulled = call.caller.queues_with(tx, WORKER)
        if not pulled:
            raise ApiError(403, "forbidden", "This needs the role grader on a queue")
    _require_all(pulled, said)
    workforce.announce(storage, account, said)
    with storage.read() as tx:
        wanted = workers.wishes_for(tx, host)
        of_others = workers.count_by_queue(tx, but_host=host)
    return answer(
        {
            "beat_s": workforce.BEAT_S,
            "wishes": [
                {"queue": w.queue, "count": w.count, "at": instant(w.wished_at)} for w in wanted
            ],
            "desired": [
                {
                    "queue": d.queue,
                    "workers": d.workers,
                    "reason": d.reason,
                    "hosts_workers": of_others.get(d.queue, 0),
                }
                for d in call.services.desires.present()
                if d.queue in pulled
            ],
        }
    )


def _require_all(pulled: Collection[str], said: HostAnnouncement) -> None:
    """Not 404, by which a host knows a server that takes no announcements. Raises: ApiError 403."""
    problems = [
        Problem(
            where=f"workers[{index}].queue",
            problem=f"is {worker.queue!r}: not there, or this account may not pull from it",
        )
        for index, worker in enumerate(said.workers)
        if worker.queue not in pulled
    ]
    if problems:
        detail = "; ".join(str(problem) for problem in problems[:10])
        raise ApiError(403, "forbidden", detail, errors=problems)


def leave_host(call: ApiCall, host: str) -> Response:
    """By the account that announced it, or by whoever may repair everything."""
    if call.caller.account.may(REPAIR, ALL_QUEUES):
        workforce.forget(call.services.storage, host, actor=call.caller.actor)
    else:
        workforce.leave(call.services.storage, call.caller.account, host)
    return nothing()


# -- people look ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A host as far as somebody may see it."""

    host: WorkerHost
    workers: Sequence[AnnouncedWorker]
    wishes: Sequence[Wish]


def list_workers(call: ApiCall) -> Response:
    with call.services.storage.read() as tx:
        scope = call.caller.scope(tx, SEE)
        seen = _seen(tx, scope)
        ready = _readiness(tx, scope)
    hosts = [_host_document(s, ready.get(s.host.host, [])) for s in seen]
    return answer_unless_known(call.request, {"hosts": hosts})


def _seen(tx: Transaction, scope: Scope) -> list[_Seen]:
    """Hosts that serve queues in the scope, with their workers for those queues."""
    by_host: dict[str, list[AnnouncedWorker]] = defaultdict(list)
    wanted: dict[str, list[Wish]] = defaultdict(list)
    for worker in workers.all_workers(tx):
        if scope.has_queue(worker.queue):
            by_host[worker.host].append(worker)
    for wish in workers.all_wishes(tx):
        if scope.has_queue(wish.queue):
            wanted[wish.host].append(wish)
    return [
        _Seen(host=host, workers=by_host[host.host], wishes=wanted[host.host])
        for host in workers.hosts(tx)
        if scope.is_everything or host.host in by_host or host.host in wanted
    ]


def _readiness(tx: Transaction, scope: Scope) -> dict[str, list[dict[str, Any]]]:
    """For each host and queue: how many graders are ready there, and how many are not."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for name in (queue.name for queue in queues.all_queues(tx)):
        if scope.has_queue(name):
            for report in readiness.recent(tx, name, within_s=READY_WITHIN_S):
                counts[report.host, name][0 if report.is_ready else 1] += 1
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (host, queue), (is_ready, is_not) in sorted(counts.items()):
        found[host].append({"queue": queue, "ready": is_ready, "not_ready": is_not})
    return found


def _host_document(seen: _Seen, ready: list[dict[str, Any]]) -> dict[str, Any]:
    host = seen.host
    return {
        "host": host.host,
        "state": "alive" if host.is_alive else "gone",
        "pid": host.pid,
        "version": host.version,
        "backend": host.backend,
        "canary": None
        if host.is_canary_ok is None
        else {"ok": host.is_canary_ok, "detail": host.canary or ""},
        "cpus": host.cpus,
        "autoscale": None
        if host.autoscale_min is None
        else {"min": host.autoscale_min, "max": host.autoscale_max},
        "started_at": instant(host.started_at),
        "beat_at": instant(host.beat_at),
        "workers": [_worker_document(worker) for worker in seen.workers],
        "wishes": [_wish_document(wish) for wish in seen.wishes],
        "readiness": ready,
    }


def _worker_document(worker: AnnouncedWorker) -> dict[str, Any]:
    return {
        "name": worker.name,
        "pid": worker.pid,
        "queue": worker.queue,
        "state": worker.state,
        "submission_id": worker.submission_id,
        "since": instant(worker.since),
    }


def _wish_document(wish: Wish) -> dict[str, Any]:
    return {
        "queue": wish.queue,
        "count": wish.count,
        "by": wish.wished_by,
        "at": instant(wish.wished_at),
    }


# -- people want ---------------------------------------------------------------------------------


def put_wish(call: ApiCall, host: str) -> Response:
    fields = Fields(call.document(SMALL_BYTES), ("queue", "count"))
    queue = fields.text("queue", most=workforce.MAX_NAME_CHARS)
    count = fields.whole("count", 0, workforce.MOST_WORKERS)
    fields.check()
    _require_host_of_mine(call, host, queue)
    workforce.wish(call.services.storage, host, queue, count, actor=call.caller.actor)
    with call.services.storage.read() as tx:
        wanted = workers.wishes_for(tx, host)
    return answer({"wishes": [_wish_document(w) for w in wanted if w.queue == queue]})


def delete_wish(call: ApiCall, host: str, queue: str) -> Response:
    _require_host_of_mine(call, host, queue)
    workforce.withdraw(call.services.storage, host, queue, actor=call.caller.actor)
    return nothing()


def _require_host_of_mine(call: ApiCall, host: str, queue: str) -> None:
    """Hosts that serve only queues of others are not there."""
    with call.services.storage.read() as tx:
        call.caller.require(tx, REPAIR, queue)
        if host not in {s.host.host for s in _seen(tx, call.caller.scope(tx, REPAIR))}:
            raise ApiError(404, "not-found", f"Host {host[:128]!r} not found")


# -- routes --------------------------------------------------------------------------------------

CANARY = record("Canary", ok=YES_NO, detail=TEXT)
AUTOSCALE = record("Autoscale", min=WHOLE, max=WHOLE)
WORKER_STATE = one_of(workforce.STATES)
REPORT = record(
    "WorkerReport",
    optional=("submission_id",),
    name=TEXT,
    pid=WHOLE,
    queue=TEXT,
    state=WORKER_STATE,
    submission_id=nullable(ID),
    since_s=NUMBER,
)
ANNOUNCEMENT = record(
    "HostAnnouncement",
    optional=("canary", "autoscale"),
    pid=WHOLE,
    version=TEXT,
    backend=TEXT,
    canary=nullable(CANARY),
    cpus=WHOLE,
    autoscale=nullable(AUTOSCALE),
    started_at=INSTANT,
    workers=list_of(REPORT),
)
ORDERS = record(
    "HostOrders",
    beat_s=WHOLE,
    wishes=list_of(record("HostWish", queue=TEXT, count=WHOLE, at=INSTANT)),
    desired=list_of(
        record("QueueNeed", queue=TEXT, workers=WHOLE, reason=TEXT, hosts_workers=WHOLE)
    ),
)
WISH = record("Wish", queue=TEXT, count=WHOLE, by=TEXT, at=INSTANT)
HOST = record(
    "WorkerHost",
    host=TEXT,
    state=one_of(("alive", "gone")),
    pid=WHOLE,
    version=TEXT,
    backend=TEXT,
    canary=nullable(CANARY),
    cpus=WHOLE,
    autoscale=nullable(AUTOSCALE),
    started_at=INSTANT,
    beat_at=INSTANT,
    workers=list_of(
        record(
            "Worker",
            name=TEXT,
            pid=WHOLE,
            queue=TEXT,
            state=WORKER_STATE,
            submission_id=nullable(ID),
            since=INSTANT,
        )
    ),
    wishes=list_of(WISH),
    readiness=list_of(record("ReadyGraders", queue=TEXT, ready=WHOLE, not_ready=WHOLE)),
)

ROUTES = (
    Route(
        method="GET",
        path="/workers",
        view=list_workers,
        about="Hosts and their workers, as far as they serve queues that one may see",
        who="viewer, operator or admin",
        answers={200: holding("hosts", HOST), 304: None},
    ),
    Route(
        method="PUT",
        path="/workers/<host>",
        view=announce_host,
        about="Say that a host lives and what its workers do",
        who="grader",
        body=ANNOUNCEMENT,
        answers={200: ORDERS},
        by_session=True,
    ),
    Route(
        method="DELETE",
        path="/workers/<host>",
        view=leave_host,
        about="Say that a host ends, or forget it",
        who="the account that announced it; operator or admin on all queues",
        answers={204: None},
        by_session=True,
    ),
    Route(
        method="PUT",
        path="/workers/<host>/wishes",
        view=put_wish,
        about="Want so many workers for a queue on a host; 0: drain",
        who="operator or admin",
        body=record("NewWish", queue=TEXT, count=WHOLE),
        answers={200: holding("wishes", WISH)},
    ),
    Route(
        method="DELETE",
        path="/workers/<host>/wishes/<queue>",
        view=delete_wish,
        about="Let a host decide for itself again",
        who="operator or admin",
        answers={204: None},
    ),
)
