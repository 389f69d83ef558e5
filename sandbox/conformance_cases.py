"""The cases of the conformance suite: honest, hostile and broken programs, one promise each."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.backend import SandboxBackend
from sandbox.conformance import Case
from sandbox.errors import GraderNotUsable
from sandbox.probe.script import (
    DONE,
    TESTS,
    Ran,
    one_run,
    probe_request,
    ran,
    report_step,
    run_step,
)
from sandbox.run import KIB, MIB, DirectoryGrader, ExitReason, Limits, RunResult

CASES: list[Case] = []

QUICK = Limits(wall_s=12, learner_wall_s=3, learner_cpu_s=2, memory_bytes=128 * MIB)
ALLOWED_ENVIRONMENT = {"PWD", "LC_CTYPE"}
"""bubblewrap sets the first, Python itself the second."""


def promise(
    name: str, sentence: str, *, required: bool = True
) -> Callable[[Callable[[SandboxBackend], None]], Callable[[SandboxBackend], None]]:
    def register(try_it: Callable[[SandboxBackend], None]) -> Callable[[SandboxBackend], None]:
        case = Case(name=name, promise=sentence, try_it=try_it, required=required)
        CASES.append(case)
        return try_it

    return register


# -- what the learner's program gets ------------------------------------------------------------


@promise("honest-program", "A program gets its stdin and files, and its output comes back.")
def _(backend: SandboxBackend) -> None:
    code = "import sys; print(sys.stdin.read() + open('a.txt').read()); sys.exit(3)"
    said = _learner(backend, code, stdin="b25lIA==", files={"a.txt": "dHdv"})
    _expect((said.reason, said.code, said.stdout) == ("exited", 3, "one two\n"), said)


@promise("empty-environment", "The learner's program sees no environment of ours.")
def _(backend: SandboxBackend) -> None:
    names = _answer(backend, "import os; answer = sorted(os.environ)")
    _expect(set(names) <= ALLOWED_ENVIRONMENT, names)


@promise("three-descriptors", "The learner's program has three pipes and no other descriptor.")
def _(backend: SandboxBackend) -> None:
    code = """
import os
answer = {}
for fd in range(4096):
    try:
        answer[fd] = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        pass
"""
    found = _answer(backend, code)
    _expect(sorted(found) == ["0", "1", "2"], found)
    _expect(all(target.startswith("pipe:") for target in found.values()), found)


@promise("no-privilege", "The learner's program has no capability, and cannot become root.")
def _(backend: SandboxBackend) -> None:
    code = """
import os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
became = []
for call in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0),
             lambda: os.setgroups([0]), lambda: os.chroot("/"), lambda: os.nice(-5)):
    try:
        call()
        became.append(str(call))
    except OSError:
        pass
answer = [int(status["CapEff"], 16), int(status["CapPrm"], 16), status["NoNewPrivs"],
          os.getuid() == 0, became]
"""
    said = _answer(backend, code)
    _expect(said == [0, 0, "1", False, []], said)


@promise("no-host-files", "Nothing of the host but system programs can be read.")
def _(backend: SandboxBackend) -> None:
    code = """
import os
answer = []
for path in ("/etc/shadow", "/root", "/home", "/run/docker.sock", "/proc/1/environ",
             "/proc/1/mem", "/proc/kcore", "/dev/mem", "/dev/kmsg", "/proc/sysrq-trigger"):
    try:
        if os.path.isdir(path):
            answer += [path] if os.listdir(path) else []
        else:
            with open(path, "rb") as file:
                if file.read(100):
                    answer.append(path)
    except OSError:
        pass
"""
    read = _answer(backend, code)
    # /proc/1 of a box of its own may be the box's init, which is the learner's own process.
    _expect(not set(read) - {"/proc/1/environ", "/proc/1/mem"}, read)
    _expect("/proc/1/environ" not in read or backend.describe().name == "bubblewrap", read)


@promise("read-only-system", "Nothing can be written outside of the learner's scratch folders.")
def _(backend: SandboxBackend) -> None:
    code = """
import os
answer = []
folders = ["/", "/usr", "/usr/bin", "/etc", "/dev", "/dev/shm", "/dev/mqueue", "/var/tmp", "/run",
           "/grade", "/scratch", "/xq", "/proc/sys/kernel", "/sys/fs/cgroup", "/sys/kernel"]
