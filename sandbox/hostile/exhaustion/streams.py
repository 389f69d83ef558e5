"""Output without end, and pipes that are not used as they should be."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.hostile.case import Group, HostileCase, Program, Submission, hostile, verdicts
from sandbox.hostile.exhaustion.outcomes import SOON
from sandbox.probe.script import Ran
from sandbox.run import KIB

OUTPUT_CAP = 8 * KIB


def _capped(ran: Sequence[Ran]) -> None:
    (flood,) = ran
    longest = max(len(flood.stdout.encode()), len(flood.stderr.encode()))
    assert longest == OUTPUT_CAP, f"{longest} bytes were kept"


def _at_most_the_cap(ran: Sequence[Ran]) -> None:
    assert len(ran[0].stdout) <= OUTPUT_CAP, f"{len(ran[0].stdout)} bytes were kept"


def _flood(number: str, name: str, attack: str, source: str) -> HostileCase:
    program = Program(source=source, frame={"output_bytes": OUTPUT_CAP})
    return HostileCase(
        number=number,
        name=name,
        group=Group.EXHAUSTION,
        attack=attack,
        outcome="stopped at the limit of output, of which exactly so much is kept",
        plan=Submission(programs=(program,), look=_capped),
        expected=verdicts("output"),
    )


CASES = (
    _flood(
        "14",
        "output-flood",
        "prints lines for ever",
        "while True:\n    os.write(1, b'line of output\\n' * 1000)",
    ),
    _flood(
        "14a",
        "error-flood",
        "prints to stderr for ever",
        "while True:\n    os.write(2, b'line of errors\\n' * 1000)",
    ),
    _flood(
        "14b",
        "flood-without-a-newline",
        "one endless line on stdout and stderr at once, from several processes",
        "os.fork(); os.fork()\nwhile True:\n"
        "    os.write(1, bytes(1 << 20)); os.write(2, b'y' * (1 << 20))",
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
)
