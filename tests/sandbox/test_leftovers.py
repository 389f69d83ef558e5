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
from sandbox.backends.docker import LABEL
from sandbox.cgroups import find_parents, leftover_groups, make_group
from sandbox.probe.script import TESTS, one_run, probe_request, run_step
from sandbox.run import ExitReason, Limits
from sandbox.uids import HIGH_RANGE

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


def learner_processes():
    """Processes of uids that only our boxes and containers use."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
        except OSError:
            continue
        uid = int(status.split("Uid:")[1].split()[0])
        if uid in HIGH_RANGE and "State:\tZ" not in status:
            found.append(int(folder.name))
    return found


def wait_until(condition, patience_s=15.0):
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def test_no_process_container_volume_or_cgroup_is_left(backend, engine):
    volumes = {volume.id for volume in engine.volumes.list()}
    result = backend.run(probe_request(one_run(), LEAVES_MUCH))
    assert result.reason is ExitReason.COMPLETED
    assert learner_processes() == []
    assert engine.containers.list(all=True, filters={"label": LABEL}) == []
    assert {volume.id for volume in engine.volumes.list()} == volumes
    assert leftover_groups(find_parents()) == {}


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
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED_WORKER, str(TOP), name], stdout=subprocess.PIPE
    )
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"running\n"
        wait_until(lambda: learner_processes() != [])
        assert backend.reap() == 0, "a run in progress is no leftover"
        worker.send_signal(signal.SIGKILL)
    wait_until(lambda: learner_processes() == [])
    assert backend.reap() > 0
    assert backend.reap() == 0
    assert engine.containers.list(all=True, filters={"label": LABEL}) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="makes control groups")
def test_groups_of_a_living_owner_are_not_reaped():
    backend, parents = BubblewrapBackend(), find_parents()
    group = make_group(parents, f"{owner.this_process()}.run.learner", Limits(), 3)
    try:
        assert backend.reap() == 0
        assert leftover_groups(parents) != {}
    finally:
        group.remove()


def test_the_run_is_cut_at_its_wall_limit_within_two_seconds(backend):
    limits = Limits(wall_s=1, learner_wall_s=60)
    started_at = time.monotonic()
    backend.run(probe_request([TESTS, run_step()], "while True: pass", limits=limits))
    assert time.monotonic() - started_at < 1 + 2
