"""Processes and threads without end."""

from __future__ import annotations

from sandbox.hostile.case import Deviation, Engine, Group, HostileCase, Language, hostile, verdicts
from sandbox.hostile.exhaustion.outcomes import SOON, STOPPED

STOPPED_OR_OVER = verdicts("time", "memory", "exited")

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
)
