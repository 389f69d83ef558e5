"""What the learner's program gets."""

from __future__ import annotations

from sandbox.backend import SandboxBackend
from sandbox.conformance import Case
from sandbox.conformance_cases.asking import answer_of, expect, learner, promising

CASES: list[Case] = []
promise = promising(CASES)
ALLOWED_ENVIRONMENT = {"PWD", "LC_CTYPE"}
"""bubblewrap sets the first, Python itself the second."""


@promise("honest-program", "A program gets its stdin and files, and its output comes back.")
def _(backend: SandboxBackend) -> None:
    code = "import sys; print(sys.stdin.read() + open('a.txt').read()); sys.exit(3)"
    said = learner(backend, code, stdin="b25lIA==", files={"a.txt": "dHdv"})
    expect((said.reason, said.code, said.stdout) == ("exited", 3, "one two\n"), said)


@promise("own-interpreter", "A program can start its own interpreter without an environment.")
def _(backend: SandboxBackend) -> None:
    code = """
import subprocess, sys
answer = subprocess.run([sys.executable, "-I", "-S", "-c", "print(1)"], capture_output=True,
                        text=True).stdout if sys.executable else "no sys.executable"
"""
    said = answer_of(backend, code)
    expect(said == "1\n", said)


@promise("empty-environment", "The learner's program sees no environment of ours.")
def _(backend: SandboxBackend) -> None:
    names = answer_of(backend, "import os; answer = sorted(os.environ)")
    expect(set(names) <= ALLOWED_ENVIRONMENT, names)


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
    found = answer_of(backend, code)
    expect(sorted(found) == ["0", "1", "2"], found)
    expect(all(target.startswith("pipe:") for target in found.values()), found)


@promise("no-privilege", "The learner's program has no capability, and cannot become root.")
def _(backend: SandboxBackend) -> None:
    code = """
import ctypes, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
became = []
for call in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0),
             lambda: os.setgroups([0]), lambda: os.chroot("/")):
    try:
        call()
        became.append(str(call))
    except OSError:
        pass
no_new_privileges = ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)
answer = [int(status["CapEff"], 16), int(status["CapPrm"], 16), no_new_privileges,
          os.getuid() == 0, became]
"""
    said = answer_of(backend, code)
    expect(said == [0, 0, 1, False, []], said)


@promise(
    "no-higher-priority",
    "The learner's program cannot put itself before others.",
    under_gvisor="gVisor schedules within the container's share of the processors",
)
def _(backend: SandboxBackend) -> None:
    code = """
import os
try:
    os.nice(-5)
    answer = True
except OSError:
    answer = False
"""
    expect(answer_of(backend, code) is False, "nice(-5) was granted")


@promise("no-host-files", "Nothing of the host but system programs can be read.")
def _(backend: SandboxBackend) -> None:
    code = """
import os
answer = []
# Process 1 of a box has the learner's uid.
own = open("/proc/1/comm").read().strip() in ("bwrap", "xq") and os.getuid() == [
    int(line.split()[1]) for line in open("/proc/1/status") if line.startswith("Uid:")][0]
for path in ("/etc/shadow", "/root", "/home", "/run/docker.sock", "/proc/1/environ",
             "/proc/1/mem", "/proc/kcore", "/dev/mem", "/dev/kmsg", "/proc/sysrq-trigger"):
    if own and path.startswith("/proc/1/"):
        continue
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
    read = answer_of(backend, code)
    expect(read == [], read)


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
    written = answer_of(backend, code)
    expect(written == [], written)


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
    reached = answer_of(backend, code)
    expect(reached == [], reached)
