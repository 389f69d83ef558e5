"""What is measured about grading, each with what it is meant to reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.run import Isolation
from tests.bench.grading import engines, loops
from tests.bench.grading.engines import Grading
from tests.bench.grading.line import through_the_line
from tests.bench.grading.loops import Pair, Seen

POOL = 8
IDLE_CONTAINERS = 24
ARRIVALS_PER_S = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    seen: Seen
    times_bare: float | None = None
    """p50 against bare subprocesses that took turns with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    what: str
    measured: str
    aim: str
    is_met: bool

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.measured} (aim {self.aim}): {'met' if self.is_met else 'MISSED'}"
        )


class Campaign:
    """Runs everything once; `rows` and `verdicts` fill as it goes."""

    def __init__(self, *, is_quick: bool, say: Callable[[Row], None]) -> None:
        self._share = 4 if is_quick else 1
        self._say = say
        self.rows: list[Row] = []
        self.verdicts: list[Verdict] = []

    def run(self, directory: Path) -> None:
        self._plain()
        self._single_use()
        self._idle_cost()
        self._arrivals()
        self._boxes()
        self._bubblewrap()
        self._whole_line(directory)

    # -- what everything is compared with ----------------------------------------------------------

    def _plain(self) -> None:
        self._serial("bare subprocess", engines.bare_subprocess, 120)
        self._row("bare subprocess, 2 at once", self._busy(engines.bare_subprocess, 2))
        self._serial("docker run, cold", engines.docker_run, 16)
        self._row("docker run, cold, 4 at once", self._busy(engines.docker_run, 4))

    # -- one container for one submission ----------------------------------------------------------

    def _single_use(self) -> None:
        with engines.docker(0) as cold:
            self._serial("single-use, cold", Grading(backend=cold, grader="one"), 24)
        with engines.docker(POOL) as warm:
            one, ten = Grading(backend=warm, grader="one"), Grading(backend=warm, grader="ten")
            full = self._full(warm, one)
            pair = self._serial("single-use, warm", one, 60, full)
            self._against_bare("warm single-use grading, p50", pair, 1.5)
            pair = self._serial("single-use, warm, ten tests", ten, 60, full)
            self._against_bare("ten tests, p50", pair, 5.0)
            full()
            seen = self._row("single-use, 4 at once", self._busy(one, 4, 20))
            self._verdict(
                "sustained single-use gradings", f"{seen.per_s:.1f}/s", ">= 12/s", seen.per_s >= 12
            )

    def _idle_cost(self) -> None:
        before = _available_bytes()
        with engines.docker(IDLE_CONTAINERS) as backend:
            self._full(backend, Grading(backend=backend, grader="one"), IDLE_CONTAINERS)()
            each = (before - _available_bytes()) / IDLE_CONTAINERS / 2**20
        self._verdict("idle pool container", f"{each:.1f} MB", "<= 8 MB", each <= 8)

    def _arrivals(self) -> None:
        with engines.docker(POOL) as warm:
            one = Grading(backend=warm, grader="one")
            self._full(warm, one)()
            count = 240 // self._share
            seen = loops.as_they_arrive(one, per_s=ARRIVALS_PER_S, count=count)
        self._row(f"single-use, {ARRIVALS_PER_S:g} arrivals/s, pool of {POOL}", seen)
        p95 = seen.percentile_ms(95)
        self._verdict("pool of 8 at 6 arrivals/s, p95", f"{p95:.0f} ms", "<= 100 ms", p95 <= 100)

    # -- fresh boxes in long-lived slots -----------------------------------------------------------

    def _boxes(self) -> None:
        with engines.docker(POOL) as backend:
            box = Grading(backend=backend, grader="one", isolation=Isolation.BOX)
            box.prepare()
            loops.as_many_as_go(box, at_once=2, for_s=1)
            pair = self._serial("box engine", box, 100)
            self._against_bare("box engine, p50", pair, 3.0)
            for at_once in (2, 4):
                self._row(f"box engine, {at_once} at once", self._busy(box, at_once))
            best = max(row.seen.per_s for row in self.rows[-2:])
            self._verdict("box engine", f"{best:.0f} gradings/s", ">= 60/s", best >= 60)

    def _bubblewrap(self) -> None:
        with engines.bubblewrap() as backend:
            one = Grading(backend=backend, grader="one")
            self._serial("bubblewrap on the host", one, 60)
            self._row("bubblewrap on the host, 2 at once", self._busy(one, 2))

    # -- from the LMS and back ---------------------------------------------------------------------

    def _whole_line(self, directory: Path) -> None:
        seen = through_the_line(directory, count=60 // self._share)
        self._row("submit to callback at the LMS", seen)
        p50 = seen.percentile_ms(50)
        self._verdict("submit to callback, p50", f"{p50:.0f} ms", "<= 100 ms", p50 <= 100)

    # -- the parts ---------------------------------------------------------------------------------

    def _serial(
        self,
        name: str,
        work: loops.Work,
        count: int,
        between: Callable[[], None] = lambda: None,
    ) -> Pair:
        loops.one_by_one(work, count=3, between=between)
        pair = loops.in_turns(
            work, engines.bare_subprocess, count=max(8, count // self._share), between=between
        )
        self._row(name, pair.seen, pair.ratio)
        return pair

    def _busy(self, work: loops.Work, at_once: int, for_s: float = 8.0) -> Seen:
        return loops.as_many_as_go(work, at_once=at_once, for_s=for_s / self._share)

    def _full(
        self, backend: engines.DockerBackend, grading: Grading, count: int = POOL
    ) -> Callable[[], None]:
        """Waits for a full pool, so that a latency does not hold the refill of the one before."""
        grading.prepare()
        return lambda: loops.wait_until(lambda: backend.describe().counters["waiting"] >= count)

    def _row(self, name: str, seen: Seen, times_bare: float | None = None) -> Seen:
        row = Row(name=name, seen=seen, times_bare=times_bare)
        self.rows.append(row)
        self._say(row)
        return seen

    def _against_bare(self, what: str, pair: Pair, most: float) -> None:
        p50_ms, bare_ms = pair.seen.percentile_ms(50), pair.yardstick.percentile_ms(50)
        measured = f"{p50_ms:.1f} ms = {pair.ratio:.2f} x bare ({bare_ms:.1f} ms)"
        self._verdict(what, measured, f"<= {most:g} x bare", pair.ratio <= most)

    def _verdict(self, what: str, measured: str, aim: str, is_met: bool) -> None:
        self.verdicts.append(Verdict(what=what, measured=measured, aim=aim, is_met=is_met))


def lines(rows: list[Row]) -> Iterator[str]:
    """A table for docs and terminal."""
    yield "| way | n | per s | p50 ms | p95 ms | x bare | machine CPU ms |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        yield line(row)


def line(row: Row) -> str:
    seen = row.seen
    times_bare = "-" if row.times_bare is None else f"{row.times_bare:.2f}"
    return (
        f"| {row.name} | {seen.count} | {seen.per_s:.1f} | {seen.percentile_ms(50):.1f} "
        f"| {seen.percentile_ms(95):.1f} | {times_bare} | {seen.cpu_ms:.0f} |"
    )


def _available_bytes() -> int:
    """What the kernel could still give: sharing between containers is counted once."""
    time.sleep(2)  # what the last phase freed comes back by and by
    for text in Path("/proc/meminfo").read_text().splitlines():
        if text.startswith("MemAvailable:"):
            return int(text.split()[1]) * 1024
    raise RuntimeError("no MemAvailable in /proc/meminfo")
