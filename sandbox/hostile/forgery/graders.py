"""The grader itself: traced, signalled, handicapped, given other modules, trapped."""

from __future__ import annotations

from sandbox.hostile.case import (
    Deviation,
    Engine,
    Expected,
    Group,
    HostileCase,
    Program,
    Submission,
    hostile,
    verdicts,
)

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
                    "gVisor gives a program the personality of the one before: that flag is a "
                    "note within one submission, and none to another"
                ),
                expected=Expected(gains=frozenset({"the personality of before"})),
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
