"""Boxes that the kernel is long at freeing: the verdict does not wait for that, and is no failure.

A zombie that we plant into a box's pid namespace and do not reap keeps the box's first process
exactly there: dead for everybody, but not gone, for as long as the test wants.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from sandbox.backends.bubblewrap import BubblewrapBackend
from sandbox.cgroups import find_parents, leftover_groups
from sandbox.probe.script import DONE, TESTS, probe_request, ran, report_step, run_step
from sandbox.run import ExitReason, Limits
from tests.supervisor.harness import commands
from tests.supervisor.test_boxes import await_that, is_below, parent_of, supervisors_below
from tests.support.services import missing_service

WAITS = ["sh", "-c", "mkdir deep; exec sleep 600"]
PLANTS = """
import ctypes, os, sys
fd = os.open(f"/proc/{sys.argv[1]}/ns/pid", os.O_RDONLY)
if ctypes.CDLL(None, use_errno=True).setns(fd, 0x20000000):
    raise OSError(ctypes.get_errno(), "setns")
if os.fork() == 0:
    os.close(0)
    os.close(1)
    while True:
        os.sched_yield()
print("planted", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held():
    """Keeps boxes from being freed until `release`."""
    if os.geteuid() != 0:
        missing_service("root, to enter a box's namespace")
    with contextlib.ExitStack() as planted:

        def hold(init):
            command = [sys.executable, "-I", "-S", "-c", PLANTS, str(init)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            process = planted.enter_context(subprocess.Popen(command, **pipes))
            assert process.stdout.readline() == b"planted\n"

        hold.release = planted.close
        yield hold


@pytest.fixture
def begin(bubblewrap_backend):
    """Starts a run beside us; gives the function that waits for its result."""
    backend = BubblewrapBackend()
    threads = []

    def run(*steps, wall_s=90):
        script = [TESTS, *steps, *(report_step(f"t{n}") for n in range(len(steps) + 1, 4)), DONE]
        request = probe_request(script, limits=Limits(wall_s=wall_s, learner_wall_s=60))
        outcome = []
        thread = threading.Thread(target=lambda: outcome.append(backend.run(request)))
        threads.append(thread)
        thread.start()

        def result():
            thread.join(120)
            return outcome[0]

        return result

    run.backend = backend
    yield run
    for thread in threads:
        thread.join(120)
    backend.close()


def next_box(known=()):
    """The first process of a learner's box of ours whose program runs."""
    found = []

    def look():
        running = commands()
        found[:] = [
            pid
            for pid, words in running.items()
            if words.startswith("/xq/xq\0--box\0")
            and pid not in known
            and any(parent_of(child) == pid for child in running)
            and any(is_below(pid, supervisor) for supervisor in supervisors_below(os.getpid()))
        ]
        return found

    await_that(look)
    return found[0]


def let_program_end(init):
    """The box's first process lives on."""
    (program,) = (pid for pid in commands() if parent_of(pid) == init)
    os.kill(program, signal.SIGKILL)


def test_the_verdict_does_not_wait_for_a_box_that_is_not_freed(begin, held):
    result = begin(run_step("t1", argv=WAITS), run_step("t2", argv=["ls", "-A", "/box", "/tmp"]))
    init = next_box()
    held(init)
    let_program_end(init)
    first, second = (ran(report) for report in result().reports[:2])
    assert result().reason is ExitReason.COMPLETED
    assert (first.reason, first.code) == ("exited", 137)
    assert second.stdout.split() == ["/box:", "/tmp:"]
    assert begin.backend._remains.look() == 1
    held.release()
    begin.backend.settle()
    assert not groups_of_ours()


def test_a_box_that_dies_with_its_program_and_is_not_freed_is_the_programs_end(begin, held):
    result = begin(run_step("t1", argv=WAITS), run_step("t2", argv=["echo", "fine"]))
    init = next_box()
    held(init)
    os.kill(init, signal.SIGKILL)  # as the kernel does when memory runs out
    first, second = (ran(report) for report in result().reports[:2])
    assert (first.reason, first.code) == ("exited", 137)
    assert first.wall_ms < 50_000
    assert second.stdout == "fine\n"
    held.release()
    begin.backend.settle()


def test_programs_wait_in_their_own_time_for_boxes_that_are_not_freed(begin, held):
    steps = (run_step(f"t{number}", argv=WAITS) for number in (1, 2, 3))
    result = begin(*steps, wall_s=30)
    boxes = []
    for _ in range(2):
        boxes.append(next_box(boxes))
        held(boxes[-1])
        let_program_end(boxes[-1])
    assert result().reason is ExitReason.LEARNER_LIMIT
    assert len(result().reports) == 2
    assert begin.backend._remains.look() == 1
    held.release()
    begin.backend.settle()


def groups_of_ours():
    return [name for name in leftover_groups(find_parents()) if name.startswith(f"{os.getpid()}-")]
