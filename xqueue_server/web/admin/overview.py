"""The first page: what waits, what is wrong, how fast it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Response
from markupsafe import Markup

from xqueue_server.accounts.access import SEE, SEE_GRADERS
from xqueue_server.instant import SECOND_US
from xqueue_server.models.scope import Scope
from xqueue_server.storage import deadlines, faults, load, queues, state_counts
from xqueue_server.storage.load import LoadMinute
from xqueue_server.storage.state_counts import StateCounts
from xqueue_server.web.admin.call import AdminCall
from xqueue_server.web.admin.charts import Axis, Series, line_chart
from xqueue_server.web.admin.route import Route
from xqueue_server.web.admin.shown import duration, number
from xqueue_server.web.admin.worker_pages import visible_hosts

SILENT_AFTER_S = 60
SPANS = {"1h": (60, 60), "6h": (72, 300), "24h": (96, 900), "7d": (84, 7200)}
"""Of the charts: steps, and seconds of each."""
DEFAULT_SPAN = "6h"
NEXT_DEADLINES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    name: str
    is_paused: bool
    waiting: int
    delayed: int
    capped: int
    leased: int
    held: int
    oldest_s: float | None
    workers: int
    desired: int | None


def show(call: AdminCall) -> Response:
    with call.storage.read() as tx:
        seen = call.scope(tx, SEE)
        counts = state_counts.count(tx)
        names = [q.name for q in queues.all_queues(tx)]
        graders_of = call.scope(tx, SEE_GRADERS)
        kinds = faults.latest(tx, queues=[n for n in names if graders_of.has_queue(n)], limit=5)
        span = call.parameter("span") if call.parameter("span") in SPANS else DEFAULT_SPAN
        axis = _axis(call.now, span)
        told = [
            d for d in deadlines.all_deadlines(tx) if d.at > call.now and seen.has_queue(d.queue)
        ]
        hosts = [each.host for each in visible_hosts(tx, seen)]
        minutes = load.steps(tx, None, axis.begin, call.now, step_s=SPANS[span][1])
    mine = [name for name in names if seen.has_queue(name)]
    lines = [_line(name, counts) for name in mine]
    return call.page(
        "overview.html",
        queues=lines,
        counts=counts,
        origins=_origins(counts) if seen.is_everything else [],
        silent=_silent(counts, seen),
        gone=[host for host in hosts if not host.is_alive],
        unsafe=[host for host in hosts if host.is_alive and host.is_canary_ok is False],
        faults=kinds,
        deadlines=told[:NEXT_DEADLINES],
        seen=seen,
        graders_of=[name for name in names if graders_of.has_queue(name)],
        span=span,
        spans=list(SPANS),
        charts=_charts(axis, [m for m in minutes if seen.has_queue(m.queue)]),
        has_load=any(seen.has_queue(m.queue) for m in minutes),
    )


def _line(name: str, counts: StateCounts) -> QueueLine:
    def depth(state: str) -> int:
        return counts.depth.get((name, state), 0)

    return QueueLine(
        name=name,
        is_paused=counts.paused.get(name, False),
        waiting=depth("queued"),
        delayed=depth("delayed"),
        capped=depth("capped"),
        leased=depth("leased"),
        held=depth("held"),
        oldest_s=counts.oldest_s.get(name),
        workers=sum(n for (queue, _), n in counts.workers.items() if queue == name),
        desired=counts.desired.get(name),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginLine:
    origin: str
    pending: int
    dead: int
    is_open: bool


def _origins(counts: StateCounts) -> list[OriginLine]:
    return [
        OriginLine(
            origin=origin,
            pending=counts.pending.get(origin, 0),
            dead=counts.dead.get(origin, 0),
            is_open=counts.breaker_open.get(origin, False),
        )
        for origin in sorted({*counts.pending, *counts.dead, *counts.breaker_open})
    ]


def _silent(counts: StateCounts, seen: Scope) -> list[str]:
    """Processes that have run here and do not beat any more."""
    if not seen.is_everything:
        return []
    return sorted(name for name, silent_s in counts.silent_s.items() if silent_s > SILENT_AFTER_S)


# -- charts --------------------------------------------------------------------------------------


def _axis(now: datetime, span: str) -> Axis:
    count, step_s = SPANS[span]
    ended = (
        now.timestamp() // step_s * step_s
    )  # what of a step is still to come would look like a fall
    begin = datetime.fromtimestamp(ended - count * step_s, now.tzinfo)
    return Axis(begin=begin, step=timedelta(seconds=step_s), count=count)


def _charts(axis: Axis, minutes: Sequence[LoadMinute]) -> dict[str, Markup]:
    per_step: list[list[LoadMinute]] = [[] for _ in range(axis.count)]
    for minute in minutes:
        index = int((minute.minute - axis.begin) / axis.step)
        if 0 <= index < axis.count:
            per_step[index].append(minute)

    def series(name: str, of: Callable[[list[LoadMinute]], float | None]) -> Series:
        return Series(name=name, values=[of(step) for step in per_step])

    per_minute = axis.step / timedelta(minutes=1)
    return {
        "throughput": line_chart(
            "Submissions a minute",
            axis,
            [
                series("graded", lambda step: sum(m.graded for m in step) / per_minute),
                series("arrived", lambda step: sum(m.arrived for m in step) / per_minute),
            ],
            _rate,
        ),
        "wait": line_chart(
            "Wait for a worker",
            axis,
            [series("mean", _mean_wait_s), series("longest", _longest_wait_s)],
            duration,
            is_time=True,
        ),
        "oldest": line_chart(
            "Age of the oldest that waits",
            axis,
            [series("oldest", _oldest_s)],
            duration,
            is_time=True,
        ),
    }


def _rate(value: float) -> str:
    return number(value) if value >= 10 or value == int(value) else f"{value:.2g}"


def _mean_wait_s(step: list[LoadMinute]) -> float | None:
    graded = sum(m.graded for m in step)
    return sum(m.wait_us for m in step) / graded / SECOND_US if graded else None


def _longest_wait_s(step: list[LoadMinute]) -> float | None:
    if not any(m.graded for m in step):
        return None
    return max(m.longest_wait_us for m in step) / SECOND_US


def _oldest_s(step: list[LoadMinute]) -> float | None:
    """A minute without a row is one in which nothing waited."""
    known = [m.oldest_us for m in step if m.oldest_us is not None]
    return max(known, default=0) / SECOND_US


ROUTES = (Route(method="GET", path="/", view=show, roles=SEE_GRADERS),)
