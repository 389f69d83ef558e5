"""E. Outputs made to break whoever reads them: files that are collected, bytes, reports.

What learners and the LMS are shown of them is decided by `graders.reply`, and tested there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.hostile.case import (
    BrokenGrader,
    Elsewhere,
    Group,
    HostileCase,
    Program,
    Submission,
    ends,
)
from sandbox.probe.script import DONE, TESTS, Ran, report_step, run_step
from sandbox.run import MIB

POISON = (
    b"\xff\xfe\x00\x01\x08\x0b\x1b[2J\x1b]0;title\x07\xed\xa0\x80\xef\xbf\xbf\xef\xbb\xbf"
    b"\xe2\x80\xae\xe2\x81\xa6 ]]> <script>alert(1)</script> &nbsp; &lol9; <b><i> <!DOCTYPE x>"
    b"<a href='javascript:alert(1)'>" + "e\u0301".encode() * 2000
)
REPLY = "the reply to the LMS, made and checked in one module"
REPLY_TESTS = "tests/reply"
LEADING_OUT = ("../x", "/etc/passwd", "a\nb", "a\0b", "x" * 4096, ".", "..", "", "a/b")
GRADER_FAILED = ends("grader-failed")


def _only_the_good_file(ran: Sequence[Ran]) -> None:
    files = dict(ran[0].files)
    assert files.pop("good.txt", None) == b"good", f"the honest file did not come: {ran[0].files}"
    assert not files, f"these were followed: {sorted(files)}"


def _own_files(ran: Sequence[Ran]) -> None:
    files = dict(ran[0].files)
    assert files.pop("good.txt", None) == b"good", f"the honest file did not come: {ran[0].files}"
    assert files.get("swapped", b"own") in (b"own", b""), f"not its own: {files!r:.300}"


def _within_bounds(ran: Sequence[Ran]) -> None:
    size = sum(ran[0].file_sizes.values())
    assert size <= 8 * MIB, f"{size} bytes were collected"


def _every_byte_came_back(ran: Sequence[Ran]) -> None:
    assert POISON.decode(errors="replace") in ran[0].stdout, (
        "its output did not come back as it was"
    )


def _with_frame(frame: dict[str, Any]) -> list[dict[str, Any]]:
    return [TESTS, report_step("t1"), report_step("t2"), report_step("t3") | frame, DONE]


CASES = (
    HostileCase(
        number="67",
        name="poisoned-artefacts",
        group=Group.OUTPUTS,
        attack=(
            "links, FIFOs, folders, sockets and other people's files by the names to be collected"
        ),
        outcome="refused, never followed or waited for; the honest file comes",
        plan=Submission(
            programs=(
                Program(
                    source="""
import socket
with open("good.txt", "w") as file:
    file.write("good")
os.symlink("/grade/secret.txt", "link")
os.symlink("/proc/self/environ", "environ")
os.symlink("good.txt", "near")
os.symlink("/etc/passwd", "passwd")
os.mkfifo("fifo")
os.mkdir("folder")
socket.socket(socket.AF_UNIX).bind("socket")
with open("unreadable", "w") as file:
    file.write("x")
os.chmod("unreadable", 0)
""",
                    frame={
                        "collect": [
                            *("good.txt", "link", "environ", "near", "passwd", "fifo", "folder"),
                            *("socket", "unreadable", "missing"),
                        ]
                    },
                ),
            ),
            look=_only_the_good_file,
        ),
    ),
    HostileCase(
        number="67a",
        name="folder-turned-into-a-link",
        group=Group.OUTPUTS,
        attack="leaves a process that exchanges the file for a link all the time",
        outcome="whatever is collected is the learner's own",
        plan=Submission(
            programs=(
                Program(
                    source="""
with open("good.txt", "w") as file:
    file.write("good")
if os.fork() == 0:
    for fd in (0, 1, 2):
        os.close(fd)
    while True:
        try:
            os.symlink("/etc/passwd", "swap")
            os.rename("swap", "swapped")
            with open("swap", "w") as file:
                file.write("own")
            os.rename("swap", "swapped")
        except OSError:
            pass
""",
                    frame={"collect": ["swapped", "good.txt"]},
                ),
            ),
            look=_own_files,
        ),
    ),
    HostileCase(
        number="68",
        name="names-that-lead-out",
        group=Group.OUTPUTS,
        attack=(
            "a grader that asks for `../x`, absolute names, newlines, NUL, 4 KB, `.` to be "
            "collected"
        ),
        outcome="the grader's fault: no such name is taken",
        plan=BrokenGrader(
            scripts=tuple(
                [TESTS, run_step("t1", argv=["true"], collect=[name]), report_step("t2"), DONE]
                for name in LEADING_OUT
            )
        ),
        expected=GRADER_FAILED,
    ),
    HostileCase(
        number="68a",
        name="files-that-lead-out",
        group=Group.OUTPUTS,
        attack=(
            "a grader that puts files named `../x`, absolute names, newlines, NUL into the folder"
        ),
        outcome="the grader's fault: no such name is taken",
        plan=BrokenGrader(
            scripts=tuple(
                [
                    TESTS,
                    run_step("t1", argv=["true"], files={name: "eA=="}),
                    report_step("t2"),
                    DONE,
                ]
                for name in LEADING_OUT
            )
        ),
        expected=GRADER_FAILED,
    ),
    HostileCase(
        number="69",
        name="too-many-artefacts",
        group=Group.OUTPUTS,
        attack="fills every name to be collected with as much as there is room for",
        outcome="no more than a frame holds is collected; the run goes on",
        plan=Submission(
            programs=(
                Program(
                    source="""
