"""Limits that hold."""

from __future__ import annotations

from sandbox.backend import SandboxBackend
from sandbox.conformance import Case
from sandbox.conformance_cases.asking import answer_of, expect, promising, stopped_and_next_runs
from sandbox.run import KIB, MIB, Limits

CASES: list[Case] = []
promise = promising(CASES)


@promise("fork-bomb", "A fork bomb is stopped, and the next program runs.")
def _(backend: SandboxBackend) -> None:
    code = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
    stopped_and_next_runs(backend, code, {"time", "memory", "exited"})


@promise("memory-bomb", "A program that takes all memory is stopped, and the grader lives.")
def _(backend: SandboxBackend) -> None:
    code = "hoard = []\nwhile True:\n    hoard.append(bytearray(4 << 20))"
    said = stopped_and_next_runs(backend, code, {"memory", "exited"})
    expect(said.code != 0, said)
    bounded = not any("memory" in sentence for sentence in backend.describe().unenforced)
    expect(said.reason == "memory" or not bounded, said)


@promise("output-flood", "A program that prints for ever is stopped at the limit.")
def _(backend: SandboxBackend) -> None:
    code = "import os\nwhile True:\n    os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)"
    said = stopped_and_next_runs(backend, code, {"output"}, output_bytes=8 * KIB)
    expect(max(len(said.stdout), len(said.stderr)) == 8 * KIB, (len(said.stdout), said.reason))


@promise("sleeper", "A program that sleeps is stopped at its wall limit.")
def _(backend: SandboxBackend) -> None:
    stopped_and_next_runs(backend, "import time; time.sleep(600)", {"time"}, wall_s=0.5)


@promise("cpu-spin", "A program that ignores every signal is stopped at its CPU limit.")
def _(backend: SandboxBackend) -> None:
    code = """
import signal
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
while True:
    pass
"""
    stopped_and_next_runs(backend, code, {"time"}, cpu_s=1, wall_s=3)


@promise("scratch-limit", "The scratch space holds no more than its limit, in files of any kind.")
def _(backend: SandboxBackend) -> None:
    code = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
answer = 0
for path in ("/box/a", "/box/b", "/tmp/c", "/tmp/d"):
    try:
        with open(path, "wb", buffering=0) as file:
            while True:
                answer += file.write(b"x" * 65536)
    except OSError:
        pass
"""
    limits = Limits(wall_s=12, scratch_bytes=4 * MIB, memory_bytes=128 * MIB)
    written = answer_of(backend, code, limits=limits)
    expect(2 * MIB <= written <= 4 * MIB + 128 * KIB, written)


@promise("descriptors-limit", "A program cannot open descriptors without end.")
def _(backend: SandboxBackend) -> None:
    code = """
import os
fds = []
try:
    while len(fds) < 100000:
        fds.append(os.dup(0))
except OSError:
    pass
answer = len(fds)
for fd in fds:
    os.close(fd)
"""
    opened = answer_of(backend, code)
    expect(opened < 1024, opened)
