"""Ways of asking for gradings: one after the other, as many as go, or as learners arrive."""

from __future__ import annotations

import random
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.result import percentile_ms

Work = Callable[[], None]
"""One grading; raises when it did not come out as it must."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    latencies_s: list[float]
    duration_s: float
    machine_cpu_s: float
    """Of the whole machine, because containers belong to no process tree of ours."""

    @property
    def count(self) -> int:
        return len(self.latencies_s)

    @property
    def per_s(self) -> float:
        return self.count / self.duration_s

    @property
    def cpu_ms(self) -> float:
        return self.machine_cpu_s * 1000 / max(self.count, 1)

    def percentile_ms(self, percent: int) -> float:
        return percentile_ms(self.latencies_s, percent)


def one_by_one(work: Work, *, count: int, between: Callable[[], None] = lambda: None) -> Seen:
    """`between` runs before each and is not part of the time (a pool refills, say), but its
    processor time is the work's."""
    seen = _measured(lambda latencies: [_timed(work, latencies, between) for _ in range(count)])
    return replace(seen, duration_s=sum(seen.latencies_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two ways that took turns, so that whatever else the machine does slows both alike."""

    seen: Seen
    yardstick: Seen

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return self.seen.percentile_ms(50) / self.yardstick.percentile_ms(50)


def in_turns(
    work: Work, yardstick: Work, *, count: int, between: Callable[[], None] = lambda: None
) -> Pair:
    """As `one_by_one`, with a subprocess of ours as the yardstick before each."""
    latencies: list[float] = []
    cpu_s = 0.0

    def before() -> None:
        nonlocal cpu_s
        between()
        cpu_before_s = _children_cpu_s()
        _timed(yardstick, latencies)
        cpu_s += _children_cpu_s() - cpu_before_s

    seen = one_by_one(work, count=count, between=before)
    return Pair(
        seen=replace(seen, machine_cpu_s=seen.machine_cpu_s - cpu_s),
        yardstick=Seen(latencies_s=latencies, duration_s=sum(latencies), machine_cpu_s=cpu_s),
    )


def as_many_as_go(work: Work, *, at_once: int, for_s: float) -> Seen:
    """A closed loop: each of `at_once` asks again as soon as it has its answer."""

    def drive(latencies: list[float]) -> None:
        until = time.perf_counter() + for_s

        def one() -> None:
            while time.perf_counter() < until:
                _timed(work, latencies)

        with ThreadPoolExecutor(at_once) as threads:
            for ended in [threads.submit(one) for _ in range(at_once)]:
                ended.result()

    return _measured(drive)


def as_they_arrive(work: Work, *, per_s: float, count: int, seed: int = 1) -> Seen:
    """An open loop with Poisson arrivals: a slow answer does not keep the next learner away."""
    gaps = random.Random(seed)

    def drive(latencies: list[float]) -> None:
        due = time.perf_counter()
        with ThreadPoolExecutor(64) as threads:
            ended = []
            for _ in range(count):
                due += gaps.expovariate(per_s)
                time.sleep(max(0.0, due - time.perf_counter()))
                ended.append(threads.submit(_timed_since, due, work, latencies))
            for each in ended:
                each.result()

    return _measured(drive)


def _measured(drive: Callable[[list[float]], object]) -> Seen:
    latencies: list[float] = []
    begun_s, cpu_s = time.perf_counter(), machine_cpu_s()
    drive(latencies)
    return Seen(
        latencies_s=latencies,
        duration_s=time.perf_counter() - begun_s,
        machine_cpu_s=machine_cpu_s() - cpu_s,
    )


def _timed(work: Work, latencies: list[float], before: Callable[[], None] = lambda: None) -> None:
    before()
    _timed_since(time.perf_counter(), work, latencies)


def _timed_since(begun_s: float, work: Work, latencies: list[float]) -> None:
    work()
    latencies.append(time.perf_counter() - begun_s)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine_cpu_s() -> float:
    """Seconds that all processors were busy since boot, in ticks of 10 ms."""
    fields = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / 100


def wait_until(condition: Callable[[], bool], *, at_most_s: float = 60.0) -> None:
    """Poll: pools have no event for "full". Raises TimeoutError."""
    pause = threading.Event()
    until = time.monotonic() + at_most_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("what the measurement waits for did not come")
        pause.wait(0.05)