for folder in folders:
    try:
        with open(folder + "/planted", "w") as file:
            answer.append(folder)
    except OSError:
        pass
for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/self/uid_map"):
    try:
        with open(path, "w") as file:
            file.write("0 0 1")
        answer.append(path)
    except OSError:
        pass
"""
    written = _answer(backend, code)
    _expect(written == [], written)


@promise("no-network", "No address can be reached, not even the host's.")
def _(backend: SandboxBackend) -> None:
    code = """
import socket
answer = []
v4, v6 = socket.AF_INET, socket.AF_INET6
for family, address in ((v4, ("192.0.2.1", 80)), (v4, ("169.254.169.254", 80)),
                        (v4, ("172.17.0.1", 2375)), (v4, ("127.0.0.1", 22)),
                        (v6, ("2001:db8::1", 80))):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            with socket.socket(family, kind) as s:
                s.settimeout(1)
                s.connect(address)
                if kind == socket.SOCK_STREAM or address[0] != "127.0.0.1":
                    answer.append(str(address))
        except OSError:
            pass
interfaces = [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]]
answer += [name for name in interfaces if name not in ("lo", "tunl0", "sit0", "ip6tnl0")]
"""
    reached = _answer(backend, code)
    _expect(reached == [], reached)


# -- forging and stealing ------------------------------------------------------------------------


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
    _expect(result.reason is ExitReason.COMPLETED, result)
    _expect([report.score for report in result.reports] == [1, 0, 0], result.reports)


@promise("no-stealing", "The grader's files, memory and job cannot be read by the learner's code.")
def _(backend: SandboxBackend) -> None:
    code = """
import os
answer = []
def look(path):
    try:
        with open(path, "rb") as file:
            return b"XQ-THE-" + b"ANSWER" in file.read(1 << 20)
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
        grader = _probe_with_secret(Path(folder))
        read_secret = {"do": "read", "as": "t2", "path": "/grade/secret.txt"}
        script = [TESTS, read_secret, run_step("t1"), report_step("t3"), DONE]
        request = probe_request(script, _printing(code), limits=QUICK, grader=grader)
        result = backend.run(request)
    _expect(result.reason is ExitReason.COMPLETED, result)
    reports = {report.test_id: report for report in result.reports}
    _expect(reports["t2"].output == "XQ-THE-ANSWER", reports["t2"])
    stolen = json.loads(ran(reports["t1"]).stdout or "null")
    _expect(stolen == [], stolen)


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
    _expect(result.reason is ExitReason.COMPLETED, result)
    _expect([report.score for report in result.reports[1:]] == [1, 1], result.reports)


# -- exhausting ----------------------------------------------------------------------------------


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
    _stopped_and_next_runs(backend, code, {"time", "memory", "exited"})


@promise("memory-bomb", "A program that takes all memory is stopped, and the grader lives.")
def _(backend: SandboxBackend) -> None:
    code = "hoard = []\nwhile True:\n    hoard.append(bytearray(4 << 20))"
    said = _stopped_and_next_runs(backend, code, {"memory", "exited"})
    _expect(said.code != 0, said)
    bounded = not any("memory" in sentence for sentence in backend.describe().unenforced)
    _expect(said.reason == "memory" or not bounded, said)


@promise("output-flood", "A program that prints for ever is stopped at the limit.")
def _(backend: SandboxBackend) -> None:
    code = "import os\nwhile True:\n    os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)"
    said = _stopped_and_next_runs(backend, code, {"output"}, output_bytes=8 * KIB)
    _expect(max(len(said.stdout), len(said.stderr)) == 8 * KIB, (len(said.stdout), said.reason))


@promise("sleeper", "A program that sleeps is stopped at its wall limit.")
def _(backend: SandboxBackend) -> None:
    _stopped_and_next_runs(backend, "import time; time.sleep(600)", {"time"}, wall_s=0.5)


