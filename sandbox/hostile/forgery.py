"""C. A grade that was not earned, answers that were not given, a grader led astray."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from sandbox.hostile.case import (
    Deviation,
    Elsewhere,
    Engine,
    Expected,
    Group,
    HostileCase,
    Program,
    Submission,
    hostile,
    verdicts,
)
from sandbox.hostile.preludes import ATTACKED
from sandbox.probe.script import Ran

FRAMES = """
import json
bodies = [json.dumps(frame).encode() for frame in (
    {"type": "tests", "tests": [{"id": "free", "title": "free", "max": 100}]},
    {"type": "report", "id": "attack-1", "score": 1, "output": "forged"},
    {"type": "report", "id": "before", "score": 1},
    {"type": "ran", "reason": "exited", "code": 0, "stdout": "", "stderr": "", "wall_ms": 1},
    {"type": "done"},
    {"type": "ended", "how": "finished"},
)]
frames = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
line = b'{"correct": true, "score": 1.0, "errors": [], "tests": [["t", "", true, "", ""]]}\\n'
multiplexed = b"\\x01\\0\\0\\0" + len(frames).to_bytes(4, "big") + frames
"""

LOOK_FOR_IT = """
import re
SECRET = re.compile(b"XQ-SECRET" + b"-[0-9a-f]{16}")
def holds_secret(path, most=1 << 20):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return SECRET.search(os.read(fd, most)) is not None
    except OSError:
        return False
    finally:
        os.close(fd)
"""

SEARCH_OWN_MEMORY = (
    LOOK_FOR_IT
    + """
import gc
frame = sys._getframe()
while frame is not None:
    if SECRET.search(repr(frame.f_locals).encode(errors="replace")):
        gained("the secret in a frame")
    frame = frame.f_back
for thing in gc.get_objects():
    try:
        if isinstance(thing, dict) and SECRET.search(repr(list(thing.values())[:500]).encode()):
            gained("the secret among the objects")
    except Exception:
        pass
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        start, end = (int(x, 16) for x in line.split()[0].split("-"))
        if "r" not in line.split()[1] or end - start > 64 << 20 or "[v" in line:
            continue
        try:
            memory.seek(start)
            if SECRET.search(memory.read(end - start)):
                gained("the secret in memory at " + line.split()[0])
        except (OSError, ValueError, OverflowError):
            pass
for path in ("/proc/self/environ", "/proc/self/cmdline", "/proc/self/auxv"):
    if holds_secret(path):
        gained(path)
"""
)


def _its_bytes_came_back(expected: bytes) -> str:
    return expected.decode(errors="replace") + ATTACKED


PICKLED = pickle.dumps({"score": 1, "attack-1": True}, protocol=0)


def _answered_as_text(ran: Sequence[Ran]) -> None:
    assert PICKLED.decode() in ran[0].stdout, f"the grader got something else: {ran[0].stdout!r}"


def _printed_everything(ran: Sequence[Ran]) -> None:
    assert '"correct": true' in ran[0].stdout, "its own output did not come back as output"


STARVE = """
class Limit(ctypes.Structure):
    _fields_ = [("soft", ctypes.c_ulong), ("hard", ctypes.c_ulong)]
none, param, mask = Limit(0, 0), ctypes.c_int(0), ctypes.c_ulong(1)
for pid in pids():
    if pid != os.getpid():
        for number in range(64):
            try:
                os.kill(pid, number)
            except OSError:
                pass
        call("sched_setscheduler", pid, 5, ctypes.byref(param))
        call("sched_setaffinity", pid, 8, ctypes.byref(mask))
        call("ioprio_set", 1, pid, 3 << 13)
        call("ptrace", 0x4206, pid, 0, 0)
        try:
            os.setpriority(os.PRIO_PROCESS, pid, 19)
        except OSError:
            pass
        for resource in range(16):
            call("prlimit64", pid, resource, ctypes.byref(none), 0)
"""

CASES = (
    HostileCase(
        number="31",
        name="prints-results",
        group=Group.FORGERY,
        attack="writes perfect result lines and frames to every descriptor, then exits with 0",
        outcome="plain output of the learner; graded by its content",
        plan=Submission(
            programs=(
                Program(
                    source=FRAMES
                    + """
for data in (line, frames, multiplexed):
    for fd in range(1, 64):
        try:
            os.write(fd, data)
        except OSError:
            pass
