"""Protections that depend on the host's kernel and engine."""

from __future__ import annotations

from sandbox.backend import SandboxBackend
from sandbox.conformance import Case
from sandbox.conformance_cases.asking import answer_of, expect, promising

CASES: list[Case] = []
promise = promising(CASES)


@promise(
    "no-io-uring",
    "io_uring, which evades system call filters, is out of reach.",
    under_gvisor="it is gVisor's own, the host's is never reached",
)
def _(backend: SandboxBackend) -> None:
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
parameters = ctypes.create_string_buffer(256)
answer = libc.syscall(425, 4, parameters)
"""
    fd = answer_of(backend, code)
    expect(fd < 0, "io_uring_setup gave a descriptor")


@promise("no-vsock", "AF_VSOCK, which no network namespace confines, is out of reach.")
def _(backend: SandboxBackend) -> None:
    code = """
import socket
try:
    socket.socket(40, socket.SOCK_STREAM).close()
    answer = True
except OSError:
    answer = False
"""
    expect(not answer_of(backend, code), "a socket of the family was made")


@promise("no-user-namespaces", "The learner's code cannot make namespaces.", required=False)
def _(backend: SandboxBackend) -> None:
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
answer = libc.unshare(0x10000000)
"""
    expect(answer_of(backend, code) != 0, "unshare(CLONE_NEWUSER) succeeded")


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
    made = answer_of(backend, code)
    expect(made < 20000, "20000 empty files were made")
