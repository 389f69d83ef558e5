"""Looking for the answers: files, processes, memory, what was inherited, many submissions."""

from __future__ import annotations

from sandbox.hostile.case import Deviation, Elsewhere, Engine, Expected, Group, HostileCase, hostile

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
INHERITED = """
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
"""

CASES = (
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
            INHERITED
            + """
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
            INHERITED
            + """
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
)