say("")
say("ATTACKED")
os._exit(0)
"""
                ),
            ),
            look=_printed_everything,
        ),
    ),
    HostileCase(
        number="32",
        name="prints-pass-and-exits",
        group=Group.FORGERY,
        attack="prints PASS and exits with 0 before it is asked anything",
        outcome="graded by its content: no point",
        plan=hostile("say('PASS'); say('OK'); say('ATTACKED'); os._exit(0)"),
    ),
    HostileCase(
        number="33",
        name="writes-result-files",
        group=Group.FORGERY,
        attack="writes result files to every place where some grading system reads them",
        outcome="nobody reads them",
        plan=hostile(
            """
perfect = '{"score": 1, "correct": true, "fractionalScore": 1, "tests": []}'
for path in ("/grade/results/results.json", "/grade/results.json", "/autograder/results.json",
             "/autograder/results/results.json", "/shared/feedback.json", "/task/result",
             "/scratch/results.json", "/xq/result", "/results.json", "/var/tmp/results.json"):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(perfect)
        gained(path)
    except OSError:
        pass
for name in ("results.json", "feedback.json", "result.xml", "out", "score"):
    for folder in ("/box", "/tmp"):
        with open(folder + "/" + name, "w") as file:
            file.write(perfect)
"""
        ),
    ),
    HostileCase(
        number="34",
        name="reads-answers",
        group=Group.FORGERY,
        attack="reads the grader's folders by every path, and all it can read of the file system",
        outcome="permission denied; the secret is nowhere",
        plan=hostile(
            LOOK_FOR_IT
            + """
for path in ("/grade", "/scratch", "/grade/.xqueue", "/proc/self/cwd/../grade",
             "/proc/self/root/grade", "/proc/thread-self/root/grade", "/box/../grade"):
    try:
        if os.listdir(path):
            gained("the names in " + path)
    except OSError:
        pass
for path in ("/grade/secret.txt", "/grade/grade.py", "/proc/self/root/grade/secret.txt",
             "/scratch/notes.txt"):
    try:
        open(path, "rb").close()
        gained(path)
    except OSError:
        pass
for top, folders, names in os.walk("/"):
    if top == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "usr", "dev")]
    for name in names:
        if holds_secret(os.path.join(top, name)):
            gained("the secret in " + os.path.join(top, name))
"""
        ),
    ),
    HostileCase(
        number="35",
        name="reads-processes",
        group=Group.FORGERY,
        attack="reads environ, mem, maps, fd, cwd, root and more of every other user's process",
        outcome="permission denied",
        plan=hostile(
            """
def look(pid):
    folder = "/proc/%d/" % pid
    for name in ("environ", "mem", "maps", "smaps", "pagemap", "auxv", "io", "stack", "syscall",
                 "map_files", "fd", "fdinfo", "cwd", "root", "exe", "personality", "ns/mnt",
                 "task/%d/environ" % pid, "task/%d/mem" % pid, "cwd/secret.txt",
                 "root/grade/secret.txt", "root/grade/grade.py", "attr/keycreate",
                 "timerslack_ns", "patch_state", "clear_refs"):
        path = folder + name
        try:
            if os.path.islink(path):
                os.readlink(path)
            elif name in ("map_files", "fd", "fdinfo"):
                if not os.listdir(path):
                    continue
            else:
                with open(path, "rb") as file:
                    if not file.read(64):
                        continue
            gained("%s of %s" % (name, "pid 1" if pid == 1 else "another"))
        except (OSError, ValueError):
            pass
    for fd in range(64):
        attempt("fd %d of %d" % (fd, pid), os.open, folder + "fd/%d" % fd, os.O_RDONLY)
for pid in others():
    look(pid)
"""
        ),
    ),
    HostileCase(
        number="36",
        name="reads-command-lines",
        group=Group.FORGERY,
        attack="reads command line, name and status of every process",
        outcome="readable, and without any secret",
        plan=hostile(
            LOOK_FOR_IT
            + """
for pid in pids():
    for name in ("cmdline", "comm", "status", "stat", "wchan", "mountinfo", "cgroup", "limits"):
        if holds_secret("/proc/%d/%s" % (pid, name)):
            gained("the secret in %s" % name)
"""
        ),
    ),
    HostileCase(
        number="37",
        name="traces-the-grader",
        group=Group.FORGERY,
        attack="ptrace, process_vm_readv and -writev, pidfd_getfd, kcmp, process_madvise on others",
        outcome="refused",
        plan=hostile(
            """
