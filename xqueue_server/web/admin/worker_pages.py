"""Grading hosts and their workers, as they announce themselves, and what is wanted of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Response

from xqueue_server.accounts.access import ADMINISTER, REPAIR, SEE
from xqueue_server.capacity.policy import Desired
from xqueue_server.errors import NotFound
from xqueue_server.models.scope import Scope
from xqueue_server.storage import Transaction, queues, readiness, workers
from xqueue_server.storage.readiness import HostReadiness
from xqueue_server.storage.workers import AnnouncedWorker, Wish, WorkerHost
from xqueue_server.web.admin.call import AdminCall, Forbidden, whole_number
from xqueue_server.web.admin.paths import at
from xqueue_server.web.admin.route import Route
from xqueue_server.workload import scaling, workforce

MOST_WORKERS = 1000
TOLD_WITHIN_S = 600
"""What a host has said about a grader counts for as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    host: WorkerHost
    workers: Sequence[AnnouncedWorker]
    """Of queues that the account may see."""
    wishes: Sequence[Wish]

    @property
    def queues(self) -> list[str]:
        return sorted({w.queue for w in self.workers} | {w.queue for w in self.wishes})

    def count(self, queue: str) -> int:
        return sum(worker.queue == queue for worker in self.workers)


def show(call: AdminCall) -> Response:
    with call.storage.read() as tx:
        seen, repaired = call.scope(tx, SEE), call.scope(tx, REPAIR)
        hosts = visible_hosts(tx, seen)
        names = [q.name for q in queues.all_queues(tx) if seen.has_queue(q.name)]
        told = [each for q in names for each in readiness.recent(tx, q, within_s=TOLD_WITHIN_S)]
    unready: dict[str, list[HostReadiness]] = {}
    for each in told:
        if not each.is_ready:
            unready.setdefault(each.host, []).append(each)
    return call.page(
        "workers.html",
        hosts=hosts,
        unready=unready,
        desired=_desired(call, names),
        repaired=repaired,
    )


def visible_hosts(tx: Transaction, seen: Scope) -> list[Host]:
    running, wishes = workers.all_workers(tx), workers.all_wishes(tx)
    found = (_host(each, running, wishes, seen) for each in workers.hosts(tx))
    return [host for host in found if host is not None]


def _desired(call: AdminCall, names: list[str]) -> list[Desired]:
    return scaling.desired_workers(call.storage, names) if names else []


def _host(
    host: WorkerHost, running: Sequence[AnnouncedWorker], wishes: Sequence[Wish], seen: Scope
) -> Host | None:
    """None: it serves only queues that this account may not see."""
    mine = [w for w in running if w.host == host.host and seen.has_queue(w.queue)]
    wished = [w for w in wishes if w.host == host.host and seen.has_queue(w.queue)]
    if not mine and not wished and not seen.is_everything:
        return None
    return Host(host=host, workers=mine, wishes=wished)


def scale(call: AdminCall, host: str) -> Response:
    queue = call.field("queue")
    with call.storage.read() as tx:
        call.require_queue(tx, queue, REPAIR, SEE)
        _require_host(call, tx, host)
    if call.field("act") == "withdraw":
        workforce.withdraw(call.storage, host, queue, actor=call.actor)
        text = f"Host {host} decides again by itself how many workers {queue} gets."
    else:
        count = whole_number(
            call.field("count"), "The number of workers", least=0, most=MOST_WORKERS
        )
        workforce.wish(call.storage, host, queue, count, actor=call.actor)
        text = f"Host {host} is asked for {count} workers of {queue}; it hears of it within 10 s."
    return call.done(text, at("workers"))


def drain(call: AdminCall, host: str) -> Response:
    """All queues that the host serves, so the account must be one that may repair them all."""
    with call.storage.read() as tx:
        served = _require_host(call, tx, host)
        repaired = call.scope(tx, REPAIR)
    if not all(repaired.has_queue(queue) for queue in served):
        raise Forbidden(
            f"This needs the role operator on every queue that the host {host} serves; "
            "scale those of yours to 0 instead"
        )
    drained = workforce.drain(call.storage, host, actor=call.actor)
    named = ", ".join(drained) or "no queue"
    return call.done(
        f"Host {host} is drained: {named}. Its workers finish what they have.", at("workers")
    )


def _require_host(call: AdminCall, tx: Transaction, host: str) -> set[str]:
    """The queues that it serves, or is wanted for. Raises: NotFound, for what the page does not
    list too."""
    seen, served = call.scope(tx, SEE), set[str]()
    found = workers.find_host(tx, host)
    if found is not None:
        served |= {w.queue for w in workers.workers_of(tx, host)}
        served |= {w.queue for w in workers.wishes_for(tx, host)}
    is_seen = seen.is_everything or any(seen.has_queue(queue) for queue in served)
    if found is None or not is_seen:
        raise NotFound(f"There is no host {host[:128]!r}, or it is not yours to see")
    return served


def forget(call: AdminCall, host: str) -> Response:
    call.require_administrator()
    workforce.forget(call.storage, host, actor=call.actor)
    return call.done(
        f"Forgot host {host}; one that still runs announces itself anew.", at("workers")
    )


ROUTES: Sequence[Route] = (
    Route(method="GET", path="/workers", view=show, roles=SEE),
    Route(method="POST", path="/workers/<host>/scale", view=scale, roles=REPAIR),
    Route(method="POST", path="/workers/<host>/drain", view=drain, roles=REPAIR),
    Route(method="POST", path="/workers/<host>/forget", view=forget, roles=ADMINISTER),
)
