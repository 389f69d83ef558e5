"""Programs that leave something behind."""

from __future__ import annotations

from sandbox.backend import SandboxBackend
from sandbox.conformance import Case
from sandbox.conformance_cases.asking import QUICK, expect, printing, promising
from sandbox.probe.script import DONE, TESTS, probe_request, ran, report_step, run_step
from sandbox.run import ExitReason

CASES: list[Case] = []
promise = promising(CASES)


@promise("no-daemons", "A child that detaches itself does not outlive its program.")
def _(backend: SandboxBackend) -> None:
    leave = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        os.execv("/bin/sleep", ["left-behind", "600"])
    os._exit(0)
os.wait()
"""
    look = """
import os
answer = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            answer += ["left"] if b"left-" + b"behind" in file.read() else []
    except OSError:
        pass
"""
    second = run_step("t2", argv=["python3", "-I", "-S", "-c", printing(look)])
    script = [TESTS, run_step("t1"), second, report_step("t3"), DONE]
    result = backend.run(probe_request(script, leave, limits=QUICK))
    expect(result.reason is ExitReason.COMPLETED, result)
    expect(result.reports[0].score == 1, ran(result.reports[0]))
    expect(ran(result.reports[1]).stdout == "[]", ran(result.reports[1]))


@promise("no-memory-of-before", "A program finds nothing that an earlier one left in its folders.")
def _(backend: SandboxBackend) -> None:
    plant = """
import os
os.makedirs("/box/a/b/c/d"); os.mkdir("/tmp/x"); os.symlink("/usr/bin", "/box/a/link")
open("/box/a/b/c/d/file", "w").close(); open("/tmp/x/.hidden", "w").close()
os.mkfifo("/box/pipe"); os.chmod("/box/a/b", 0); os.chmod("/tmp/x", 0)
for number in range(100):
    os.mkdir("deep"); os.chdir("deep")
os.chmod("/box", 0o500)
"""
    look = "import os; answer = os.listdir('/box') + os.listdir('/tmp')"
    second = run_step("t2", argv=["python3", "-I", "-S", "-c", printing(look)])
    script = [TESTS, run_step("t1"), second, report_step("t3"), DONE]
    result = backend.run(probe_request(script, plant, limits=QUICK))
    expect(result.reason is ExitReason.COMPLETED, result)
    expect(result.reports[0].score == 1, ran(result.reports[0]))
    expect(ran(result.reports[1]).stdout == "[]", ran(result.reports[1]))


@promise(
    "no-lasting-memory",
    "Shared memory that a program leaves behind is free for the next.",
    under_gvisor="it ends with the submission; until then it counts against the same learner",
)
def _(backend: SandboxBackend) -> None:
    leave = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
for number in range(1000):
    segment = libc.shmget(0, 1 << 20, 0o1600)
    address = libc.shmat(segment, None, 0)
    if segment < 0 or address in (None, ctypes.c_void_p(-1).value):
        break
    ctypes.memset(address, 1, 1 << 20)
    if number > 70:
        break
"""
    second = run_step("t2", argv=["python3", "-I", "-S", "-c", "print(len(bytearray(60 << 20)))"])
    script = [TESTS, run_step("t1"), second, report_step("t3"), DONE]
    result = backend.run(probe_request(script, leave, limits=QUICK))
    expect(result.reason is ExitReason.COMPLETED, result)
    expect(ran(result.reports[1]).stdout == f"{60 << 20}\n", ran(result.reports[1]))
