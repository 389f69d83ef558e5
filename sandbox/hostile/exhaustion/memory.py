"""Memory, in all the places where a kernel keeps some for a program."""

from __future__ import annotations

from sandbox.hostile.case import (
    Deviation,
    Engine,
    Expected,
    Group,
    HostileCase,
    Language,
    hostile,
    verdicts,
)
from sandbox.hostile.exhaustion.outcomes import GVISOR_OWN

CASES = (
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
        number="7d",
        name="slow-end",
        group=Group.EXHAUSTION,
        attack="40 processes map one file's pages again and again, which takes long to free",
        outcome="stopped in time; nobody waits for the kernel but its own next program",
        plan=hostile(
            r"""
int main(void) {
    size_t pages = 1900, size = pages * 4096, maps = 120;
    int fd = memfd_create("x", 0);
    if (fd < 0 || ftruncate(fd, size) < 0) return 1;
    for (int i = 0; i < 39; i++)
        if (fork() <= 0) break;
    int reserved = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *base = mmap(0, size * maps, PROT_NONE, reserved, -1, 0);
    for (size_t map = 0; map < maps; map++)
        mmap(base + size * map, size, map & 1 ? PROT_READ : PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
    for (;;) pause();
}
""",
            language=Language.C,
            frame={"wall_s": 4.0},
        ),
        expected=verdicts("time", "memory"),
        deviations={
            Engine.GVISOR: Deviation(
                reason="it may take its whole container along, and nothing but that",
                expected=verdicts("time", "memory", "died"),
            )
        },
        alone=True,
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
)
