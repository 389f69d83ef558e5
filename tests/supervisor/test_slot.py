"""`xq --slot`: one submission after the other in boxes, and the word with which it ends."""

import json
import os
import signal
from pathlib import Path

import pytest

from sandbox.backends.bubblewrap import BubblewrapBackend
from sandbox.boxes import BoxOwners, box_isolation
from tests.supervisor.conftest import PROBE
from tests.supervisor.harness import b64, commands, start_frame, text
from tests.supervisor.test_boxes import await_that, is_below, parent_of

UNHURRIED = {"learner_wall_s": 120}
LOOK = ["sh", "-c", "cat in.txt; ls -A /box /tmp; echo left > /tmp/left; echo left > left"]


@pytest.fixture
def slot(bubblewrap_backend, supervise):
    slot = supervise("--slot")
    assert slot.until("ready")
    return slot


@pytest.fixture(scope="module")
def isolation():
    owners = BoxOwners(memory_is_bounded=True, memory_is_shared=True)
    return box_isolation(BubblewrapBackend()._host.programs, owners)


def begin(slot, isolation, *steps, limits=None):
    job = {"payload": json.dumps([*steps, {"do": "done"}])}
    slot.send(start_frame({"grade.py": PROBE}, job=job, limits=limits, isolation=isolation))


def run(name, argv=LOOK, **more):
    return {"do": "run", "as": name, "argv": argv, "files": {"in.txt": b64(name)}, **more}


def submission(slot, isolation, *steps):
    """Its frames."""
    begin(slot, isolation, *steps)
    frames = slot.until("ended")
    assert (frames[-1]["how"], frames[-1]["detail"]) == ("finished", ""), frames[-1]
    return frames


def outputs(frames):
    reports = [json.loads(frame["output"]) for frame in frames if frame["type"] == "report"]
    return [text(report["stdout"]) for report in reports]


def first_of(slot):
    """The slot's PID 1, as we see it."""
    (pid,) = (
        pid
        for pid, words in commands().items()
        if words == "/tmp/xq\0--slot\0" and parent_of(pid) == slot.process.pid
    )
    return pid


def sleepers_in(slot):
    return [
        pid
        for pid, words in commands().items()
        if words.endswith("sleep\x00600\0") and is_below(pid, slot.process.pid)
    ]


def test_submissions_follow_one_another_and_find_nothing_of_those_before(slot, isolation):
    for number in range(3):
        frames = submission(slot, isolation, run(f"a{number}"), run(f"b{number}"))
        look = "/box:\nin.txt\n\n/tmp:\n"
        assert outputs(frames) == [f"a{number}{look}", f"b{number}{look}"]
        assert [frame["type"] for frame in slot.until("ready")] == ["ready"]


def test_a_slot_ends_with_its_host(slot, isolation):
    submission(slot, isolation, run("a"))
    slot.until("ready")
    slot.process.stdin.close()
    assert slot.process.wait(60) == 0
    assert slot.receive() is None


def test_a_host_that_goes_during_a_submission_takes_all_of_it_along(slot, isolation):
    begin(slot, isolation, run("a", ["sleep", "600"]))
    slot.until("learner")
    slot.process.stdin.close()
    assert slot.process.wait(60) == 0


def test_a_slot_in_which_a_session_broke_says_so_and_ends(slot, isolation):
    slot.send(start_frame({"grade.py": PROBE}, isolation=isolation | {"seccomp": ""}))
    assert slot.until("unclean") == [{"type": "unclean", "why": "a session broke"}]
    assert slot.process.wait(60) == 0
    assert b"not complete: seccomp" in slot.process.stderr.read()


def test_a_slot_with_files_of_a_session_outside_of_its_boxes_says_so_and_ends(slot, isolation):
    begin(slot, isolation, run("a", ["sleep", "600"]), limits=UNHURRIED)
    slot.until("learner")
    Path(f"/proc/{first_of(slot)}/root/tmp/planted").touch()
    await_that(lambda: sleepers_in(slot))
    os.kill(*sleepers_in(slot), signal.SIGKILL)
    frames = slot.until("unclean")
    assert [frame["type"] for frame in frames if frame["type"] == "ended"] == ["ended"]
    assert frames[-1]["why"] == "files in /tmp"
    assert slot.process.wait(60) == 0


def test_a_slot_whose_session_was_killed_says_so_and_leaves_nothing(slot, isolation):
    begin(slot, isolation, run("a", ["sleep", "600"]), limits=UNHURRIED)
    slot.until("learner")
    first = first_of(slot)
    (session,) = (pid for pid in commands() if parent_of(pid) == first)
    os.kill(session, signal.SIGKILL)
    assert slot.until("unclean")[-1]["why"] == "a session broke"
    await_that(lambda: first not in commands())
