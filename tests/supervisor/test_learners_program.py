"""What the learner's program gets, and what is left of it."""

import json

import pytest

from tests.supervisor.harness import LEARNER_UID, b64, text


def answer(ran):
    assert (ran["reason"], ran["code"]) == ("exited", 0), (ran, text(ran["stderr"]))
    return json.loads(text(ran["stdout"]))


LOOK_AT_OURSELVES = """
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
names = [f"/proc/self/fd/{n}" for n in sorted(os.listdir("/proc/self/fd"))]
print(json.dumps({
    "env": sorted(os.environ), "cwd": os.getcwd(), "files": os.listdir("."),
    "fds": [os.readlink(path) for path in names if os.path.exists(path)],
    "uids": status["Uid"].split(), "gids": status["Gid"].split(),
    "groups": status["Groups"].split(),
    "caps": [status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")],
    "leads": os.getsid(0) == os.getpid(), "oom": open("/proc/self/oom_score_adj").read(),
    "blocked": status["SigBlk"], "ignored": status["SigIgn"],
}))
"""


def test_it_has_its_uid_three_pipes_an_empty_environment_and_its_files(run_learner):
    (ran,) = run_learner(LOOK_AT_OURSELVES, more=[{"files": {"a.txt": b64("A")}}])
    found = answer(ran)
    assert set(found["env"]) <= {"LC_CTYPE"}  # Python's own
    assert (found["cwd"], found["files"]) == ("/box", ["a.txt"])
    assert len(found["fds"]) == 3
    assert all(target.startswith("pipe:") for target in found["fds"])
    assert set(found["uids"]) == set(found["gids"]) == {str(LEARNER_UID)}
    assert found["groups"] == []
    assert {int(value, 16) for value in found["caps"]} == {0}
    assert found["leads"]
    assert found["oom"] == "1000\n"
    assert int(found["blocked"], 16) == 0


def test_its_limits_are_those_it_was_given(run_learner):
    code = """
import json, resource as r
kinds = (r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE, r.RLIMIT_CORE, r.RLIMIT_NPROC,
         r.RLIMIT_MSGQUEUE, r.RLIMIT_DATA)
print(json.dumps([r.getrlimit(kind) for kind in kinds]))
"""
    (ran,) = run_learner(code, more=[{"cpu_s": 1.2, "memory_bytes": 64 << 20}])
    wanted = [2, 8 << 20, 256, 0, 40, 0, 64 << 20]
    assert answer(ran) == [[value, value] for value in wanted]


def test_it_can_neither_read_nor_signal_nor_trace_the_others(run_learner):
    code = """
import ctypes, json, os, signal
libc, found = ctypes.CDLL(None, use_errno=True), []
for path in ("/grade", "/scratch", "/grade/grade.py"):
    try:
        os.listdir(path) if path[-1] != "y" else open(path)
        found.append(path)
    except OSError:
        pass
for pid in (name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()):
    for name in ("environ", "mem", "maps", "fd/0", "cwd", "root"):
        try:
            open(f"/proc/{pid}/{name}", "rb").read(1)
            found.append(pid + name)
        except OSError:
            pass
    try:
        os.kill(int(pid), signal.SIGKILL)
        found.append(pid + "kill")
    except OSError:
        pass
    if libc.ptrace(16, int(pid), 0, 0) == 0:
        found.append(pid + "ptrace")
try:
    os.kill(-1, signal.SIGKILL)
except OSError:
    pass
print(json.dumps(found))
"""
    ran, after = run_learner(code, "print(1)")
    assert answer(ran) == []
    assert answer(after) == 1


@pytest.mark.parametrize(
    ("frame", "reason", "code"),
    [
        ({"argv": ["python3", "-c", "import time; time.sleep(60)"], "wall_s": 0.3}, "time", 137),
        ({"argv": ["python3", "-c", "while True: pass"], "cpu_s": 1, "wall_s": 4}, "time", 137),
        ({"argv": ["/bin/sh", "-c", "exit 7"]}, "exited", 7),
        ({"argv": ["/bin/sh", "-c", "kill -SEGV $$"]}, "exited", 139),
        ({"argv": ["yes"], "output_bytes": 1000}, "output", 137),
        ({"argv": ["no-such-program"]}, "exited", 127),
        ({"argv": ["/etc"]}, "exited", 127),
        ({"argv": ["x" * 5000]}, "exited", 127),
        ({"argv": ["echo", "a\0b"]}, "exited", 127),
        ({"argv": ["echo", "\ud800"]}, "exited", 127),
        ({"argv": ["echo", "x" * 200_000]}, "exited", 127),
        ({"argv": ["true"], "stdin": b64("x" * 500_000)}, "exited", 0),
    ],
)
def test_how_it_ended_is_told(follow, frame, reason, code):
    frames = follow({"do": "run", "as": "t", **frame}, {"do": "done"})
    assert frames[-1]["how"] == "finished", frames[-1]
    (report,) = (each for each in frames if each["type"] == "report")
    ran = json.loads(report["output"])
    assert (ran["reason"], ran["code"]) == (reason, code), ran
    if reason == "output":
        assert len(text(ran["stdout"])) == 1000


