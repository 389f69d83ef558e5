"""A. Taking all there is: processes, memory, files, descriptors, output, time."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.hostile.case import (
    Deviation,
    Engine,
    Expected,
    Group,
    HostileCase,
    Language,
    Procedure,
    Program,
    Submission,
    hostile,
    verdicts,
)
from sandbox.hostile.neighbours import neighbours_are_not_slowed
from sandbox.probe.script import Ran
from sandbox.run import KIB

SOON = {"wall_s": 1.0}
"""For what has to be stopped by the clock: the suite waits for it."""
OUTPUT_CAP = 8 * KIB
STOPPED = verdicts("time", "memory")
STOPPED_OR_OVER = verdicts("time", "memory", "exited")

GVISOR_FILES = "files are memory of gVisor's kernel, and gone with the container"
GVISOR_OWN = "gVisor's own kernel answers, and nothing of it reaches the host's"
NO_CAP_ON_FILES = (
    "bubblewrap's tmpfs takes no inode limit; the files are kernel memory of the box, "
    "charged to its memory cgroup, and gone with it"
)


def _capped(ran: Sequence[Ran]) -> None:
    (flood,) = ran
    longest = max(len(flood.stdout.encode()), len(flood.stderr.encode()))
    assert longest == OUTPUT_CAP, f"{longest} bytes were kept"


def _at_most_the_cap(ran: Sequence[Ran]) -> None:
    assert len(ran[0].stdout) <= OUTPUT_CAP, f"{len(ran[0].stdout)} bytes were kept"


def _soon_over(ran: Sequence[Ran]) -> None:
    assert ran[0].wall_ms < 1500, f"stopped only after {ran[0].wall_ms} ms"


CASES = (
    HostileCase(
        number="1",
        name="fork-bomb-python",
        group=Group.EXHAUSTION,
        attack="forks for ever, children included",
        outcome="stopped by the clock or for memory; none of its processes is left",
        plan=hostile(
            """
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
            frame=SOON,
        ),
        expected=STOPPED,
    ),
    HostileCase(
        number="2",
        name="fork-bomb-shell",
        group=Group.EXHAUSTION,
        attack="the classic function that pipes itself into itself",
        outcome="the shell cannot fork; none of its processes is left",
        plan=hostile("f() { f | f & }\nf\nwait", language=Language.SHELL, frame=SOON, bare=True),
        expected=STOPPED_OR_OVER,
    ),
    HostileCase(
        number="3",
        name="fork-chain",
        group=Group.EXHAUSTION,
        attack="every process forks a successor in a session of its own and ends: nobody to kill",
        outcome="the first one's end is the program's end, and the chain ends with it",
        plan=hostile(
            """
while True:
    try:
        if os.fork():
            os._exit(0)
        os.setsid()
    except OSError:
        pass
""",
            frame=SOON,
            bare=False,
        ),
        expected=verdicts("died", "time"),
    ),
    HostileCase(
        number="3a",
        name="fork-bomb-c",
        group=Group.EXHAUSTION,
        attack="vfork, fork and clone in a tight loop, each child undumpable in its own session",
        outcome="stopped by the clock or for memory; none of its processes is left",
        plan=hostile(
            r"""
#include <sys/prctl.h>
int main(void) {
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
    for (;;) {
        if (fork() == 0) { setsid(); prctl(PR_SET_DUMPABLE, 0); }
        if (vfork() == 0) _exit(0);
        syscall(SYS_clone, 17, 0, 0, 0, 0);
    }
}
""",
            language=Language.C,
            frame=SOON,
        ),
        expected=STOPPED,
        deviations={
            Engine.GVISOR: Deviation(
                reason="it may take its whole container along, and nothing but that",
                expected=verdicts("time", "memory", "died"),
            )
        },
    ),
    HostileCase(
        number="4",
        name="thread-bomb",
        group=Group.EXHAUSTION,
        attack="starts threads for ever",
        outcome="refused after as many as the limit of processes",
        plan=hostile(
            """
import threading
stop = threading.Event()
started = 0
threading.stack_size(65536)
try:
    while started < 500:
        threading.Thread(target=stop.wait, daemon=True).start()
        started += 1
except (RuntimeError, MemoryError):
    pass
if started >= 200:
    gained("%d threads" % started)
say("ATTACKED")
os._exit(0)
"""
        ),
    ),
    HostileCase(
        number="5",
        name="memory-bomb",
        group=Group.EXHAUSTION,
        attack="takes memory for ever",
        outcome="killed for memory; the grader lives",
        plan=hostile("hoard = []\nwhile True:\n    hoard.append(bytearray(4 << 20))"),
        expected=verdicts("memory"),
    ),
    HostileCase(
        number="5a",
        name="memory-bomb-that-looks-small",
        group=Group.EXHAUSTION,
        attack="lowers its own oom_score_adj first, so that the kernel would choose the grader",
        outcome="killed for memory, or the run ends as the learner's; never a fault of the grader",
        plan=hostile(
            """
for value in ("-1000", "-1", "0"):
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(value)
        if value != "0":
            gained("oom_score_adj " + value)
    except OSError:
        pass
hoard = []
while True:
    hoard.append(bytearray(4 << 20))
"""
        ),
        expected=Expected(
            verdicts=frozenset({"memory"}), ends=frozenset({"completed", "learner-limit"})
        ),
    ),
    HostileCase(
        number="6",
        name="memory-bombs",
        group=Group.EXHAUSTION,
        attack="twenty processes take memory at once",
        outcome="killed for memory; the grader lives",
        plan=hostile(
            """
for _ in range(20):
    if os.fork() == 0:
        break
hoard = []
while True:
    hoard.append(bytearray(1 << 20))
"""
        ),
        expected=verdicts("memory", "time"),
    ),
    HostileCase(
        number="7",
        name="memory-without-a-heap",
        group=Group.EXHAUSTION,
        attack="hoards memory in nameless files (memfd), none of them large",
        outcome="killed for memory, or refused",
        plan=hostile(
            """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
held = 0
try:
    for number in range(200):
        fd = os.memfd_create("hoard")
        for _ in range(4):
            held += os.write(fd, bytes(1 << 20))
except OSError:
    pass
if held > 256 << 20:
    gained("%d MiB in nameless files" % (held >> 20))
"""
        ),
        expected=verdicts("memory", "exited"),
    ),
    HostileCase(
        number="7a",
        name="memory-in-pipes-and-sockets",
        group=Group.EXHAUSTION,
        attack="hoards memory in pipe and socket buffers that it fills and never reads",
        outcome="refused, or killed for memory",
        plan=hostile(
            """
import fcntl, socket
held, ends = 0, []
def fill(fd):
    global held
    os.set_blocking(fd, False)
    try:
        while True:
            held += os.write(fd, bytes(65536))
    except OSError:
        pass
try:
    for _ in range(60):
        ends.append(os.pipe())
        try:
            fcntl.fcntl(ends[-1][1], 1031, 1 << 20)
        except OSError:
            pass
        fill(ends[-1][1])
    while True:
        pair = socket.socketpair()
        ends.append(pair)
        pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
        fill(pair[0].fileno())
except OSError:
    pass
if held > 256 << 20:
    gained("%d MiB in buffers" % (held >> 20))
say("ATTACKED")
os._exit(0)
"""
        ),
        expected=verdicts("memory", "exited"),
    ),
    HostileCase(
        number="7b",
        name="locked-memory",
        group=Group.EXHAUSTION,
        attack="maps far more than its limit, populated and locked",
        outcome="refused, or killed for memory",
        plan=hostile(
            r"""
int main(void) {
    mlockall(MCL_CURRENT | MCL_FUTURE);
    size_t size = 1UL << 30;
    void *all = mmap(0, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (all != MAP_FAILED) { memset(all, 1, size); gained("1 GiB of locked memory"); }
    say("ATTACKED\n");
    return 0;
}
""",
            language=Language.C,
        ),
        expected=verdicts("memory", "exited"),
    ),
    HostileCase(
        number="7c",
        name="endless-stack",
        group=Group.EXHAUSTION,
        attack="recurses for ever with an unlimited stack",
        outcome="dies by itself, or killed for memory",
        plan=hostile(
            r"""
static int deeper(int depth) {
    volatile char page[65536];
    page[0] = (char)depth;
    return deeper(depth + 1) + page[0];
}
int main(void) {
    struct rlimit endless = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_STACK, &endless);
    return deeper(0);
}
""",
            language=Language.C,
        ),
        expected=verdicts("memory", "died"),
    ),
    HostileCase(
        number="8",
        name="scratch-fill",
        group=Group.EXHAUSTION,
        attack="fills /box and /tmp with files",
        outcome="no space left, at the limit",
        plan=hostile(
            """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
written = 0
for path in ("/box/a", "/box/b", "/box/c", "/tmp/d", "/tmp/e"):
    try:
        with open(path, "wb", buffering=0) as file:
            while True:
                written += file.write(bytes(65536))
    except OSError:
        pass
if written > (8 << 20) + (1 << 17):
    gained("%d bytes of scratch" % written)
if written < 1 << 20:
    gained("a scratch folder of %d bytes only" % written)
"""
        ),
    ),
    HostileCase(
        number="9",
        name="shared-memory-folder",
        group=Group.EXHAUSTION,
        attack="fills /dev/shm and every other writable folder it can find",
        outcome="there is none beside /box and /tmp",
        plan=hostile(
            """
for top, folders, _ in os.walk("/"):
    if top == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "usr", "box", "tmp")]
    path = os.path.join(top, "planted")
    try:
        with open(path, "wb") as file:
            file.write(b"x")
        gained("writes to " + top)
        os.unlink(path)
    except OSError:
        pass
"""
        ),
    ),
    HostileCase(
        number="10",
        name="inode-fill",
        group=Group.EXHAUSTION,
        attack="makes empty files without end",
        outcome="no space left after the limit of files",
        plan=hostile(
            """
made = 0
try:
    while made < 20000:
        os.close(os.open("/box/%d" % made, os.O_CREAT | os.O_WRONLY))
        made += 1
except OSError:
    pass
if made == 20000:
    gained("20000 files")
"""
        ),
        deviations={
            engine: Deviation(
                reason=NO_CAP_ON_FILES, expected=Expected(gains=frozenset({"20000 files"}))
            )
            for engine in (Engine.BUBBLEWRAP, Engine.BOX)
        }
        | {
            Engine.GVISOR: Deviation(
                reason=GVISOR_FILES,
                expected=Expected(
                    verdicts=frozenset({"exited", "memory"}), gains=frozenset({"20000 files"})
                ),
            )
        },
    ),
    HostileCase(
        number="10a",
        name="deep-folders",
        group=Group.EXHAUSTION,
        attack="nests folders as deep as it can, unreadable, and links them crosswise",
        outcome="the next program finds an empty folder",
        deviations={
            engine: Deviation(reason=reason, expected=verdicts("exited", "memory", "time"))
            for engine, reason in (
                (Engine.BUBBLEWRAP, NO_CAP_ON_FILES),
                (Engine.BOX, NO_CAP_ON_FILES),
                (Engine.GVISOR, GVISOR_FILES),
            )
        },
        plan=hostile(
            """
deep = 0
try:
    while deep < 100000:
        os.mkdir("d", 0o700)
        os.symlink("/box", "l")
        os.chdir("d")
        os.chmod("..", 0)
        deep += 1
except OSError:
    pass
"""
        ),
    ),
    HostileCase(
        number="10b",
        name="strange-names",
        group=Group.EXHAUSTION,
        attack="names files with newlines, escapes, bytes that are no text, 255 bytes, `-rf`",
        outcome="the next program finds an empty folder",
        plan=hostile(
            r"""
for name in (b"a\nb", b"\x1b[2J", b"\xff\xfe", b"x" * 255, b"-rf", b"*", b" ", b"$(id)", b"~"):
    for folder in (b"/box/", b"/tmp/"):
        os.mkdir(folder + name)
        with open(folder + name + b"/" + name, "wb"):
            pass
        os.chmod(folder + name, 0)
os.chmod("/box", 0)
os.chmod("/tmp", 0)
"""
        ),
    ),
    HostileCase(
        number="11",
        name="descriptor-fill",
        group=Group.EXHAUSTION,
        attack="opens descriptors without end, in several processes",
        outcome="too many open files at the limit of a program",
        plan=hostile(
            """
import resource
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))
    gained("a higher limit of descriptors")
except (OSError, ValueError):
    pass
fds = []
try:
    while len(fds) < 5000:
        fds.append(os.dup(0))
except OSError:
    pass
if len(fds) >= 1024:
    gained("%d descriptors" % len(fds))
for fd in fds:
    os.close(fd)
"""
        ),
    ),
    HostileCase(
        number="12",
        name="system-v-shared-memory",
        group=Group.EXHAUSTION,
        attack="makes 64 segments of 64 MiB, touches them and leaves them behind",
        outcome="refused, or killed for memory; the next program has its memory",
        plan=hostile(
            """
libc.shmat.restype = ctypes.c_void_p
touched = 0
for _ in range(64):
    segment = libc.shmget(0, ctypes.c_size_t(64 << 20), 0o1600)
    address = libc.shmat(segment, None, 0) if segment >= 0 else None
    if address in (None, ctypes.c_void_p(-1).value):
        break
    for page in range(0, 64 << 20, 4096):
        ctypes.memset(address + page, 1, 1)
    touched += 64
if touched > 256:
    gained("%d MiB of shared memory" % touched)
"""
        ),
        expected=verdicts("memory", "exited"),
    ),
    HostileCase(
        number="12a",
        name="system-v-queues-and-semaphores",
        group=Group.EXHAUSTION,
        attack="makes message queues and semaphore sets without end and leaves them behind",
        outcome="refused, or gone with the program; the next program has its memory",
        plan=hostile(
            """
class Message(ctypes.Structure):
    _fields_ = [("type", ctypes.c_long), ("text", ctypes.c_char * 8192)]
message = Message(1, b"x" * 8000)
queues = 0
while queues < 40000:
    queue = libc.msgget(0, 0o1600)
    if queue < 0:
        break
    libc.msgsnd(queue, ctypes.byref(message), ctypes.c_size_t(8192), 0o4000)
    queues += 1
sets = 0
while sets < 40000 and libc.semget(0, 250, 0o1600) >= 0:
    sets += 1
if queues == 40000:
    gained("40000 message queues")
if sets == 40000:
    gained("40000 semaphore sets")
"""
        ),
        expected=verdicts("memory", "exited", "time"),
    ),
    HostileCase(
        number="13",
        name="posix-queues",
        group=Group.EXHAUSTION,
        attack="fills POSIX message queues",
        outcome="refused",
        plan=hostile(
            """
made = 0
for number in range(64):
    if libc.mq_open(b"/xq%d" % number, os.O_CREAT | os.O_RDWR, 0o600, None) < 0:
        break
    made += 1
if made:
    gained("%d message queues" % made)
"""
        ),
        deviations={
            Engine.GVISOR: Deviation(
                reason=GVISOR_OWN, expected=Expected(gains=frozenset({"64 message queues"}))
            )
        },
    ),
    HostileCase(
        number="14",
        name="output-flood",
        group=Group.EXHAUSTION,
        attack="prints lines for ever",
        outcome="stopped at the limit of output, of which exactly so much is kept",
        plan=Submission(
            programs=(
                Program(
                    source="while True:\n    os.write(1, b'line of output\\n' * 1000)",
                    frame={"output_bytes": OUTPUT_CAP},
                ),
            ),
            look=_capped,
        ),
        expected=verdicts("output"),
    ),
    HostileCase(
        number="14a",
        name="error-flood",
        group=Group.EXHAUSTION,
        attack="prints to stderr for ever",
        outcome="stopped at the limit of output, of which exactly so much is kept",
        plan=Submission(
            programs=(
                Program(
                    source="while True:\n    os.write(2, b'line of errors\\n' * 1000)",
                    frame={"output_bytes": OUTPUT_CAP},
                ),
            ),
            look=_capped,
        ),
        expected=verdicts("output"),
    ),
    HostileCase(
        number="14b",
        name="flood-without-a-newline",
        group=Group.EXHAUSTION,
        attack="one endless line on stdout and stderr at once, from several processes",
        outcome="stopped at the limit of output",
        plan=Submission(
            programs=(
                Program(
                    source="os.fork(); os.fork()\nwhile True:\n"
                    "    os.write(1, bytes(1 << 20)); os.write(2, b'y' * (1 << 20))",
                    frame={"output_bytes": OUTPUT_CAP},
                ),
            ),
            look=_capped,
        ),
        expected=verdicts("output"),
    ),
    HostileCase(
        number="15",
        name="one-byte-writes",
        group=Group.EXHAUSTION,
        attack="prints one byte per system call for ever",
        outcome="stopped at the limit of output or by the clock",
        plan=Submission(
            programs=(
                Program(
                    source="while True:\n    os.write(1, b'x')",
                    frame={"output_bytes": OUTPUT_CAP, "wall_s": 1.5},
                ),
            ),
            look=_at_most_the_cap,
        ),
        expected=verdicts("output", "time"),
    ),
    HostileCase(
        number="16",
        name="cpu-spin",
        group=Group.EXHAUSTION,
        attack="computes for ever",
        outcome="stopped at its limit of processor time",
        plan=hostile("while True:\n    pass", frame={"cpu_s": 1}),
        expected=verdicts("time"),
    ),
    HostileCase(
        number="17",
        name="cpu-spread-over-children",
        group=Group.EXHAUSTION,
        attack="spreads its computing over short-lived children, so that none reaches a CPU limit",
        outcome="stopped by the clock",
        plan=hostile(
            """
import time
while True:
    children = []
    for _ in range(8):
        try:
            child = os.fork()
        except OSError:
            break
        if child == 0:
            until = time.process_time() + 0.3
            while time.process_time() < until:
                pass
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
""",
            frame=SOON,
        ),
        expected=verdicts("time"),
    ),
    HostileCase(
        number="18",
        name="sleep",
        group=Group.EXHAUSTION,
        attack="sleeps",
        outcome="stopped by the clock, in time",
        plan=Submission(
            programs=(Program(source="import time; time.sleep(600)", frame={"wall_s": 0.5}),),
            look=_soon_over,
        ),
        expected=verdicts("time"),
    ),
    HostileCase(
        number="19",
        name="stops-itself",
        group=Group.EXHAUSTION,
        attack="stops itself and its children (SIGSTOP), so that nothing of it ever ends",
        outcome="stopped by the clock",
        plan=hostile(
            """
import signal
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        break
while True:
    os.kill(os.getpid(), signal.SIGSTOP)
""",
            frame=SOON,
        ),
        expected=verdicts("time"),
        deviations={
            Engine.GVISOR: Deviation(
                reason="gVisor ends a stopped process whose session has gone (SIGHUP)",
                expected=verdicts("time", "died"),
            )
        },
    ),
    HostileCase(
        number="20",
        name="ignores-signals",
        group=Group.EXHAUSTION,
        attack="ignores and blocks every signal, and computes",
        outcome="stopped at its limit of processor time",
        plan=hostile(
            """
import signal
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
while True:
    pass
""",
            frame={"cpu_s": 1},
        ),
        expected=verdicts("time"),
    ),
    HostileCase(
        number="21",
        name="closes-its-pipes",
        group=Group.EXHAUSTION,
        attack="closes all three pipes without having read its input, and lives on",
        outcome="stopped by the clock",
        plan=hostile(
            "import time\nfor fd in (0, 1, 2):\n    os.close(fd)\ntime.sleep(600)",
            stdin=b"never read\n" * 50_000,
            frame=SOON,
        ),
        expected=verdicts("time"),
    ),
    HostileCase(
        number="21a",
        name="never-reads-its-input",
        group=Group.EXHAUSTION,
        attack="ends without having read a megabyte of input, stdout closed first",
        outcome="over at once, as what it is",
        plan=hostile("say('ATTACKED')\nos.close(1)\nos._exit(0)", stdin=b"never read\n" * 100_000),
    ),
    HostileCase(
        number="21b",
        name="writes-to-its-input",
        group=Group.EXHAUSTION,
        attack="writes to its stdin, reopens its pipes through /proc for the other direction",
        outcome="nothing reaches anybody; over as what it is",
        plan=hostile(
            """
for path, flags in (("/proc/self/fd/0", os.O_WRONLY | os.O_NONBLOCK), ("/proc/self/fd/1",
                    os.O_RDONLY | os.O_NONBLOCK)):
    try:
        fd = os.open(path, flags)
        if flags & os.O_WRONLY:
            os.write(fd, b"x" * 1000)
        else:
            os.read(fd, 1000)
    except OSError:
        pass
try:
    os.write(0, b"x" * 100000)
    gained("stdin can be written")
except OSError:
    pass
"""
        ),
    ),
    HostileCase(
        number="22",
        name="core-dump",
        group=Group.EXHAUSTION,
        attack="crashes with a core limit that it raised",
        outcome="dies by its signal; no core file anywhere it can see",
        plan=hostile(
            """
import resource, signal
try:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
    gained("a core limit")
except (OSError, ValueError):
    pass
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGSEGV)
status = os.waitpid(child, 0)[1]
if os.WCOREDUMP(status):
    gained("a core dump")
for folder in ("/box", "/tmp"):
    for name in os.listdir(folder):
        if "core" in name:
            gained("the core file " + name)
"""
        ),
    ),
    HostileCase(
        number="23",
        name="gigantic-files",
        group=Group.EXHAUSTION,
        attack="makes sparse files of a terabyte, allocates and links them",
        outcome="refused at the limit of a file",
        plan=hostile(
            """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fd = os.open("/box/sparse", os.O_CREAT | os.O_RDWR)
for size in (1 << 40, 1 << 30, 64 << 20):
    try:
        os.ftruncate(fd, size)
        gained("a sparse file of %d bytes" % size)
    except OSError:
        pass
    try:
        os.posix_fallocate(fd, 0, size)
        gained("a file of %d bytes" % size)
    except OSError:
        pass
    if libc.fallocate(fd, 1, ctypes.c_long(0), ctypes.c_long(size)) == 0:
        gained("%d bytes kept for a file" % size)
"""
        ),
    ),
    HostileCase(
        number="23a",
        name="hardlink-farm",
        group=Group.EXHAUSTION,
        attack="links one file 20000 times",
        outcome="refused at the limit of files",
        plan=hostile(
            """
open("/box/one", "w").close()
made = 0
try:
    while made < 20000:
        os.link("/box/one", "/box/%d" % made)
        made += 1
except OSError:
    pass
if made == 20000:
    gained("20000 links")
for path in ("/usr/bin/python3", "/etc/passwd", "/grade", "/xq"):
    attempt("a link to " + path, os.link, path, "/box/link-out")
"""
        ),
        deviations={
            engine: Deviation(
                reason=NO_CAP_ON_FILES, expected=Expected(gains=frozenset({"20000 links"}))
            )
            for engine in (Engine.BUBBLEWRAP, Engine.BOX)
        }
        | {
            Engine.GVISOR: Deviation(
                reason=GVISOR_FILES,
                expected=Expected(
                    verdicts=frozenset({"exited", "memory"}), gains=frozenset({"20000 links"})
                ),
            )
        },
    ),
    HostileCase(
        number="24",
        name="cache-and-disk-hammering",
        group=Group.EXHAUSTION,
        attack="reads every system file again and again in several processes, dropping the cache",
        outcome="runs beside it take at most twice as long (and 500 ms)",
        plan=Procedure(carry_out=neighbours_are_not_slowed),
        alone=True,
    ),
    HostileCase(
        number="25",
        name="endless-c-loop",
        group=Group.EXHAUSTION,
        attack="a power tower, which no Python signal handler can interrupt",
        outcome="stopped at its limit of processor time, or for memory",
        plan=hostile("10 ** 10 ** 9", frame={"cpu_s": 1}),
        expected=STOPPED,
    ),
    HostileCase(
        number="25a",
        name="regex-bomb",
        group=Group.EXHAUSTION,
        attack="a regular expression that backtracks for ever",
        outcome="stopped at its limit of processor time",
        plan=hostile("import re\nre.match('(a|aa)+$', 'a' * 100 + 'b')", frame={"cpu_s": 1}),
        expected=verdicts("time"),
    ),
    HostileCase(
        number="85",
        name="huge-arguments",
        group=Group.EXHAUSTION,
        attack="executes itself with arguments and an environment of megabytes, again and again",
        outcome="refused or borne; over within its time",
        plan=hostile(
            """
if len(sys.argv) < 4:
    for count in (60, 20, 10):
        try:
            big = ["x" * 100000] * count
            os.execve(sys.executable, [sys.executable, "-I", "-S", "/box/attack.py", *sys.argv[1:3],
                      "again", *big], {"BIG%d" % n: "y" * 100000 for n in range(count // 10)})
        except OSError:
            pass
"""
        ),
        expected=verdicts("exited", "memory", "time"),
    ),
    HostileCase(
        number="86",
        name="scheduling-greed",
        group=Group.EXHAUSTION,
        attack=(
            "asks for real-time scheduling, a better priority, all processors, better disk turns"
        ),
        outcome="refused",
        plan=hostile(
            """
param = ctypes.c_int(10)
for policy in (1, 2):
    must_fail("sched_setscheduler", 0, policy, ctypes.byref(param))
attempt("priority -10", os.setpriority, os.PRIO_PROCESS, 0, -10)
attempt("nice -5", os.nice, -5)
must_fail("ioprio_set", 1, 0, 1 << 13)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_NICE, (40, 40))
    gained("a better nice limit")
except (OSError, ValueError):
    pass
"""
        ),
        deviations={
            Engine.GVISOR: Deviation(
                reason=GVISOR_OWN,
                expected=Expected(gains=frozenset({"priority -10", "nice -5"})),
            )
        },
    ),
)