class IoVector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(64)
mine, theirs = IoVector(ctypes.addressof(buffer), 64), IoVector(0x400000, 64)
for pid in others() + [1 << 22]:
    for request in (16, 0x4206):
        must_fail("ptrace", request, pid, 0, 0)
    for name in ("process_vm_readv", "process_vm_writev"):
        must_fail(name, pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
    must_fail("kcmp", pid, os.getpid(), 0, 0, 0)
    must_fail("get_robust_list", pid, ctypes.byref(mine), ctypes.byref(theirs))
    must_fail("move_pages", pid, 0, 0, 0, 0, 0) if pid != 1 << 22 else None
    pidfd, _ = call("pidfd_open", pid, 0)
    if pidfd >= 0:
        for fd in range(16):
            must_fail("pidfd_getfd", pidfd, fd, 0)
        must_fail("process_madvise", pidfd, ctypes.byref(theirs), 1, 4, 0)
"""
        ),
    ),
    HostileCase(
        number="38",
        name="signals-the-grader",
        group=Group.FORGERY,
        attack="sends every signal to every other process, by pid, group, thread and pidfd",
        outcome="refused; grader and supervisor live",
        plan=hostile(
            """
import signal
for pid in others():
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL, signal.SIGCONT, 34, 64, 0):
        attempt("signal %d" % number, os.kill, pid, number)
        if pid != 1:  # -1 would be everybody, ourselves among them
            attempt("signal %d to the group" % number, os.kill, -pid, number)
        if libc.syscall(131 if ARM else 234, pid, pid, number) == 0:
            gained("tgkill")
    pidfd, _ = call("pidfd_open", pid, 0)
    if pidfd >= 0:
        must_fail("pidfd_send_signal", pidfd, 9, 0, 0)
"""
        ),
    ),
    HostileCase(
        number="38a",
        name="signals-by-descriptor",
        group=Group.FORGERY,
        attack="has the kernel send signals for it: F_SETOWN and F_SETSIG on its pipes, timers",
        outcome="refused or without effect; grader and supervisor live",
        plan=hostile(
            """
import fcntl, signal
reader, writer = os.pipe()
for pid in others():
    for number in (9, 19):
        for target in (pid, -pid):
            try:
                fcntl.fcntl(reader, fcntl.F_SETOWN, target)
                fcntl.fcntl(reader, 10, number)
                fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
                os.write(writer, b"x")
                os.read(reader, 1)
            except OSError:
                pass
"""
        ),
    ),
    HostileCase(
        number="39",
        name="handicaps-the-grader",
        group=Group.FORGERY,
        attack=(
            "changes limits, scheduling, priority, memory placement and files in /proc of others"
        ),
        outcome="refused",
        plan=hostile(
            """
class Limit(ctypes.Structure):
    _fields_ = [("soft", ctypes.c_ulong), ("hard", ctypes.c_ulong)]
zero, param, mask = Limit(0, 0), ctypes.c_int(0), ctypes.c_ulong(1)
for pid in others():
    for resource in (0, 1, 7, 9):
        must_fail("prlimit64", pid, resource, ctypes.byref(zero), 0)
    must_fail("prlimit64", pid, 7, 0, ctypes.byref(zero))
    must_fail("sched_setscheduler", pid, 5, ctypes.byref(param))
    must_fail("sched_setaffinity", pid, 8, ctypes.byref(mask))
    must_fail("ioprio_set", 1, pid, 3 << 13)
    must_fail("migrate_pages", pid, 8, ctypes.byref(mask), ctypes.byref(mask))
    attempt("priority", os.setpriority, os.PRIO_PROCESS, pid, 19)
    for name in ("oom_score_adj", "comm", "clear_refs", "autogroup", "coredump_filter",
                 "loginuid", "uid_map", "setgroups", "timens_offsets", "mem", "oom_adj",
                 "make-it-fail", "attr/current", "cgroup"):
        try:
            fd = os.open("/proc/%d/%s" % (pid, name), os.O_WRONLY)
        except OSError:
            continue
        attempt("writes " + name, os.write, fd, b"0")  # anybody may open some, not write them
        os.close(fd)
"""
        ),
    ),
    HostileCase(
        number="39a",
        name="handicaps-its-own-init",
        group=Group.FORGERY,
        attack="takes limits, priority and processors from the first process of its own box",
        outcome="at most its own next programs in that box suffer; the run goes on",
        plan=Submission(
            programs=(
                Program(source=STARVE),
                Program(source="say('in the same box')", frame={"keep": True}),
                Program(source="say('in the same box')", frame={"keep": True}),
            )
        ),
        expected=verdicts("exited", "died"),
    ),
    HostileCase(
        number="40",
        name="shadows-modules",
        group=Group.FORGERY,
        attack="plants modules, .pth files and configuration that the grader might import",
        outcome="the grader imports its own: no folder of the learner is on its path",
        plan=hostile(
            """
