"""Grading hosts and their workers, as they announce themselves, and what is wanted of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Response

from xqueue_server import scaling, workforce
from xqueue_server.access import ADMINISTER, REPAIR, SEE
from xqueue_server.capacity.policy import Desired
from xqueue_server.errors import NotFound
from xqueue_server.scope import Scope
from xqueue_server.storage import queues, workers
from xqueue_server.storage.workers import AnnouncedWorker, Wish, WorkerHost
from xqueue_server.web.admin.call import AdminCall, whole_number
from xqueue_server.web.admin.paths import at
from xqueue_server.web.admin.route import Route

MOST_WORKERS = 1000


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
        hosts, running = workers.hosts(tx), workers.all_workers(tx)
        wishes = workers.all_wishes(tx)
        names = [q.name for q in queues.all_queues(tx) if seen.has_queue(q.name)]
    return call.page(
        "workers.html",
        hosts=[h for h in (_host(each, running, wishes, seen) for each in hosts) if h],
        desired=_desired(call, names),
        repaired=repaired,
    )


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
    """Of the host's queues those that the account may repair; all, or the host is not drained."""
    with call.storage.read() as tx:
        repaired = call.scope(tx, REPAIR)
        if workers.find_host(tx, host) is None:
            raise NotFound(f"There is no host {host[:128]!r}")
        served = {w.queue for w in workers.workers_of(tx, host)}
    for queue in sorted(served):
        if not repaired.has_queue(queue):
            call.require(REPAIR, queue)
    drained = workforce.drain(call.storage, host, actor=call.actor)
    named = ", ".join(drained) or "no queue"
    return call.done(
        f"Host {host} is drained: {named}. Its workers finish what they have.", at("workers")
    )


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
