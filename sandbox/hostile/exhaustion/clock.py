"""Time: of the clock, of the processors, and that of others."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.hostile.case import (
    Deviation,
    Engine,
    Expected,
    Group,
    HostileCase,
    Procedure,
    Program,
    Submission,
    hostile,
    verdicts,
)
from sandbox.hostile.exhaustion.outcomes import GVISOR_OWN, SOON, STOPPED
from sandbox.hostile.neighbours import neighbours_are_not_slowed
from sandbox.probe.script import Ran


def _soon_over(ran: Sequence[Ran]) -> None:
    assert ran[0].wall_ms < 1500, f"stopped only after {ran[0].wall_ms} ms"


CASES = (
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
