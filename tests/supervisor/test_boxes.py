"""The supervisor beside bubblewrap boxes: real ones, and stand-ins that fail as bubblewrap may."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from sandbox.probe.script import DONE, TESTS, probe_request, ran, report_step, run_step
from sandbox.run import ExitReason, Limits
from tests.supervisor.conftest import PROBE
from tests.supervisor.harness import Supervisor, b64, commands, start_frame

LOOK = ["sh", "-c", "cat kept; ls /box /tmp"]


def box_pair(bubblewrap_backend, *steps):
    script = [TESTS, *steps, *(report_step(f"t{n}") for n in range(len(steps) + 1, 4)), DONE]
    result = bubblewrap_backend.run(probe_request(script, limits=Limits(wall_s=60)))
    assert result.reason is ExitReason.COMPLETED, result
    return [ran(report) for report in result.reports[: len(steps)]]


def test_keep_runs_in_the_box_of_the_run_before(bubblewrap_backend):
    write = ["sh", "-c", "echo K > kept; sleep 600 & setsid sleep 600 & exit 3"]
    count = ["sh", "-c", "cat kept in.txt; ls -d /proc/[0-9]* | wc -l"]
    first, kept, fresh = box_pair(
        bubblewrap_backend,
        run_step("t1", argv=write),
        run_step("t2", argv=count, keep=True, files={"in.txt": b64("I\n")}, collect=["kept", "no"]),
        run_step("t3", argv=LOOK),
    )
    assert first.code == 3
    assert kept.stdout.splitlines()[:2] == ["K", "I"]
    assert int(kept.stdout.splitlines()[2]) <= 4  # the box's first, the shell, `ls` and `wc`
    assert kept.files == {"kept": b"K\n"}
    assert fresh.stdout.split() == ["/box:", "/tmp:"]


def test_a_kept_box_survives_a_program_that_was_stopped(bubblewrap_backend):
    stopped, kept = box_pair(
        bubblewrap_backend,
        run_step("t1", argv=["sh", "-c", "echo K > kept; sleep 600"], wall_s=3),
        run_step("t2", argv=["cat", "kept"], keep=True),
    )
    assert (stopped.reason, kept.stdout) == ("time", "K\n")


def test_nobody_in_a_box_can_signal_trace_or_look_into_its_first_process(
    bubblewrap_backend,
):
    code = """
import ctypes, os
libc, found = ctypes.CDLL(None), []
for number in (9, 19, 15):
    os.kill(1, number)
for name in ("mem", "environ", "fd/3", "maps", "cwd"):
    try:
        open(f"/proc/1/{name}", "rb").read(1)
        found.append(name)
    except OSError:
        pass
try:
    found += os.listdir("/proc/1/fd")
except OSError:
    pass
print(found, libc.ptrace(16, 1, 0, 0))
"""
    looked, kept = box_pair(
        bubblewrap_backend,
        run_step("t1", argv=["python3", "-I", "-S", "-c", code]),
        run_step("t2", argv=["echo", "alive"], keep=True),
    )
    assert looked.stdout == "[] -1\n", looked
    assert kept.stdout == "alive\n"


def isolation_of(bwrap):
    """All that a supervisor must be told."""
    is_root = os.geteuid() == 0
    return {
        "bwrap": str(bwrap),
        "options": [],
        "grader_options": [],
        "python": "/usr/bin/python3",
        "seccomp": b64(b"\x06\0\0\0\0\0\xff\x7f"),  # one instruction: everything is allowed
        "grader_uid": 70011 if is_root else None,
        "learner_uid": 70012 if is_root else None,
        "grader_cgroups": [],
        "learner_cgroups": [],
        "memory_is_bounded": True,
        "memory_is_shared": False,
        "memory_counters": [],
    }


@pytest.fixture
def public_folder():
    """Where another uid finds the stand-in as well."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def begin_boxes(xq, folder, bwrap_script, **limits):
    """A supervisor whose bubblewrap is this script, and which has been told to start."""
    bwrap = folder / "bwrap"
    bwrap.write_text(f"#!/bin/bash\n{bwrap_script}\n")
    bwrap.chmod(0o755)
    supervisor = Supervisor(command=[str(xq), "--boxes"])
    supervisor.until("ready")
    isolation = isolation_of(bwrap)
    supervisor.send(start_frame({"grade.py": PROBE}, limits=limits, isolation=isolation))
    return supervisor


def boxes(xq, folder, bwrap_script):
    with begin_boxes(xq, folder, bwrap_script) as supervisor:
        return supervisor.until("ended")[-1]


STATUS_FD = 'while [ "$1" != --json-status-fd ]; do shift; done; exec 9>&$2'


def test_a_box_that_could_not_be_set_up_is_the_platforms_failure(xq, public_folder):
    assert "set up" in boxes(xq, public_folder, "exit 1")["detail"]
    told = f"{STATUS_FD}\necho '{{\"child-pid\": 4194999}}' >&9; exit 1"
    ended = boxes(xq, public_folder, told)
    assert ended["how"] == "platform"
    assert "set up" in ended["detail"]


