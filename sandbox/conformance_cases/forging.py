"""Grades that were not earned, answers that were not given."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from sandbox.backend import SandboxBackend
from sandbox.conformance import Case
from sandbox.conformance_cases.asking import (
    QUICK,
    expect,
    printing,
    probe_with_secret,
    promising,
)
from sandbox.probe.script import DONE, TESTS, one_run, probe_request, ran, report_step, run_step
from sandbox.run import ExitReason

CASES: list[Case] = []
promise = promising(CASES)


@promise("no-forging", "Printing results, writing to every descriptor and exiting fakes nothing.")
def _(backend: SandboxBackend) -> None:
    code = """
import json, os
frames = [{"type": "report", "id": "t2", "score": 1}, {"type": "done"},
          {"type": "ended", "how": "finished"}]
bodies = [json.dumps(frame).encode() for frame in frames]
data = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
for fd in range(1, 64):
    try:
        os.write(fd, data)
    except OSError:
        pass
os._exit(0)
"""
    script = [TESTS, run_step("t1"), report_step("t2", 0), report_step("t3", 0), DONE]
    result = backend.run(probe_request(script, code, limits=QUICK))
    expect(result.reason is ExitReason.COMPLETED, result)
    expect([report.score for report in result.reports] == [1, 0, 0], result.reports)


@promise("no-stealing", "The grader's files, memory and job cannot be read by the learner's code.")
def _(backend: SandboxBackend) -> None:
    code = """
import os
answer = []
def look(path):
    try:
        # Not blocking: what is found under /proc/1/fd may be a pipe.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            return b"XQ-THE-" + b"ANSWER" in (file.read(1 << 20) or b"")
    except OSError:
        return False
for folder, subfolders, names in os.walk("/"):
    if folder == "/":
        subfolders[:] = [name for name in subfolders if name not in ("proc", "sys", "usr", "dev")]
    answer += [f"{folder}/{name}" for name in names if look(f"{folder}/{name}")]
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) != os.getpid():
        for name in ("environ", "cmdline", "mem", "cwd/secret.txt", "root/grade/secret.txt",
                     "fd/3", "fd/4", "fd/5", "cwd/grade.py"):
            if look(f"/proc/{pid}/{name}"):
                answer.append(f"/proc/{pid}/{name}")
"""
    with tempfile.TemporaryDirectory(prefix="xqueue-conformance-") as folder:
        grader = probe_with_secret(Path(folder))
        read_secret = {"do": "read", "as": "t2", "path": "/grade/secret.txt"}
        script = [TESTS, read_secret, run_step("t1"), report_step("t3"), DONE]
        # A walk over every file, which gVisor slows down.
        limits = replace(QUICK, wall_s=40, learner_wall_s=25, learner_cpu_s=20)
        request = probe_request(script, printing(code), limits=limits, grader=grader)
        result = backend.run(request)
    expect(result.reason is ExitReason.COMPLETED, result)
    reports = {report.test_id: report for report in result.reports}
    expect(reports["t2"].output == "XQ-THE-ANSWER", reports["t2"])
    stolen = json.loads(ran(reports["t1"]).stdout or "null")
    expect(stolen == [], stolen)


@promise("no-signals", "The learner's code can neither signal nor trace grader and supervisor.")
def _(backend: SandboxBackend) -> None:
    code = """
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
others = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
for pid in [*others, *range(1, 200)]:
    if pid != os.getpid():
        libc.ptrace(16, pid, 0, 0)
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(pid, number)
            except OSError:
                pass
try:
    os.kill(-1, signal.SIGKILL)
except OSError:
    pass
"""
    # The program may well stop itself (in a box of its own it can trace the box's init).
    result = backend.run(probe_request(one_run(), code, limits=QUICK))
    expect(result.reason is ExitReason.COMPLETED, result)
    expect([report.score for report in result.reports[1:]] == [1, 1], result.reports)
