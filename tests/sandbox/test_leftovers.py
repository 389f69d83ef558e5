"""Nothing of a run outlives it, and what a killed worker left behind is found."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sandbox import owner
from sandbox.backends.bubblewrap import BubblewrapBackend
from sandbox.cgroups import find_parents, leftover_groups, make_group
from sandbox.probe.script import (
    DONE,
    TESTS,
    one_run,
    probe_request,
    ran,
    report_step,
    run_step,
)
from sandbox.run import ExitReason, Limits
from tests.support.traces import learner_processes, traces

TOP = Path(__file__).parents[2]
LEAVES_MUCH = """
import os
open("/box/file", "w").write("x" * 1000)
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        os.execv("/bin/sleep", ["sleep", "600"])
"""
KILLED_WORKER = """
import sys
sys.path.insert(0, sys.argv[1])
from sandbox.factory import open_backend
from sandbox.probe.script import TESTS, probe_request, run_step
from sandbox.run import Limits
print("running", flush=True)
limits = Limits(wall_s=120, learner_wall_s=120)
request = probe_request([TESTS, run_step()], "import time; time.sleep(600)", limits=limits)
open_backend(sys.argv[2]).run(request)
"""


ENDS_ITS_FIRST_THREAD = """
import ctypes, os, threading, time
if os.fork() == 0:
    def live():
        while True:
            open("/box/alive", "a").close()
            time.sleep(0.01)
    threading.Thread(target=live, daemon=True).start()
    for fd in (0, 1, 2):
        os.close(fd)
    ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
time.sleep(0.2)
"""
PLANTS_FORESEEABLE_NAMES = """
import os
for number in range(40):
    os.makedirs(f"/box/a{number}/x")
    for other in range(41):
        os.makedirs(f"/box/.{number % 2}.0.{other}/y/z", exist_ok=True)
"""
LEAVES_A_KEY = """
import ctypes, os
number = {"x86_64": 248, "aarch64": 217}[os.uname().machine]
ctypes.CDLL(None).syscall(number, b"user", b"xq", b"left", 4, ctypes.c_int(-3))
"""
FINDS_A_KEY = """
import ctypes, os
number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
print(ctypes.CDLL(None).syscall(number, 10, ctypes.c_int(-3), b"user", b"xq", 0))
"""
IN_A_SESSION_KEYRING = """
import ctypes, os, sys
number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
assert ctypes.CDLL(None).syscall(number, 1, None) > 0
sys.path.insert(0, sys.argv[1])
from sandbox.factory import open_backend
from sandbox.probe.script import one_run, probe_request, ran
backend = open_backend("bubblewrap")
for code in sys.argv[2:]:
    result = backend.run(probe_request(one_run(), code))
print(ran(result.reports[0]).stdout)
"""


def wait_until(condition, patience_s=60.0):
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def test_no_process_container_volume_or_cgroup_is_left(backend, engine):
    before = traces(engine)
    result = backend.run(probe_request(one_run(), LEAVES_MUCH))
    assert result.reason is ExitReason.COMPLETED
    backend.settle()
    assert traces(engine) - before == set()


def second_program_after(backend, first, second):
    step = run_step("t2", argv=["python3", "-I", "-S", "-c", second])
    result = backend.run(
        probe_request([TESTS, run_step("t1"), step, report_step("t3"), DONE], first)
    )
    assert result.reason is ExitReason.COMPLETED, result
    assert [report.score for report in result.reports] == [1, 1, 1]
    return ran(result.reports[1]).stdout


def test_a_process_whose_first_thread_has_ended_does_not_outlive_its_program(backend):
    look = "import os, time; time.sleep(0.3); print(os.listdir('/box'))"
    assert second_program_after(backend, ENDS_ITS_FIRST_THREAD, look) == "[]\n"


def test_no_name_in_its_folder_keeps_the_next_program_from_starting(backend):
    look = "import os; print(os.listdir('/box'))"
    assert second_program_after(backend, PLANTS_FORESEEABLE_NAMES, look) == "[]\n"


def test_a_key_left_by_one_run_is_not_found_by_the_next(bubblewrap_backend):
    worker = subprocess.run(
        [sys.executable, "-c", IN_A_SESSION_KEYRING, str(TOP), LEAVES_A_KEY, FINDS_A_KEY],
        capture_output=True,
        text=True,
        check=True,
    )
    assert worker.stdout.strip() == "-1"


def test_runs_at_the_same_time_do_not_disturb_each_other(backend):
    results = {}

    def run(number):
        code = f"import time; time.sleep(0.2); print({number})"
        results[number] = backend.run(probe_request(one_run(), code))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result.reason is ExitReason.COMPLETED for result in results.values())
    assert all(result.reports[0].score == 1 for result in results.values())
    assert len(results) == 4


@pytest.mark.parametrize("name", ["docker", "bubblewrap"])
def test_what_a_killed_worker_left_is_reaped(request, name, engine):
    backend = request.getfixturevalue(f"{name}_backend")
    before = traces(engine)
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED_WORKER, str(TOP), name], stdout=subprocess.PIPE
    )
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"running\n"
        wait_until(lambda: learner_processes(engine, worker.pid))
        backend.reap()
        assert learner_processes(engine, worker.pid), "a run in progress is no leftover"
        worker.send_signal(signal.SIGKILL)
    wait_until(lambda: not learner_processes(engine, worker.pid))
    backend.reap()
    # Any worker on this host may have begun to remove a container: then the engine ends it.
    wait_until(lambda: traces(engine, worker.pid) <= before)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes control groups")
def test_groups_of_a_living_owner_are_not_reaped():
    backend, parents = BubblewrapBackend(), find_parents()
    name = f"{owner.this_process()}.run.learner"
    group = make_group(parents, name, Limits(), 3)
    try:
        backend.reap()
        assert name in leftover_groups(parents)
    finally:
        group.remove()


def test_the_run_is_cut_at_its_wall_limit_within_two_seconds(backend):
    limits = Limits(wall_s=1, learner_wall_s=60)
    result = backend.run(probe_request([TESTS, run_step()], "while True: pass", limits=limits))
    took_ms = result.phases_ms["run"] + result.phases_ms["cleanup"]  # but not the preparation
    assert took_ms < (1 + 2) * 1000