def test_input_and_output_of_any_bytes_cross_unchanged(follow):
    data = bytes(range(256)) * 200
    step = {"do": "run", "as": "t", "argv": ["cat"], "stdin": b64(data)}
    frames = follow(step, {"do": "done"}, limits={"output_bytes": 1 << 20})
    (report,) = (each for each in frames if each["type"] == "report")
    assert json.loads(report["output"])["stdout"] == b64(data)


LEAVE_PROCESSES = """
import ctypes, os, signal, sys, threading, time
def forever():
    while True:
        time.sleep(100)
for kind in range(3):
    if os.fork() == 0:
        os.setsid()
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        if kind == 0:  # its first thread ends alone: the process looks like a zombie
            threading.Thread(target=forever).start()
            ctypes.CDLL(None).syscall(60, 0)
        if kind == 1:
            ctypes.CDLL(None).prctl(4, 0)
        if os.fork() == 0:
            forever()
        os.kill(os.getpid(), signal.SIGSTOP)
"""
COUNT_OUR_PROCESSES = f"""
import os
count = 0
for name in filter(str.isdigit, os.listdir("/proc")):
    try:
        status = open(f"/proc/{{name}}/status").read()
    except OSError:
        continue
    count += "Uid:\\t{LEARNER_UID}" in status
print(count)
"""


def test_nothing_it_started_outlives_it(run_learner):
    _, after = run_learner(LEAVE_PROCESSES, COUNT_OUR_PROCESSES)
    assert answer(after) == 1


def test_a_fork_bomb_is_cleared_by_the_killer_that_was_there_before(run_learner):
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    ran, after = run_learner(bomb, COUNT_OUR_PROCESSES, more=[{"wall_s": 1}])
    assert ran["reason"] == "time"
    assert answer(after) == 1


PLANT = """
import os
for number in range(300):
    os.mkdir("deep"); os.chdir("deep")
os.chdir("/box")
os.makedirs("a/b/c"); os.symlink("/usr/bin", "a/link"); os.mkfifo("pipe"); os.link("a/link", "hard")
open("/tmp/x", "w").close(); os.makedirs("/tmp/d/e")
for path in ("a/b/c", "a/b", "a", "/tmp/d", "/box"):
    os.chmod(path, 0)
"""


def test_nothing_of_its_files_is_left_however_they_are_closed(run_learner):
    look = "import os, json; print(json.dumps(os.listdir('/box') + os.listdir('/tmp')))"
    planted, after = run_learner(PLANT, look)
    assert planted["code"] == 0, text(planted["stderr"])
    assert answer(after) == []


def test_keep_leaves_the_folder_and_replaces_only_what_is_sent(run_learner):
    first = "import os; open('kept', 'w').write('K'); os.mkdir('in.txt'); os.chmod('/box', 0o500)"
    look = "import glob; print(*(open(n).read() for n in sorted(glob.glob('[ik]*'))), sep='+')"
    sent = {"files": {"in.txt": b64("new")}}
    _, kept, gone = run_learner(first, look, look, more=[{}, {"keep": True, **sent}, sent])
    assert text(kept["stdout"]) == "new+K\n"
    assert text(gone["stdout"]) == "new\n"


def test_files_that_do_not_fit_beside_kept_ones_are_an_answer(run_learner):
    fill = "open('big', 'wb').write(b'x' * (5 << 20))"
    more = [{}, {"keep": True, "files": {"more": b64("y" * (3 << 20))}}]
    _, ran = run_learner(fill, "print(1)", more=more)
    assert ran["code"] == 127
    assert "do not fit" in text(ran["stderr"])


def test_only_plain_files_that_were_asked_for_are_collected(run_learner):
    code = """
import os
open("out.txt", "w").write("OUT"); open("empty", "w").close(); open("other", "w").write("no")
os.symlink("/etc/passwd", "link"); os.mkfifo("fifo"); os.mkdir("folder")
open("huge", "wb").truncate(7 << 20)
"""
    names = ["out.txt", "empty", "link", "fifo", "folder", "missing", "huge"]
    (ran,) = run_learner(code, more=[{"collect": names}])
    assert ran["files"] == {"out.txt": b64("OUT"), "empty": ""}


def test_it_gets_the_environment_that_the_grader_names(run_learner):
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    (ran,) = run_learner(code, more=[{"env": {"A_B": "cé"}}])
    assert {name: value for name, value in answer(ran).items() if name != "LC_CTYPE"} == {
        "A_B": "cé"
    }


def test_placed_files_can_be_executed_as_they_are(follow):
    script = b64("#!/bin/sh\necho $0 $1; ls -l other | cut -c 1-10")
    frames = follow(
        {
            "do": "run",
            "as": "t1",
            "argv": ["./program", "x"],
            "files": {"program": script, "other": b64("")},
        },
        {"do": "done"},
    )
    answer = json.loads(next(frame for frame in frames if frame["type"] == "report")["output"])
    assert text(answer["stdout"]) == "./program x\n-rwx------\n", answer
