"""B. Staying behind: processes that want to live on when their program has ended."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.hostile.case import (
    Deviation,
    Engine,
    Expected,
    Group,
    HostileCase,
    Language,
    Program,
    Submission,
    hostile,
    verdicts,
)
from sandbox.probe.script import Ran

OVER_SOON_MS = 2500


def _not_waited_for(ran: Sequence[Ran]) -> None:
    assert ran[0].wall_ms < OVER_SOON_MS, f"waited {ran[0].wall_ms} ms for what was left behind"
    assert "LATE" not in ran[0].stdout, "output of a process that was left behind counted"


CHAIN = r"""
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
    say("ATTACKED\n");
    return 0;
}
"""
SERVES = """
import socket
server = socket.socket()
try:
    server.bind(("127.0.0.1", 8080))
except OSError:
    gained("a port of the next")
else:
    server.listen()
    client = socket.create_connection(("127.0.0.1", 8080))
    served = server.accept()[0]
    served.close()
    client.recv(1)
    client.close()
"""


def outliving(number: str, name: str, attack: str, source: str) -> HostileCase:
    """All end the same: the program is over, and the next one (`trying.LOOK`) finds nobody."""
    return HostileCase(
        number=number,
        name=name,
        group=Group.OUTLIVING,
        attack=attack,
        outcome="over with its first process; nothing of it is left for the next program",
        plan=Submission(
            programs=(Program(source=source, frame={"wall_s": 5.0}),), look=_not_waited_for
        ),
    )


CASES = (
    outliving(
        "26",
        "daemon",
        "forks twice into a session of its own, closes its pipes, ignores signals",
        """
import signal
if os.fork() == 0:
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        os.chdir("/")
        for fd in range(3):
            os.close(fd)
        os.execv("/bin/sleep", ["left-behind", "600"])
    os._exit(0)
os.wait()
""",
    ),
    outliving(
        "27",
        "holds-the-pipes",
        "leaves a process that holds its pipes open, writes later and moves them elsewhere",
        """
import time
if os.fork() == 0:
    os.setsid()
    held = [os.dup(1) for _ in range(50)] + [os.dup(2) for _ in range(50)]
    time.sleep(0.5)
    for fd in held:
        os.write(fd, b"LATE")
    time.sleep(600)
""",
    ),
    outliving(
        "28",
        "stopped-grandchild",
        "leaves a grandchild that is stopped, so that it takes no signal but SIGKILL",
        """
import signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os._exit(0)
os.wait()
""",
    ),
    HostileCase(
        number="29",
        name="kills-everybody",
        group=Group.OUTLIVING,
        attack="sends SIGKILL to everything it may (kill(-1)), to its group and to its session",
        outcome="only its own processes die; grader and supervisor live",
        plan=hostile(
            """
import signal
for target in (0, -1):
    if os.fork() == 0:
        os.kill(target, signal.SIGKILL)
        os._exit(0)
"""
        ),
        expected=verdicts("exited", "died"),
    ),
    outliving(
        "30",
        "headless",
        "leaves a process whose first thread has ended, so that it looks dead and is not",
        """
import threading, time
if os.fork() == 0:
    def live():
        while True:
            try:
                open("/box/alive", "a").close()
            except OSError:
                pass
            time.sleep(0.01)
    threading.Thread(target=live, daemon=True).start()
    for fd in (0, 1, 2):
        os.close(fd)
    libc.syscall(93 if ARM else 60, 0)
time.sleep(0.2)
""",
    ),
    HostileCase(
        number="30b",
        name="fork-and-end-chain",
        group=Group.OUTLIVING,
        attack="leaves a process that forks and ends at once, and so for ever",
        outcome="over with its first process; nothing of it is left for the next program",
        plan=Submission(
            programs=(Program(source=CHAIN, language=Language.C),) * 5, look=_not_waited_for
        ),
    ),
    HostileCase(
        number="30c",
        name="port-in-waiting",
        group=Group.OUTLIVING,
        attack="serves a port and closes its connection first, which the kernel remembers",
        outcome="the next program may have the port",
        plan=Submission(programs=(Program(source=SERVES),) * 2),
        deviations={
            Engine.GVISOR: Deviation(
                reason="the kernel's setting for it is not among gVisor's: a minute long the port "
                "is not for programs of the same submission that do not set SO_REUSEADDR",
                expected=Expected(
                    verdicts=frozenset({"exited"}), gains=frozenset({"a port of the next"})
                ),
            )
        },
    ),
    outliving(
        "30a",
        "undumpable",
        "leaves a process that is undumpable, a reaper of its own and named like the supervisor",
        """
import time
if os.fork() == 0:
    os.setsid()
    libc.prctl(4, 0, 0, 0, 0)
    libc.prctl(36, 1, 0, 0, 0)
    libc.prctl(15, b"xq", 0, 0, 0)
    for _ in range(5):
        if os.fork() == 0:
            os.fork()
            time.sleep(600)
    time.sleep(600)
""",
    ),
    outliving(
        "87",
        "lives-in-the-folder",
        "leaves processes that fill the scratch folders as fast as they are emptied",
        """
for number in range(4):
    if os.fork() == 0:
        os.setsid()
        for fd in (0, 1, 2):
            os.close(fd)
        while True:
            for folder in ("/box", "/tmp"):
                try:
                    os.makedirs("%s/%d/%d" % (folder, number, os.getpid()), exist_ok=True)
                    open("%s/f%d" % (folder, number), "w").close()
                except OSError:
                    pass
""",
    ),
    outliving(
        "88",
        "waits-to-be-woken",
        "leaves an abstract socket, a lock, a lease, a timer and a robust futex behind",
        """
import fcntl, signal, socket
if os.fork() == 0:
    os.setsid()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind("\\0xq-hostile")
        server.listen()
    except OSError:
        pass
    file = open("/box/locked", "w")
    fcntl.flock(file, fcntl.LOCK_EX)
    signal.setitimer(signal.ITIMER_REAL, 300)
    signal.pause()
""",
    ),
    HostileCase(
        number="89",
        name="colliding-exit-codes",
        group=Group.OUTLIVING,
        attack="ends with the exit codes that stand for our own verdicts (124, 125, 126, 137)",
        outcome="an exit of that code, never a time, memory or output verdict",
        plan=Submission(
            programs=tuple(
                Program(source=f"say('ATTACKED'); os._exit({code})")
                for code in (124, 125, 126, 127, 137, 152, 159, 255)
            )
        ),
    ),
    HostileCase(
        number="89a",
        name="kills-itself",
        group=Group.OUTLIVING,
        attack="dies by the signals that limits send: SIGKILL, SIGXCPU, SIGXFSZ, SIGSYS, SIGSEGV",
        outcome="an exit by that signal, or at most its own time verdict for SIGXCPU",
        plan=Submission(
            programs=tuple(
                Program(source=f"say('ATTACKED'); os.kill(os.getpid(), {number})")
                for number in (9, 24, 25, 31, 11, 6)
            )
        ),
        expected=verdicts("exited", "time"),
    ),
)