@promise("cpu-spin", "A program that ignores every signal is stopped at its CPU limit.")
def _(backend: SandboxBackend) -> None:
    code = """
import signal
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
while True:
    pass
"""
    _stopped_and_next_runs(backend, code, {"time"}, cpu_s=1, wall_s=3)


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
    written = _answer(backend, code, limits=limits)
    _expect(2 * MIB <= written <= 4 * MIB + 128 * KIB, written)


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
    opened = _answer(backend, code)
    _expect(opened < 1024, opened)


# -- outliving -----------------------------------------------------------------------------------


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
    second = run_step("t2", argv=["python3", "-I", "-S", "-c", _printing(look)])
    script = [TESTS, run_step("t1"), second, report_step("t3"), DONE]
    result = backend.run(probe_request(script, leave, limits=QUICK))
    _expect(result.reason is ExitReason.COMPLETED, result)
    _expect(result.reports[0].score == 1, ran(result.reports[0]))
    _expect(ran(result.reports[1]).stdout == "[]", ran(result.reports[1]))


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
    second = run_step("t2", argv=["python3", "-I", "-S", "-c", _printing(look)])
    script = [TESTS, run_step("t1"), second, report_step("t3"), DONE]
    result = backend.run(probe_request(script, plant, limits=QUICK))
    _expect(result.reason is ExitReason.COMPLETED, result)
    _expect(result.reports[0].score == 1, ran(result.reports[0]))
    _expect(ran(result.reports[1]).stdout == "[]", ran(result.reports[1]))


@promise("no-lasting-memory", "Shared memory that a program leaves behind is free for the next.")
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
    _expect(result.reason is ExitReason.COMPLETED, result)
    _expect(ran(result.reports[1]).stdout == f"{60 << 20}\n", ran(result.reports[1]))


# -- graders that fail ---------------------------------------------------------------------------


@promise("partial-results", "When the run's time ends in the learner's code, finished tests count.")
def _(backend: SandboxBackend) -> None:
    script = [TESTS, report_step("t1", 1), run_step("t2"), DONE]
    limits = Limits(wall_s=1.5, learner_wall_s=60)
    result = backend.run(probe_request(script, "import time; time.sleep(600)", limits=limits))
    _expect(result.reason is ExitReason.LEARNER_LIMIT, result)
    _expect([(report.test_id, report.score) for report in result.reports] == [("t1", 1)], result)
    _expect(result.declared_max == 3 and bool(result.notice), result)


@promise(
    "grader-gives-up", "A grader that says `fail` is the course team's affair, with its words."
)
def _(backend: SandboxBackend) -> None:
    result = _graded(
        backend, [{"do": "log", "text": "a note"}, {"do": "fail", "detail": "no such problem"}]
    )
    _expect(result.reason is ExitReason.GRADER_FAILED, result)
    _expect("no such problem" in result.detail and "a note" in result.grader_log, result)


@promise("grader-dies", "A grader that exits, crashes or hangs gives no grade.")
def _(backend: SandboxBackend) -> None:
    for step in (
        {"do": "exit", "code": 0},
        {"do": "exit", "code": 1},
        {"do": "crash"},
        {"do": "hang"},
    ):
        result = _graded(backend, [TESTS, report_step("t1"), step])
        _expect(result.reason is ExitReason.GRADER_FAILED and bool(result.detail), (step, result))


@promise("grader-talks-nonsense", "Scores and frames that may not be are never a grade.")
def _(backend: SandboxBackend) -> None:
    nonsense: list[list[dict[str, Any]]] = [
        [TESTS, report_step("t9")],
        [TESTS, report_step("t1", 2)],
        [TESTS, report_step("t1", -1)],
        [TESTS, report_step("t1", float("nan"))],
        [TESTS, report_step("t1", 10**400)],
        [TESTS, report_step("t1", True)],
        [TESTS, report_step("t1", "1")],
        [TESTS, report_step("t1"), report_step("t1")],
        [TESTS, DONE],
        [DONE],
        [TESTS, {"do": "ended", "how": "finished"}],
        [{"do": "raw", "hex": "ffffffff00"}],
        [{"do": "raw", "hex": "000000026869"}],
        [{"do": "raw", "hex": (200_000).to_bytes(4, "big").hex() + "5b" * 200_000}],
        [TESTS, {"do": "flood", "frame": {"type": "report", "id": "t1", "score": 1}}],
    ]
    for script in nonsense:
        result = _graded(backend, script)
        _expect(result.reason is ExitReason.GRADER_FAILED, (script[-1], result))
        _expect(bool(result.detail), (script[-1], result))


