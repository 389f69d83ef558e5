"""What `doctor` looks at in a server that is in use: clocks, processes, workers, what waits."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from xqueue_server.cli.finding import Finding, ok, warn
from xqueue_server.instant import SECOND_US
from xqueue_server.storage import Storage, state_counts
from xqueue_server.storage.beats import SILENT_S
from xqueue_server.storage.proctoring import exams
from xqueue_server.storage.state_counts import StateCounts
from xqueue_server.upkeep.beating import DELIVER, EVENTS, SWEEP

MOST_SKEW_S = 5.0
DOES = {
    DELIVER: "callbacks are not sent",
    SWEEP: "expired leases are not taken back",
    EVENTS: "open consoles of exams ask every few seconds instead",
}


def check_running(storage: Storage) -> Iterator[Finding]:
    """Of a database that is reachable and migrated. Raises: StorageUnavailable."""
    yield _clock(storage)
    with storage.read() as tx:
        counts, has_exams = state_counts.count(tx), exams.any_active(tx)
    for process, harm in DOES.items():
        if process == EVENTS and not has_exams:
            continue
        yield _process(process, counts.silent_s.get(process, math.inf), harm)
    yield _workers(counts)
    yield _canaries(counts)
    yield _lines(counts)
    yield _callbacks(counts)


def _clock(storage: Storage) -> Finding:
    """Leases live by the database's clock alone, but file addresses and logs by each host's."""
    before = time.time()
    theirs = storage.now_us() / SECOND_US
    after = time.time()
    skew_s = max(before - theirs, theirs - after, 0.0)
    found = f"{skew_s:.1f} s between this host and the database"
    if skew_s <= MOST_SKEW_S:
        return ok("clock", found)
    return warn("clock", found, "set both clocks by NTP: addresses of files and logs go by them")


def _process(process: str, silent_s: float, harm: str) -> Finding:
    if silent_s <= SILENT_S:
        return ok(process, f"last sign of life {silent_s:.0f} s ago")
    since = "no sign of life" if math.isinf(silent_s) else f"silent for {silent_s:.0f} s"
    return warn(process, f"{since}: {harm}", f"start: xqueue-server {process}")


def _workers(counts: StateCounts) -> Finding:
    """Only announced ones are known: other XQueue clients come and go without a word."""
    number = sum(counts.workers.values())
    served = {lane for (lane, _), workers in counts.workers.items() if workers}
    waiting = sorted(
        queue
        for queue, oldest_s in counts.oldest_s.items()
        if queue not in served and oldest_s > SILENT_S and not counts.paused.get(queue)
    )
    if waiting:
        return warn(
            "workers",
            f"nobody takes from {', '.join(waiting)}, where submissions wait",
            "start workers there: grader-worker run",
        )
    return ok("workers", f"{number} announced on {sum(counts.hosts.values())} hosts")


def _canaries(counts: StateCounts) -> Finding:
    failed = counts.hosts.get("failed", 0)
    if failed:
        return warn(
            "sandboxes",
            f"the canary fails on {failed} hosts, which grade nothing",
            "look there: grader-worker doctor",
        )
    return ok("sandboxes", f"no canary fails on {sum(counts.hosts.values())} hosts")


def _lines(counts: StateCounts) -> Finding:
    held = sum(n for (_, state), n in counts.depth.items() if state == "held")
    if held:
        return warn(
            "held submissions",
            f"{held} wait for people",
            "see: xqueue-server submission list --state held",
        )
    return ok("held submissions", "none")


def _callbacks(counts: StateCounts) -> Finding:
    dead, is_open = (
        sum(counts.dead.values()),
        sorted(o for o, b in counts.breaker_open.items() if b),
    )
    if is_open:
        return warn(
            "callbacks",
            f"wait for {', '.join(is_open)}, which does not answer",
            "look at the LMS; they are sent by themselves when it answers",
        )
    if dead:
        return warn(
            "callbacks",
            f"{dead} are dead",
            "see: xqueue-server callback list --state dead; then: xqueue-server callback replay",
        )
    return ok("callbacks", f"{sum(counts.pending.values())} to be sent, none dead")