forged = "import os; os.write(3, b'forged'); raise SystemExit(0)"
for folder in ("/box", "/tmp"):
    for name in ("json.py", "fractions.py", "graders.py", "gradelib.py", "conftest.py",
                 "sitecustomize.py", "usercustomize.py", "grade.py", "a.pth", "pytest.ini",
                 "__init__.py", "pyvenv.cfg"):
        with open(folder + "/" + name, "w") as file:
            file.write(forged)
""",
            frame={},
        ),
    ),
    HostileCase(
        number="41",
        name="patches-comparison",
        group=Group.FORGERY,
        attack=(
            "patches print, ==, str and unittest, and answers with an object equal to everything"
        ),
        outcome="only bytes cross: no point",
        plan=hostile(
            """
import builtins, unittest
class AlwaysTrue(str):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    __hash__ = str.__hash__
unittest.TestCase.assertEqual = lambda *_: None
real = builtins.print
builtins.print = lambda *a, **k: real(AlwaysTrue("the right answer? yes"))
print(AlwaysTrue("anything"), flush=True)
"""
        ),
    ),
    HostileCase(
        number="42",
        name="answers-with-a-pickle",
        group=Group.FORGERY,
        attack="answers with a pickle where a result is expected",
        outcome="text like any other",
        plan=Submission(
            programs=(Program(source=f"say({PICKLED.decode()!r})"),), look=_answered_as_text
        ),
    ),
    HostileCase(
        number="43",
        name="searches-its-memory",
        group=Group.FORGERY,
        attack="walks its stack, its objects and all of its memory for the grader's secret",
        outcome="nothing of the grader is in its process",
        plan=hostile(SEARCH_OWN_MEMORY),
    ),
    HostileCase(
        number="43a",
        name="searches-the-memory-of-a-fork",
        group=Group.FORGERY,
        attack="the same, where the program is forked from a Python that was started before",
        outcome="nothing of the grader is in its process",
        plan=hostile(SEARCH_OWN_MEMORY, frame={"zygote": True}),
    ),
    HostileCase(
        number="44",
        name="environment-and-descriptors",
        group=Group.FORGERY,
        attack="looks for what it inherited: variables, descriptors, working folder, signal masks",
        outcome="an empty environment, three pipes, its own folder",
        plan=hostile(
            """
import signal
for name in os.environ:
    if name not in ("PWD", "LC_CTYPE"):
        gained("the variable " + name)
for fd in range(4096):
    try:
        target = os.readlink("/proc/self/fd/%d" % fd)
    except OSError:
        continue
    if fd > 2 or not target.startswith("pipe:"):
        gained("descriptor %d is %s" % (fd, target.split(":")[0]))
if os.getcwd() != "/box":
    gained("the folder " + os.getcwd())
if signal.pthread_sigmask(signal.SIG_BLOCK, []):
    gained("blocked signals")
groups = [group for group in os.getgroups() if group not in (os.getgid(), 65534)]
if groups:
    gained("groups %s" % groups)
"""
        ),
    ),
    HostileCase(
        number="44a",
        name="environment-of-a-fork",
        group=Group.FORGERY,
        attack="the same, where the program is forked from a Python that was started before",
        outcome="an empty environment, three pipes, its own folder, its own uid in every place",
        plan=hostile(
            """
import signal
for name in os.environ:
    if name not in ("PWD", "LC_CTYPE"):
        gained("the variable " + name)
for fd in range(4096):
    try:
        target = os.readlink("/proc/self/fd/%d" % fd)
    except OSError:
        continue
    if fd > 2 or not target.startswith("pipe:"):
        gained("descriptor %d is %s" % (fd, target.split(":")[0]))
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
if len(set(status["Uid"].split())) != 1 or len(set(status["Gid"].split())) != 1:
    gained("uids " + status["Uid"])
if int(status["CapEff"], 16) or int(status["CapPrm"], 16) or int(status["CapInh"], 16):
    gained("capabilities")
attempt("setuid(0)", os.setuid, 0)
attempt("an older uid", os.setresuid, -1, 10001, -1)
if libc.prctl(3, 0, 0, 0, 0) == 1 and os.getuid() != os.stat("/proc/self").st_uid:
    gained("a /proc/self of another")
""",
            frame={"zygote": True},
        ),
    ),
    HostileCase(
        number="45",
        name="prints-frame-headers",
        group=Group.FORGERY,
        attack="floods stdout with frame headers, halves of frames and the engine's stream headers",
        outcome="plain output of the learner",
        plan=hostile(
            FRAMES
            + """