def test_a_box_that_lives_on_although_it_was_killed_is_the_platforms_failure(xq, public_folder):
    told = "sleep 600 & echo '{\"child-pid\": '$!'}' >&9"
    lives_on = f"{STATUS_FD}\nexec 4>&-\n{told}\nwait\nexec sleep 600"
    with begin_boxes(xq, public_folder, lives_on, wall_s=1) as supervisor:
        supervisor.until("ended")
        assert supervisor.process.wait(60) == 70
        assert b"does not go away" in supervisor.process.stderr.read()


def test_only_the_child_of_bubblewrap_is_killed_as_a_boxs_first_process(xq, public_folder):
    with subprocess.Popen(["sleep", "600"]) as innocent:
        told = f"{STATUS_FD}\necho '{{\"child-pid\": {innocent.pid}}}' >&9; sleep 0.2; exit 1"
        assert boxes(xq, public_folder, told)["how"] == "platform"
        with pytest.raises(subprocess.TimeoutExpired):
            innocent.wait(0.5)
        innocent.kill()


def test_a_program_that_ends_with_bubblewraps_own_code_is_believed(xq, public_folder):
    told = f'{STATUS_FD}\necho \'{{"child-pid": 4194999}}\n{{"exit-code": 1}}\' >&9; exit 1'
    ended = boxes(xq, public_folder, told)
    assert (ended["how"], ended["detail"]) == (
        "grader-exited",
        "the grader exited with status 1 before it said `done`",
    )


def test_a_bubblewrap_that_cannot_be_executed_is_the_platforms_failure(xq, tmp_path):
    isolation = isolation_of(tmp_path / "no-bwrap")
    with Supervisor(command=[str(xq), "--boxes"]) as supervisor:
        supervisor.until("ready")
        supervisor.send(start_frame({"grade.py": PROBE}, isolation=isolation))
        ended = supervisor.until("ended")[-1]
    assert ended["how"] == "platform"
    assert "cannot be started" in ended["detail"]


def test_no_box_outlives_a_supervisor_that_is_killed(bubblewrap_backend, xq):
    mark = f"mark-{os.getpid()}"
    code = f"import os; os.execv('/bin/sh', ['sh', '-c', 'sleep 600; : {mark}'])"
    script = (
        "import sys, json; sys.path.insert(0, sys.argv[1])\n"
        "from sandbox.factory import open_backend\n"
        "from sandbox.probe.script import one_run, probe_request\n"
        "from sandbox.run import Limits\n"
        "limits = Limits(wall_s=60, learner_wall_s=60)\n"
        "open_backend('bubblewrap').run(probe_request(one_run(), sys.argv[2], limits=limits))\n"
    )
    top = str(xq.parents[3])
    worker = subprocess.Popen([sys.executable, "-c", script, top, code], start_new_session=True)
    try:
        await_that(lambda: supervisors_below(worker.pid) and marked(mark))
        os.kill(supervisors_below(worker.pid)[0], signal.SIGKILL)
        await_that(lambda: not marked(mark))
    finally:
        worker.kill()
        worker.wait()


def await_that(condition, patience_s=60.0):
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def marked(mark):
    return [pid for pid, words in commands().items() if mark in words and "sh\0-c" in words[:6]]


def supervisors_below(pid):
    return [
        child
        for child, words in commands().items()
        if words.endswith("--boxes\0") and parent_of(child) == pid
    ]


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_below(pid, top):
    while pid > 1 and pid != top:
        pid = parent_of(pid)
    return pid == top


def refusal(xq, isolation):
    """What a supervisor says that does not open boxes in that isolation."""
    with Supervisor(command=[str(xq), "--boxes"]) as supervisor:
        supervisor.until("ready")
        supervisor.send(start_frame({}, isolation=isolation))
        assert supervisor.receive() is None
        return supervisor.process.stderr.read().decode()


@pytest.mark.parametrize("missing", list(isolation_of("/x")))
def test_an_isolation_that_lacks_anything_is_the_platforms_failure(xq, missing):
    isolation = isolation_of("/x")
    del isolation[missing]
    assert f"not complete: {missing}\n" in refusal(xq, isolation)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seccomp", ""),
        ("seccomp", None),
        ("seccomp", "no base64"),
        ("bwrap", ""),
        ("options", "--unshare-all"),
        ("options", [1]),
        ("grader_uid", 0),
        ("grader_uid", -1),
        ("grader_uid", 70000.5),
        ("learner_uid", 1 << 32),
        ("learner_uid", "70000"),
        ("memory_is_bounded", None),
        ("memory_is_shared", "yes"),
    ],
)
def test_an_isolation_that_would_be_a_weaker_one_is_refused(xq, name, value):
    assert f"not complete: {name}\n" in refusal(xq, isolation_of("/x") | {name: value})


def test_two_boxes_are_never_given_one_uid(xq):
    uids = {"grader_uid": 70011, "learner_uid": 70011}
    assert "not complete: learner_uid\n" in refusal(xq, isolation_of("/x") | uids)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could hand its own uid to a box")
def test_a_box_is_never_roots(xq):
    uids = {"grader_uid": None, "learner_uid": None}
    assert "not complete: grader_uid\n" in refusal(xq, isolation_of("/x") | uids)
