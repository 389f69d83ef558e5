"""How many workers each queue should have now: the policy, fed with what is stored.

It reads several tables; a caller that is asked often keeps the answer for some seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from xqueue_server.capacity import policy
from xqueue_server.capacity.arrivals import Rush
from xqueue_server.capacity.policy import (
    CORRECTION_MIN,
    HOLD_MIN,
    USUAL_AIMS,
    Aims,
    Desired,
    Situation,
)
from xqueue_server.instant import to_datetime
from xqueue_server.models.queue import Queue
from xqueue_server.storage import Storage, Transaction, deadlines, demand, load, queues, workers
from xqueue_server.storage.deadlines import Deadline
from xqueue_server.storage.demand import Demand
from xqueue_server.workload import experience

MINUTE = timedelta(minutes=1)
SEEN = CORRECTION_MIN * MINUTE
LATE_HISTORY = timedelta(minutes=10)
"""Older than this it says nothing of the present."""
NO_HISTORY = "Arrivals are not known: `xqueue-server sweep` has written no history lately."

__all__ = ["Desired", "desired_by_queue", "desired_workers"]


def desired_workers(
    storage: Storage, names: Collection[str] | None = None, *, aims: Aims = USUAL_AIMS
) -> list[Desired]:
    """Of every queue, or of those named, in order of their names. Raises: StorageUnavailable."""
    now = to_datetime(storage.now_us())
    with storage.read() as tx:
        waiting, present = demand.by_queue(tx), workers.count_by_queue(tx)
        return [
            _with_workers(
                _desired(tx, queue, waiting.get(queue.name, Demand()), now, aims),
                present.get(queue.name, 0),
            )
            for queue in queues.all_queues(tx)
            if names is None or queue.name in names
        ]


def desired_by_queue(storage: Storage) -> dict[str, int]:
    """The numbers alone, as the history keeps them. Raises: StorageUnavailable."""
    return {each.queue: each.workers for each in desired_workers(storage)}


def _desired(tx: Transaction, queue: Queue, there: Demand, now: datetime, aims: Aims) -> Desired:
    if queue.paused_at is not None:
        return _paused(queue, there)
    situation = _situation(tx, queue.name, there, now, aims)
    found = policy.desired(situation, aims)
    if situation.arrivals:
        return found
    return dataclasses.replace(found, reason=f"{found.reason} {NO_HISTORY}")


def _paused(queue: Queue, there: Demand) -> Desired:
    return Desired(
        queue=queue.name,
        workers=there.running,
        reason=f"The queue is paused: nothing is handed out, {there.running} are being graded.",
        inputs={
            "waiting": there.waiting,
            "unhurried": there.unhurried,
            "running": there.running,
        },
    )


def _with_workers(found: Desired, present: int) -> Desired:
    return dataclasses.replace(found, inputs=found.inputs | {"workers": present})


def _situation(tx: Transaction, queue: str, there: Demand, now: datetime, aims: Aims) -> Situation:
    told = deadlines.of_queue(tx, queue)
    until = experience.history_until(tx)
    is_known = now - until <= LATE_HISTORY
    return Situation(
        queue=queue,
        now_s=now.timestamp(),
        waiting=there.waiting,
        unhurried=there.unhurried,
        running=there.running,
        service=experience.service_times(tx, queue, now).service,
        arrivals=_arrivals(tx, queue, until) if is_known else (),
        arrivals_until_s=until.timestamp(),
        rushes=_rushes(tx, queue, told, now, aims),
        usual_per_min=experience.usual_per_min(tx, queue, now, told),
        recent_desired=_recent_desired(tx, queue, until) if is_known else (),
    )


def _arrivals(tx: Transaction, queue: str, until: datetime) -> Sequence[int]:
    """A minute without a row is one in which nothing came."""
    counts = {each.minute: each.arrived for each in load.minutes(tx, queue, until - SEEN, until)}
    return [counts.get(until - back * MINUTE, 0) for back in range(CORRECTION_MIN, 0, -1)]


def _rushes(
    tx: Transaction, queue: str, told: Sequence[Deadline], now: datetime, aims: Aims
) -> Sequence[Rush]:
    """Of what is open, soon opens, or was over only lately: the last hour is looked back at."""
    ahead = now + timedelta(seconds=aims.look_ahead_s)
    return [
        experience.rush(each, experience.fitted(tx, queue, told, each).d0_min)
        for each in told
        if each.at - each.window <= ahead and now <= each.at + SEEN + LATE_HISTORY
    ]


def _recent_desired(tx: Transaction, queue: str, until: datetime) -> Sequence[int]:
    found = load.minutes(tx, queue, until - HOLD_MIN * MINUTE, until)
    return [each.desired for each in found if each.desired is not None]