@promise("grader-missing", "A grader that is not there, or has no entry point, is refused.")
def _(backend: SandboxBackend) -> None:
    with tempfile.TemporaryDirectory(prefix="xqueue-conformance-") as folder:
        for path in (Path(folder), Path(folder, "missing")):
            request = probe_request([DONE], grader=DirectoryGrader(path=path))
            try:
                result = backend.run(request)
            except GraderNotUsable:
                continue
            raise AssertionError(f"{path.name} was run: {result}")


# -- protections that hosts differ in ------------------------------------------------------------


@promise(
    "no-io-uring", "io_uring, which evades system call filters, is out of reach.", required=False
)
def _(backend: SandboxBackend) -> None:
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
parameters = ctypes.create_string_buffer(256)
answer = libc.syscall(425, 4, parameters)
"""
    fd = _answer(backend, code)
    _expect(fd < 0, "io_uring_setup gave a descriptor")


@promise(
    "no-vsock", "AF_VSOCK, which no network namespace confines, is out of reach.", required=False
)
def _(backend: SandboxBackend) -> None:
    code = """
import socket
try:
    socket.socket(40, socket.SOCK_STREAM).close()
    answer = True
except OSError:
    answer = False
"""
    _expect(not _answer(backend, code), "a socket of the family was made")


@promise("no-user-namespaces", "The learner's code cannot make namespaces.", required=False)
def _(backend: SandboxBackend) -> None:
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
answer = libc.unshare(0x10000000)
"""
    _expect(_answer(backend, code) != 0, "unshare(CLONE_NEWUSER) succeeded")


@promise("file-count-limit", "The number of files a program can make is limited.", required=False)
def _(backend: SandboxBackend) -> None:
    code = """
answer = 0
try:
    while answer < 20000:
        open(f"/box/{answer}", "w").close()
        answer += 1
except OSError:
    pass
"""
    made = _answer(backend, code)
    _expect(made < 20000, "20000 empty files were made")


# -- how cases ask -------------------------------------------------------------------------------


def _expect(holds: bool, otherwise: object) -> None:
    if not holds:
        raise AssertionError(f"{otherwise!r:.1500}")


def _printing(code: str) -> str:
    return f"{code}\nimport json, sys\nsys.stdout.write(json.dumps(answer))\n"


def _learner(backend: SandboxBackend, code: str, limits: Limits = QUICK, **step: Any) -> Ran:
    result = backend.run(probe_request(one_run(**step), code, limits=limits))
    _expect(result.reason is ExitReason.COMPLETED, result)
    return ran(result.reports[0])


def _answer(backend: SandboxBackend, code: str, limits: Limits = QUICK) -> Any:
    """What `code` left in its variable `answer`."""
    said = _learner(backend, _printing(code), limits)
    _expect((said.reason, said.code) == ("exited", 0), said)
    return json.loads(said.stdout)


def _graded(backend: SandboxBackend, script: list[dict[str, Any]]) -> RunResult:
    return backend.run(probe_request(script, limits=Limits(wall_s=2.0)))


def _stopped_and_next_runs(
    backend: SandboxBackend, code: str, reasons: set[str], **step: Any
) -> Ran:
    honest = run_step("t2", argv=["python3", "-I", "-S", "-c", "print('next')"])
    script = [TESTS, run_step("t1", **step), honest, report_step("t3"), DONE]
    result = backend.run(probe_request(script, code, limits=QUICK))
    _expect(result.reason is ExitReason.COMPLETED, result)
    stopped, following = ran(result.reports[0]), ran(result.reports[1])
    _expect(stopped.reason in reasons, stopped)
    _expect(following.stdout == "next\n", following)
    return stopped


def _probe_with_secret(folder: Path) -> DirectoryGrader:
    (folder / "grade.py").write_text((Path(__file__).parent / "probe" / "grade.py").read_text())
    (folder / "secret.txt").write_text("XQ-THE-ANSWER")
    return DirectoryGrader(path=folder)