for data in (multiplexed, frames, b"\\xff\\xff\\xff\\xff", b"\\0\\0\\0\\x02{}", frames[:7]):
    os.write(1, data * 3)
    os.write(2, data * 3)
say("")
"""
        ),
    ),
    HostileCase(
        number="46",
        name="probes-over-many-submissions",
        group=Group.FORGERY,
        attack="learns answers bit by bit from many submissions",
        outcome="no output, expected or actual value of a hidden test is shown",
        plan=Elsewhere(
            decided_by="the reply to the LMS: what learners see of hidden tests",
            tests="tests/reply",
        ),
    ),
    HostileCase(
        number="47",
        name="watches-the-grader",
        group=Group.FORGERY,
        attack="watches the grader's folders (inotify, fanotify), locks and sockets for a hint",
        outcome="refused",
        plan=hostile(
            """
watch = libc.inotify_init1(0)
for path in (b"/grade", b"/scratch", b"/grade/grade.py", b"/scratch/x"):
    if watch >= 0 and libc.inotify_add_watch(watch, path, 0xFFF) >= 0:
        gained("a watch on " + path.decode())
must_fail("fanotify_init", 0x800, 0)
must_fail("fanotify_init", 0, 0)
for path in ("/proc/timer_list", "/proc/sched_debug", "/proc/vmallocinfo", "/proc/slabinfo",
             "/proc/pagetypeinfo", "/proc/kpagecount", "/proc/keys", "/proc/timer_stats"):
    try:
        with open(path, "rb") as file:
            if file.read(10):
                gained(path)
    except OSError:
        pass
"""
        ),
        deviations={
            Engine.GVISOR: Deviation(
                reason="empty folders of its own container; the grader's are in another",
                expected=Expected(gains=frozenset({"a watch on /grade", "a watch on /scratch"})),
            )
        },
    ),
    HostileCase(
        number="90",
        name="leaves-a-trap-for-the-next",
        group=Group.FORGERY,
        attack="leaves keys, an abstract socket's name, shared memory and a folder trap behind",
        outcome="the next program of the same submission finds none of them",
        plan=Submission(
            programs=(
                Program(
                    source="""
for ring in (-1, -2, -3, -4, -5):
    call("add_key", b"user", b"xq-hostile", b"left", 4, ring)
libc.shmget(0x7871, 4096, 0o1666)
libc.semget(0x7871, 1, 0o1666)
libc.msgget(0x7871, 0o1666)
os.mkfifo("/box/fifo")
os.symlink("/proc/self/environ", "/box/link")
os.umask(0o777)
libc.personality(0x0040000)
"""
                ),
                Program(
                    source="""
for ring in (-1, -2, -3, -4, -5):
    must_fail("keyctl", 10, ring, b"user", b"xq-hostile", 0)
must_fail("request_key", b"user", b"xq-hostile", 0, 0)
for name in ("shmget", "semget", "msgget"):
    arguments = {"shmget": (0x7871, 4096, 0), "semget": (0x7871, 1, 0), "msgget": (0x7871, 0)}
    if getattr(libc, name)(*arguments[name]) >= 0:
        gained(name)
if sorted(os.listdir("/box")) != ["attack.py"] or os.listdir("/tmp"):
    gained("%s %s" % (os.listdir("/box"), os.listdir("/tmp")))
if os.umask(0o077) == 0o777:
    gained("the umask of before")
if libc.personality(0xFFFFFFFF) & 0x40000:
    gained("the personality of before")
"""
                ),
            )
        ),
        deviations={
            Engine.GVISOR: Deviation(
                reason=(
                    "System V objects of gVisor live as long as the learner's container: programs "
                    "of one submission can leave each other notes, those of another can not"
                ),
                expected=Expected(
                    gains=frozenset({"shmget", "semget", "msgget", "the personality of before"})
                ),
            )
        },
    ),
    HostileCase(
        number="91",
        name="grabs-descriptors-of-the-grader",
        group=Group.FORGERY,
        attack=(
            "connects to sockets of others and has descriptors passed (SCM_RIGHTS), opens /dev/fd"
        ),
        outcome="there is no socket to connect to",
        plan=hostile(
            """
import socket
names = []
try:
    with open("/proc/net/unix") as file:
        names = [line.split()[-1] for line in file.readlines()[1:] if len(line.split()) > 7]
except OSError:
    pass
for name in names:
    address = "\\0" + name[1:] if name.startswith("@") else name
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as s:
            attempt("a connection to " + name, s.connect, address)
for fd in range(3, 64):
    attempt("/dev/fd/%d" % fd, os.open, "/dev/fd/%d" % fd, os.O_RDWR)
"""
        ),
    ),
)
