"""Grader and learner in two containers, on runc and on gVisor."""

from dataclasses import replace

import pytest

from sandbox.errors import GraderNotUsable
from sandbox.probe.script import (
    DONE,
    PROBE_GRADER,
    TESTS,
    one_run,
    probe_request,
    ran,
    report_step,
    run_step,
)
from sandbox.run import ExitReason, Isolation, Limits, Preparation
from tests.docker.waiting import wait_until, waiting
from tests.support.services import missing_service

LIMITS = Limits(wall_s=90, learner_wall_s=30, learner_cpu_s=30, memory_bytes=128 << 20)
"""gVisor on a busy machine takes its time, to start Python as well as to fill memory."""
SOON_S = 3
"""For programs that do not end by themselves."""
TAKES_ALL_MEMORY = "x = []\nwhile True: x.append(bytes(10_000_000))"
FORKS_WITHOUT_END = (
    "import os, time\nwhile True:\n  try: os.fork()\n  except OSError: time.sleep(0.01)"
)
LOOKS_AROUND = """
import os
print(os.getuid() > 100_000, os.path.exists("/grade/grade.py"), os.path.exists("/scratch/x"))
print(open("/proc/self/status").read().split("CapBnd:")[1].split()[0])
print([name for name in os.listdir("/proc") if name.isdigit()])
"""


@pytest.fixture
def gvisor(engine):
    if "runsc" not in engine.info()["Runtimes"]:
        missing_service("Docker's runtime runsc")
    return "runsc"


@pytest.fixture(params=["runc", "runsc"])
def runtime(request, engine):
    return request.param if request.param == "runc" else request.getfixturevalue("gvisor")


@pytest.fixture
def backend(open_docker):
    return open_docker(1)


def two_programs(first, runtime, **first_step):
    """The learner's code, and then another program of the same run."""
    second = run_step("t2", argv=["python3", "-c", "print(2)"])
    script = [TESTS, run_step("t1", **first_step), second, report_step("t3"), DONE]
    request = probe_request(script, first, limits=LIMITS)
    return replace(request, isolation=Isolation.SPLIT_CONTAINER, runtime=runtime)


def outcomes(backend, first, runtime, **first_step):
    result = backend.run(two_programs(first, runtime, **first_step))
    assert result.reason is ExitReason.COMPLETED, result
    return [ran(report) for report in result.reports[:2]]


def test_the_graders_programs_run_in_the_other_container(backend, runtime):
    first, second = outcomes(backend, "print(1)", runtime)
    assert (first.reason, first.code, first.stdout) == ("exited", 0, "1\n")
    assert (second.reason, second.code, second.stdout) == ("exited", 0, "2\n")


def test_nothing_of_the_grader_is_where_the_learner_is(backend, runtime):
    first, _ = outcomes(backend, LOOKS_AROUND, runtime)
    facts, capabilities, processes = first.stdout.splitlines()
    assert facts == "True False False"
    assert int(capabilities, 16) == 0
    assert "'1'" in processes
    assert processes.count(",") == 1, "the supervisor and this program, no grader"


def test_a_program_that_takes_all_memory_fails_alone(backend, runtime):
    first, second = outcomes(backend, TAKES_ALL_MEMORY, runtime)
    assert first.reason == "memory"
    assert second.stdout == "2\n"


def test_a_fork_bomb_does_not_reach_the_next_program(backend, runtime):
    first, second = outcomes(backend, FORKS_WITHOUT_END, runtime, wall_s=SOON_S)
    assert first.code != 0
    assert second.stdout == "2\n"


def test_a_program_that_does_not_end_is_stopped_alone(backend, runtime):
    first, second = outcomes(backend, "while True: pass", runtime, wall_s=SOON_S)
    assert first.reason == "time"
    assert second.stdout == "2\n"


def test_the_pool_has_both_containers_ready(backend, runtime):
    preparation = Preparation(
        grader=PROBE_GRADER, limits=LIMITS, isolation=Isolation.SPLIT_CONTAINER, runtime=runtime
    )
    backend.prepare(preparation)
    wait_until(lambda: waiting(backend) == 2)
    outcomes(backend, "print(1)", runtime)
    assert backend.describe().counters["hits"] == 2


def test_the_run_ends_at_its_wall_limit_with_what_was_finished(backend, runtime):
    script = [TESTS, report_step("t1"), run_step("t2"), run_step("t3"), DONE]
    limits = Limits(wall_s=16, learner_wall_s=60, learner_cpu_s=60)
    request = probe_request(script, "while True: pass", limits=limits)
    request = replace(request, isolation=Isolation.SPLIT_CONTAINER, runtime=runtime)
    result = backend.run(request)
    assert result.reason is ExitReason.LEARNER_LIMIT
    assert [report.test_id for report in result.reports] == ["t1"]


def test_gvisor_without_a_word_about_isolation_means_two_containers(backend, gvisor):
    request = replace(probe_request(one_run(), LOOKS_AROUND), runtime=gvisor)
    facts = ran(backend.run(request).reports[0]).stdout.splitlines()[0]
    assert facts == "True False False"


def test_gvisor_with_one_container_is_refused(engine, open_docker):
    request = replace(probe_request(one_run()), isolation=Isolation.SPLIT_UID, runtime="runsc")
    with pytest.raises(GraderNotUsable, match="split-container"):
        open_docker(0).run(request)


def test_an_isolation_that_is_not_offered_is_refused(open_docker):
    backend = open_docker(0)
    backend._strategies.pop(Isolation.BOX, None)
    with pytest.raises(GraderNotUsable, match="offers no isolation box"):
        backend.run(replace(probe_request(one_run()), isolation=Isolation.BOX))
