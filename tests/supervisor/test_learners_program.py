"""What the learner's program gets, and what is left of it."""

import json
import subprocess

import pytest

from tests.supervisor.harness import LEARNER_UID, LIMITS, b64, text


def answer(ran):
    assert (ran["reason"], ran["code"]) == ("exited", 0), (ran, text(ran["stderr"]))
    return json.loads(text(ran["stdout"]))


@pytest.fixture
def learner_in(follow, supervise):
    """Runs some programs, in the one container or in a learner's own; gives the `ran` frames."""

    def run(mode, *frames):
        if mode == "--container":
            steps = [{"do": "run", "as": f"t{n}", **frame} for n, frame in enumerate(frames)]
            said = follow(*steps, {"do": "done"})
            assert (said[-1]["how"], said[-1]["detail"]) == ("finished", ""), said[-1]
            return [json.loads(frame["output"]) for frame in said if frame["type"] == "report"]
        supervisor = supervise(mode)
        supervisor.until("ready")
        supervisor.send({"type": "start", "limits": LIMITS})
        answers = []
        for frame in frames:
            supervisor.send({"type": "run", **frame})
            answers += supervisor.until("ran")
        return answers

    return run


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
    wanted = [2, 8 << 20, 256, 1, 40, 0, 64 << 20]
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


TWO_BUSY_THREADS = """
import hashlib, threading
def work():
    while True:
        hashlib.sha256(bytes(1 << 20)).digest()
threading.Thread(target=work).start()
work()
"""
"""On two processors they have used up their limit in half the time."""


@pytest.mark.parametrize(
    ("frame", "reason", "code"),
    [
        ({"argv": ["python3", "-c", "import time; time.sleep(60)"], "wall_s": 0.3}, "time", 137),
        ({"argv": ["python3", "-c", "while True: pass"], "cpu_s": 1, "wall_s": 4}, "time", 137),
        ({"argv": ["python3", "-c", TWO_BUSY_THREADS], "cpu_s": 1, "wall_s": 4}, "time", 137),
        ({"argv": ["/bin/sh", "-c", "sleep 1.1; kill -9 $$"], "cpu_s": 1}, "exited", 137),
        ({"argv": ["/bin/sh", "-c", "exit 152"]}, "exited", 152),
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


LEAVE_A_CHAIN = r"""
#define _GNU_SOURCE
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
static char stacks[2][16384] __attribute__((aligned(16)));
static int number;
static int go_on(void *unused) {
    for (;;) {
        number++;
        if (clone(go_on, stacks[number & 1] + 16384, CLONE_VM | CLONE_FS | CLONE_FILES, NULL) >= 0)
            syscall(SYS_exit, 0);
    }
}
int main(void) {
    if (fork() == 0) { setsid(); close(0); close(1); close(2); go_on(NULL); }
    usleep(20000);
    return 0;
}
"""
"""Whose every process is gone before a list of processes can be read to its end."""
TAKE_LONG_TO_FREE = r"""
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>
int main(void) {
    size_t size = 1900 * 4096, maps = 120;
    int fd = memfd_create("x", 0);
    if (fd < 0 || ftruncate(fd, size) < 0) return 1;
    for (int i = 0; i < 29; i++) if (fork() <= 0) break;
    char *all = mmap(0, size * maps, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (size_t map = 0; map < maps; map++)
        mmap(all + size * map, size, map & 1 ? PROT_READ : PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
    for (;;) pause();
}
"""


@pytest.fixture
def compiled(tmp_path):
    def build(source):
        (tmp_path / "a.c").write_text(source)
        command = ["gcc", "-static", "-w", "-s", "-o", tmp_path / "a", tmp_path / "a.c"]
        subprocess.run(command, check=True, capture_output=True)
        return {"program": b64((tmp_path / "a").read_bytes())}

    return build


@pytest.mark.parametrize("mode", ["--container", "--learner"])
def test_a_chain_of_forks_does_not_outlive_its_program(learner_in, compiled, mode):
    chain = {"argv": ["./program"], "files": compiled(LEAVE_A_CHAIN)}
    look = {"argv": ["python3", "-I", "-S", "-c", COUNT_OUR_PROCESSES]}
    count = 2 if mode == "--learner" else 1  # there the supervisor has the learner's uid as well
    for ran in learner_in(mode, *(chain, look) * 5)[1::2]:
        assert answer(ran) == count


@pytest.mark.parametrize("mode", ["--container", "--learner"])
def test_nobody_waits_for_what_the_kernel_has_to_free(learner_in, compiled, mode):
    slow = {"argv": ["./program"], "files": compiled(TAKE_LONG_TO_FREE), "wall_s": 3}
    look = {"argv": ["python3", "-I", "-S", "-c", COUNT_OUR_PROCESSES]}
    ran, after = learner_in(mode, slow, look)
    assert (ran["reason"], ran["code"]) == ("time", 137)
    assert ran["wall_ms"] < 5000
    assert answer(after) == (2 if mode == "--learner" else 1)


def test_its_streams_can_be_opened_by_name(run_learner):
    """Which is what /dev/stdin and the like are links to."""
    code = """
print(open('/proc/self/fd/0').read(2), end='', flush=True)
open('/proc/self/fd/1', 'w').write('-out')
open('/proc/self/fd/2', 'w').write('err')
for number, mode in ((0, 'w'), (1, 'r'), (2, 'r')):
    try:
        open('/proc/self/fd/%d' % number, mode)
        print(number)
    except PermissionError:
        pass
"""
    (ran,) = run_learner(code, more=[{"stdin": b64("input")}])
    assert (text(ran["stdout"]), text(ran["stderr"])) == ("in-out", "err")


def test_what_has_no_room_among_the_collected_is_named(run_learner):
    code = "open('a', 'w').write('A'); open('b', 'wb').truncate(5 << 20); open('c$1', 'w')"
    (ran,) = run_learner(code, more=[{"collect": ["a", "b", "c$1", "d"]}])
    assert (ran["files"], ran["left_out"]) == ({"a": b64("A"), "c$1": ""}, ["b"])


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