for number in range(100):
    try:
        with open("f%d" % number, "wb") as file:
            file.write(bytes(1 << 20))
    except OSError:
        pass
""",
                    frame={"collect": [f"f{number}" for number in range(100)]},
                ),
            ),
            look=_within_bounds,
        ),
    ),
    HostileCase(
        number="70",
        name="false-pictures",
        group=Group.OUTPUTS,
        attack="SVG, HTML or a five-gigabyte header as a picture",
        outcome="PNG, JPEG or WebP by their magic only, within a budget",
        plan=Elsewhere(decided_by=REPLY, tests=REPLY_TESTS),
    ),
    HostileCase(
        number="71",
        name="poisoned-text",
        group=Group.OUTPUTS,
        attack="NUL, escapes, bytes that are no UTF-8, surrogates, bidi controls, combining marks",
        outcome="carried unharmed to the grader; the worker's texts can be encoded",
        plan=Submission(
            programs=(
                Program(source=f"os.write(1, {POISON!r}); os.write(2, {POISON!r})\nsay('')"),
            ),
            look=_every_byte_came_back,
        ),
    ),
    HostileCase(
        number="71a",
        name="lone-surrogates",
        group=Group.OUTPUTS,
        attack="a grader that passes lone surrogates on in every text of a report",
        outcome="graded; the texts can be encoded",
        plan=BrokenGrader(
            scripts=(
                _with_frame({"output": "\ud800\udfff\x00", "expected": "\udc80"}),
                [
                    {
                        "do": "tests",
                        "tests": [{"id": "t1", "title": "\ud800", "max": 1}],
                    },
                    report_step("t1", output="\udfff"),
                    DONE,
                ],
            )
        ),
    ),
    HostileCase(
        number="72",
        name="markup",
        group=Group.OUTPUTS,
        attack="scripts, event handlers, entity bombs, unclosed tags in titles and outputs",
        outcome="escaped; one well-formed root",
        plan=Elsewhere(decided_by=REPLY, tests=REPLY_TESTS),
    ),
    HostileCase(
        number="73",
        name="deep-frames",
        group=Group.OUTPUTS,
        attack="a grader's frames nested a hundred thousand deep, cut off, or endless",
        outcome="the grader's fault, with words for the course team",
        plan=BrokenGrader(
            scripts=(
                [{"do": "raw", "hex": (200_000).to_bytes(4, "big").hex() + "5b" * 200_000}],
                [TESTS, {"do": "raw", "hex": "ffffffff00"}],
                [TESTS, {"do": "raw", "hex": "000000026869"}],
                [TESTS, {"do": "raw", "hex": "0000000a7b22"}, {"do": "exit", "code": 0}],
                [TESTS, {"do": "raw", "hex": "000000047b226122"}],
                [TESTS, {"do": "raw", "hex": "00000000"}],
                [TESTS, {"do": "flood", "frame": {"type": "report", "id": "t1", "score": 1}}],
            )
        ),
        expected=GRADER_FAILED,
    ),
    HostileCase(
        number="74",
        name="impossible-scores",
        group=Group.OUTPUTS,
        attack="NaN, Infinity, 1e999, negative, huge, true, text, lists as a score",
        outcome="the grader's fault; never a grade",
        plan=BrokenGrader(
            scripts=tuple(
                [TESTS, report_step("t1", score)]
                for score in (
                    *(float("nan"), float("inf"), float("-inf"), 10**400, -1, -0.1, 1.0001),
                    *(True, "1", None, [1], {"score": 1}),
                )
            )
        ),
        expected=GRADER_FAILED,
    ),
    HostileCase(
        number="75",
        name="undeclared-tests",
        group=Group.OUTPUTS,
        attack="tests nobody announced, announced or reported twice, done with some missing",
        outcome="the grader's fault; never a grade",
        plan=BrokenGrader(
            scripts=(
                [TESTS, report_step("t9")],
                [TESTS, report_step("t1"), report_step("t1")],
                [TESTS, TESTS],
                [TESTS, report_step("t1"), DONE],
                [TESTS, DONE],
                [DONE],
                [report_step("t1")],
                [{"do": "tests", "tests": []}],
                [{"do": "tests", "tests": [{"id": "../x", "title": "x", "max": 1}]}],
                [{"do": "tests", "tests": [{"id": "x", "title": "x", "max": float("nan")}]}],
                [{"do": "tests", "tests": [{"id": "x", "title": "x", "max": -1}]}],
                [TESTS, {"do": "ended", "how": "finished"}],
                [TESTS, {"do": "ran", "reason": "exited"}],
                [TESTS, {"do": "learner", "active": True}],
            )
        ),
        expected=GRADER_FAILED,
    ),
    HostileCase(
        number="76",
        name="message-too-long",
        group=Group.OUTPUTS,
        attack="more text than the LMS stores",
        outcome="cut, with a notice",
        plan=Elsewhere(decided_by=REPLY, tests=REPLY_TESTS),
    ),
)
