"""However much hostile programs print, what the worker holds does not grow with it."""

import gc
import tracemalloc

from sandbox.hostile.bench import open_bench
from sandbox.hostile.case import Engine
from sandbox.hostile.table import case_of
from sandbox.probe.script import probe_request, ran
from sandbox.run import KIB, MIB

FLOODS = ("14", "14a", "45", "71", "73")
ROUNDS = 4
MOST_GROWTH = 128 * KIB
MOST_AT_ONCE = 24 * MIB


def flood(bench):
    for number in FLOODS:
        plan = case_of(number).plan
        if hasattr(plan, "programs"):
            bench.backend.run(bench.request_for(plan.programs))
        else:
            for script in plan.scripts:
                bench.backend.run(probe_request(script))


def test_memory_stays_flat_over_many_hostile_runs(bubblewrap_backend):
    with open_bench(bubblewrap_backend, Engine.BUBBLEWRAP) as bench:
        flood(bench)  # what is loaded and cached once
        tracemalloc.start()
        try:
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(ROUNDS):
                flood(bench)
            gc.collect()
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert after - before < MOST_GROWTH
    assert peak < MOST_AT_ONCE


def test_an_endless_output_is_cut_before_it_reaches_the_worker(bubblewrap_backend):
    with open_bench(bubblewrap_backend, Engine.BUBBLEWRAP) as bench:
        (program,) = case_of("14").plan.programs
        result = bubblewrap_backend.run(bench.request_for((program,)))
    said = ran({report.test_id: report for report in result.reports}["attack-1"])
    assert len(said.stdout) == program.frame["output_bytes"]
