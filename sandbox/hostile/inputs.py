"""F. Submissions that are strange already before they run."""

from __future__ import annotations

from sandbox.hostile.case import (
    Elsewhere,
    Group,
    HostileCase,
    Procedure,
    Program,
    Submission,
    verdicts,
)
from sandbox.hostile.uploads import every_name_reaches_the_grader
from sandbox.run import MIB

LONG_LINE = "x = '" + "a" * MIB + "'\n"
PLAIN = b"print('ATTACKED')\n"


def bare(source: str) -> Program:
    return Program(source=source, bare=True)


def encoded(content: bytes) -> Program:
    """The submission as these very bytes."""
    return Program(source="", files={"attack.py": content}, bare=True)


CASES = (
    HostileCase(
        number="77",
        name="empty",
        group=Group.INPUTS,
        attack="nothing at all, one newline, one NUL",
        outcome="run as what it is: no output, no point",
        plan=Submission(programs=(bare(""), bare("\n"), encoded(b"\0"))),
        expected=verdicts("exited", "died"),
    ),
    HostileCase(
        number="78",
        name="a-megabyte-on-one-line",
        group=Group.INPUTS,
        attack="a megabyte of source on a single line",
        outcome="runs",
        plan=Submission(programs=(Program(source=LONG_LINE),)),
    ),
    HostileCase(
        number="79",
        name="larger-than-an-argument",
        group=Group.INPUTS,
        attack="200 KB of source, more than one argument or variable of a program may hold",
        outcome="runs",
        plan=Submission(programs=(Program(source="x = 1\n" * 33_000),)),
    ),
    HostileCase(
        number="80",
        name="encodings",
        group=Group.INPUTS,
        attack="CRLF, tabs, byte order marks, UTF-16, Latin-1, form feeds",
        outcome="runs or fails as Python does; no verdict but its own",
        plan=Submission(
            programs=(
                encoded(PLAIN.replace(b"\n", b"\r\n")),
                encoded(b"if True:\n\t" + PLAIN),
                encoded(b"\xef\xbb\xbf" + PLAIN),
                encoded(PLAIN.decode().encode("utf-16")),
                encoded(b"# \xe9\n" + PLAIN),
                encoded(b"\x0c" + PLAIN),
            )
        ),
        expected=verdicts("exited", "died"),
    ),
    HostileCase(
        number="81",
        name="strange-file-names",
        group=Group.INPUTS,
        attack="uploads named `-rf`, `con`, `..`, twins under Unicode normalisation, 255 bytes",
        outcome="the grader gets every name as data; none becomes a path",
        plan=Procedure(carry_out=every_name_reaches_the_grader),
    ),
    HostileCase(
        number="82",
        name="upload-address-that-redirects",
        group=Group.INPUTS,
        attack="an upload's address that redirects to the metadata service",
        outcome="the worker follows no redirect to another host, and the server hands it its own "
        "addresses only",
        plan=Elsewhere(
            decided_by="the worker's fetching of uploads",
            tests="tests/worker/test_worker_submitted_files.py",
        ),
    ),
)
