"""Attacks once more, from a program that is forked from a Python which was started before.

That one (`zygote` in a `run` frame) saves starting an interpreter; it must give a program nothing
that a fresh one would not have.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.hostile import escape, forgery
from sandbox.hostile.case import (
    Deviation,
    Engine,
    Expected,
    Group,
    HostileCase,
    Program,
    Submission,
    verdicts,
)

TRIED_AGAIN = ("34", "35", "36", "37", "38", "39", "48", "50", "52", "54", "56", "58", "61", "62")
_CASES = {case.number: case for case in (*forgery.CASES, *escape.CASES)}


def _forked(number: str) -> Program:
    plan = _CASES[number].plan
    assert isinstance(plan, Submission)
    (program,) = plan.programs
    return replace(program, frame={**program.frame, "zygote": True})


def _gains_known_of(number: str) -> frozenset[str]:
    deviations = _CASES[number].deviations.values()
    return frozenset(
        gain
        for deviation in deviations
        if deviation.expected is not None
        for gain in deviation.expected.gains
    )


CASES = (
    HostileCase(
        number="94",
        name="attacks-of-a-fork",
        group=Group.FORGERY,
        attack=f"what {', '.join(TRIED_AGAIN)} do, forked from a Python that was started before",
        outcome="as for those",
        plan=Submission(programs=tuple(map(_forked, TRIED_AGAIN))),
        deviations={
            engine: replace(
                deviation,
                expected=Expected(gains=frozenset().union(*map(_gains_known_of, TRIED_AGAIN))),
            )
            for engine, deviation in _CASES["58"].deviations.items()
        },
    ),
    HostileCase(
        number="94a",
        name="poisons-the-fork-server",
        group=Group.FORGERY,
        attack="patches modules, signals and limits in a forked program, then runs as one again",
        outcome="the next fork finds nothing of it",
        plan=Submission(
            programs=(
                Program(
                    source="""
import builtins, json, resource, signal
sys.modules["json"] = None
builtins.print = lambda *_: None
sys.path.insert(0, "/box")
os.environ["LD_PRELOAD"] = "/box/x.so"
signal.signal(signal.SIGTERM, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
for pid in pids():
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
        try:
            if pid != os.getpid():
                os.kill(pid, number)
        except OSError:
            pass
""",
                    frame={"zygote": True},
                ),
                Program(
                    source="""
import builtins, json, resource, signal
if sys.modules.get("json") is None or not hasattr(json, "dumps"):
    gained("a module of the next program")
if os.environ.get("LD_PRELOAD") or "/box" in sys.path[:1] and sys.flags.isolated:
    gained("the environment of the next program")
if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
    gained("a signal of the next program")
if resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 20:
    gained("a limit of the next program")
""",
                    frame={"zygote": True},
                ),
            )
        ),
        deviations={
            Engine.GVISOR: Deviation(
                reason="in gVisor SIGKILL ends the first process too: the learner's own container, "
                "which looks as if memory had run out",
                expected=verdicts("exited", "died", "memory"),
            )
        },
    ),
)
