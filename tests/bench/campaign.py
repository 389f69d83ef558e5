"""One backend's measurements, phase after phase, against one running server."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.bench import backlog, load
from tests.bench.cpu import tree_cpu_s
from tests.bench.database import Database
from tests.bench.load import Load, Seen
from tests.bench.phases import (
    BACKLOG_CONCURRENCY,
    BACKLOG_PHASES,
    CONCURRENCIES,
    GET,
    PHASES,
    Needs,
    Phase,
)
from tests.bench.result import PhaseResult, percentile_ms
from tests.bench.server import Server

MAIN_QUEUE, EMPTY_QUEUE, BACKLOG_QUEUE = "bench", "bench-empty", "bench-backlog"
QUEUES = (MAIN_QUEUE, EMPTY_QUEUE, BACKLOG_QUEUE)
AT_MOST_S = 15.0
WARM_UP_TURNS = 240
QUICK_SHARE = 5
"""A quick run has a fifth of the turns."""
FEWEST_TURNS = 200


class Campaign:
    def __init__(
        self,
        server: Server,
        database: Database,
        *,
        is_quick: bool,
        report: Callable[[PhaseResult], None],
    ) -> None:
        self._server = server
        self._database = database
        self._is_quick = is_quick
        self._report = report
        self._users = itertools.count(10_000_000, 1_000_000)
        self._handed_out: Counter[int] = Counter()
        self._held: list[tuple[int, str]] = []

    def run(
        self, names: Sequence[str], pendings: Sequence[int], *, history: int = 0
    ) -> Iterator[PhaseResult]:
        """Every phase of these names, then the backlog phases at each of these lengths, among
        `history` submissions that were there before."""
        for phase in (phase for phase in PHASES if phase.name in names):
            queue = EMPTY_QUEUE if phase.needs is Needs.EMPTY else MAIN_QUEUE
            for concurrency in CONCURRENCIES:
                yield self._measure(phase, queue, concurrency)
        if pendings:
            backlog.add_history(self._database, BACKLOG_QUEUE, history)
        for pending in sorted(pendings):
            for phase in (phase for phase in BACKLOG_PHASES if phase.name in names):
                yield self._measure(phase, BACKLOG_QUEUE, BACKLOG_CONCURRENCY, pending=pending)

    def _measure(
        self, phase: Phase, queue: str, concurrency: int, *, pending: int | None = None
    ) -> PhaseResult:
        if pending:
            backlog.top_up(self._database, queue, pending)
        self._warm_up(phase, queue, concurrency)
        turns = self._turns(phase, queue, self._size(phase))
        server_cpu_s, database_cpu_s = self._cpu_s()
        seen = self._put_on(phase, queue, concurrency, turns)
        server_cpu_then_s, database_cpu_then_s = self._cpu_s()
        database_used_s = database_cpu_then_s - database_cpu_s
        result = self._result(
            phase, concurrency, seen, server_cpu_then_s - server_cpu_s, database_used_s
        )
        result = dataclasses.replace(result, pending=pending)
        self._report(result)
        return result

    def _size(self, phase: Phase) -> int:
        return max(phase.turns // QUICK_SHARE, FEWEST_TURNS) if self._is_quick else phase.turns

    def _warm_up(self, phase: Phase, queue: str, concurrency: int) -> None:
        """Not measured: connections are opened, statements compiled, credentials verified."""
        count = WARM_UP_TURNS // (2 if concurrency == 1 else 1)
        seen = self._put_on(phase, queue, concurrency, self._turns(phase, queue, count))
        self._hand_outs_repeated(seen)

    def _turns(self, phase: Phase, queue: str, count: int) -> Sequence[Any]:
        """The turns of a load, once what they need is there."""
        if phase.needs is Needs.READY:
            backlog.top_up(self._database, queue, count)
        if phase.needs is not Needs.LEASED:
            return range(count)
        if len(self._held) < count:
            missing = count - len(self._held)
            got = self._put_on(GET, queue, BACKLOG_CONCURRENCY, self._turns(GET, queue, missing))
            self._hand_outs_repeated(got)
        turns, self._held = self._held[:count], self._held[count:]
        return turns

    def _put_on(self, phase: Phase, queue: str, concurrency: int, turns: Sequence[Any]) -> Seen:
        access = self._server.lms if phase.is_lms else self._server.grader
        return load.run(
            self._server.address,
            Load(
                actor=phase.actor,
                access=dataclasses.replace(access, queue=queue),
                concurrency=concurrency,
                turns=turns,
                first_user=next(self._users),
                at_most_s=AT_MOST_S,
            ),
        )

    def _cpu_s(self) -> tuple[float, float]:
        return tree_cpu_s([self._server.pid]), tree_cpu_s(self._database.processes())

    def _result(
        self,
        phase: Phase,
        concurrency: int,
        seen: Seen,
        server_cpu_s: float,
        database_cpu_s: float,
    ) -> PhaseResult:
        done = len(seen.tally.latencies_s)
        each_ms = 1000 / max(done, 1)
        complaints = seen.tally.complaints
        return PhaseResult(
            backend=self._database.kind,
            phase=phase.name,
            concurrency=concurrency,
            pending=None,
            requests=done,
            duration_s=seen.duration_s,
            per_s=done / seen.duration_s,
            p50_ms=percentile_ms(seen.tally.latencies_s, 50),
            p95_ms=percentile_ms(seen.tally.latencies_s, 95),
            server_cpu_ms=(server_cpu_s + database_cpu_s) * each_ms,
            database_cpu_ms=database_cpu_s * each_ms,
            client_cpu_ms=seen.client_cpu_s * each_ms,
            errors=len(complaints),
            duplicates=self._hand_outs_repeated(seen, keep=phase is GET),
            first_error=complaints[0] if complaints else None,
        )

    def _hand_outs_repeated(self, seen: Seen, *, keep: bool = True) -> int:
        """How many of these hand-outs had been made before, in any phase of this server."""
        repeated = 0
        for submission_id, key in seen.tally.handed_out:
            self._handed_out[submission_id] += 1
            repeated += self._handed_out[submission_id] > 1
            if keep:
                self._held.append((submission_id, key))
        return repeated
