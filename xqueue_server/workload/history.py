"""The history of load, minute by minute: what arrived, what was graded, what waited.

Arrivals and gradings are counted from what is stored, also for minutes in which no sweeper ran (a
day back at most). What stood at the end of a minute is known only if a sweeper looked then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from xqueue_server.ending import IsEnding, never
from xqueue_server.instant import micros, to_datetime
from xqueue_server.storage import Storage, Transaction, load, marks, queues
from xqueue_server.storage.load import MINUTE_US, Gauges, LoadMinute

SETTLE_S = 5
"""After a minute's end, for what was dated in it and is not yet committed."""
CATCH_UP_S = 24 * 3600
MOST_AHEAD_S = 3600
"""By which the mark may be ahead of a clock that was set back: so long the history waits for it."""
MINUTE = "load minute"
"""The mark that keeps the end of the last minute that is done."""
ARRIVAL = "load arrival"
"""The mark that keeps an id: what has it, or a lower one, came before that minute."""

Desired = Callable[[], Mapping[str, int]]
"""How many workers each queue should have."""


def nobody_says() -> Mapping[str, int]:
    return {}


def roll(storage: Storage, *, desired: Desired = nobody_says, is_ending: IsEnding = never) -> int:
    """Store every full minute that is not stored yet; returns how many were done here.

    Any number of sweepers may do so: each minute is one transaction that holds the mark.
    Raises: StorageUnavailable.
    """
    if not _next_is_full(storage):
        return 0
    wanted = desired()
    done = 0
    while not is_ending() and _roll_one(storage, wanted):
        done += 1
    return done


def _next_is_full(storage: Storage) -> bool:
    """A look without a lock, as most looks find nothing to do."""
    with storage.read() as tx:
        position = marks.position(tx, MINUTE)
    settled = _settled_us(storage)
    return position is None or position + MINUTE_US <= settled or _is_wrong(position, settled)


def _is_wrong(position: int, settled: int) -> bool:
    """Whether it was written while the database's clock was far ahead."""
    return position > settled + micros(MOST_AHEAD_S)


def _settled_us(storage: Storage) -> int:
    """The end of the last minute of which everything is committed."""
    settled = storage.now_us() - micros(SETTLE_S)
    return settled - settled % MINUTE_US


def _roll_one(storage: Storage, wanted: Mapping[str, int]) -> bool:
    until = _settled_us(storage)
    with storage.write() as tx:
        position = marks.lock(tx, MINUTE, start=until - MINUTE_US)
        begin = max(position, until - micros(CATCH_UP_S))
        if _is_wrong(position, until):
            begin = until - MINUTE_US
        if begin + MINUTE_US > until:  # another sweeper was here first
            return False
        if begin != position or marks.position(tx, ARRIVAL) is None:
            marks.lock(tx, ARRIVAL)
            marks.move(tx, ARRIVAL, load.last_before(tx, begin))
        is_latest = begin + MINUTE_US == until
        standing = load.gauges(tx, at_us=until) if is_latest else None
        _store(tx, begin, standing, wanted)
        marks.move(tx, MINUTE, begin + MINUTE_US)
    return True


def _store(
    tx: Transaction, begin: int, standing: Mapping[str, Gauges] | None, wanted: Mapping[str, int]
) -> None:
    end = begin + MINUTE_US
    after = marks.lock(tx, ARRIVAL)
    arrivals = load.arrivals(tx, after=after, begin_us=begin, end_us=end)
    arrived = arrivals.by_queue
    marks.move(tx, ARRIVAL, arrivals.before)
    for queue in (each.name for each in queues.all_queues(tx)):
        graded = load.gradings(tx, queue, begin_us=begin, end_us=end)
        has_work = queue in arrived or graded.graded
        if not has_work and not (standing and queue in standing):
            continue
        load.store(
            tx,
            LoadMinute(
                queue=queue,
                minute=to_datetime(begin),
                arrived=arrived.get(queue, 0),
                graded=graded.graded,
                service_us=graded.service_us,
                service_sq_s2=graded.service_sq_s2,
                wait_us=graded.wait_us,
                longest_wait_us=graded.longest_wait_us,
                **_standing(standing, queue, wanted),
            ),
        )


def _standing(
    standing: Mapping[str, Gauges] | None, queue: str, wanted: Mapping[str, int]
) -> dict[str, int]:
    if standing is None:
        return {}
    now = standing.get(queue, Gauges())
    return {
        "queued": now.queued,
        "leased": now.leased,
        "oldest_us": now.oldest_us,
        "workers": now.workers,
        "desired": wanted.get(queue, 0),
    }
