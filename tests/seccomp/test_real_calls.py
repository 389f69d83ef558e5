"""Every call that the table denies is made for real, and answered as the table says."""

import errno
import json
import platform

import pytest

from sandbox.seccomp.arguments import ARGUMENT_RULES
from sandbox.seccomp.policy import Place, verdict
from sandbox.seccomp.table import TABLE, Rule

MACHINE = platform.machine()
TRY = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    given = [ctypes.c_ulong(argument) for argument in arguments] + [ctypes.c_ulong(0)] * 6
    result = libc.syscall(ctypes.c_long(number), *given[:6])
    return ctypes.get_errno() if result == -1 else 0
print(json.dumps([call(*one) for one in json.loads(sys.argv[1])]))
"""
HIGH_BIT = 1 << 40


def errors(run, calls, **how):
    """The error number of each `(name, *arguments)`; 0 where it succeeded."""
    numbers = {call.name: call.numbers[MACHINE] for call in TABLE if MACHINE in call.numbers}
    asked = json.dumps([[numbers[name], *arguments] for name, *arguments in calls])
    done = run(["/usr/bin/python3", "-I", "-S", "-c", TRY, asked], **how)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return json.loads(done.stdout)


def denied(place):
    for call in TABLE:
        found = verdict(call, place)
        if found.error is not None and MACHINE in call.numbers:
            yield call.name, found.error


def test_every_denied_call_fails_with_its_error(run, request):
    place = Place.BOX if request.node.callspec.params["run"] == "box" else Place.CONTAINER
    expected = dict(denied(place))
    assert len(expected) > 100
    answers = errors(run, [[name] for name in expected])
    assert dict(zip(expected, answers, strict=True)) == expected


WORK_WITHOUT = [
    ("keyctl", 0, 0xFFFFFFFE, 0),  # the session keyring's number
    ("add_key",),
    ("kcmp",),
    ("sync",),
    ("landlock_create_ruleset", 0, 0, 1),  # which version?
    ("fanotify_init",),
    ("memfd_secret",),
    ("adjtimex",),
]


def test_the_same_calls_are_answered_differently_by_the_kernel_itself(run):
    """Else the test above could pass without any filter."""
    without = errors(run, WORK_WITHOUT, filtered=False)
    with_filter = errors(run, WORK_WITHOUT)
    assert set(with_filter) <= {errno.EPERM, errno.ENOSYS}
    assert sum(a != b for a, b in zip(without, with_filter, strict=True)) >= 5


SOCKETS = [
    (("socket", 1, 1, 0), 0),  # AF_UNIX
    (("socket", 2, 1, 6), 0),  # AF_INET, TCP
    (("socket", 10, 2, 17), 0),  # AF_INET6, UDP
    (("socket", 16, 3, 0), 0),  # NETLINK_ROUTE, which getaddrinfo asks
    (("socket", 16, 3, 12), errno.EPERM),  # NETLINK_NETFILTER
    (("socket", 16, 3, 9), errno.EPERM),  # NETLINK_AUDIT
    (("socket", 40, 1, 0), errno.EPERM),  # AF_VSOCK
    (("socket", 40 | HIGH_BIT, 1, 0), errno.EPERM),
    (("socket", 38, 5, 0), errno.EPERM),  # AF_ALG
    (("socket", 17, 3, 0), errno.EPERM),  # AF_PACKET
    (("socket", 29, 3, 0), errno.EPERM),  # AF_CAN
    (("socket", 30, 5, 0), errno.EPERM),  # AF_TIPC
    (("socket", 31, 3, 0), errno.EPERM),  # AF_BLUETOOTH
    (("socket", 44, 3, 0), errno.EPERM),  # AF_XDP
    (("socket", 2, 6, 0), errno.EPERM),  # DCCP
    (("socket", 2, 1, 132), errno.EPERM),  # SCTP
    (("socketpair", 30, 1, 0), errno.EPERM),
]
NAMESPACES = [
    (("clone", flag | 17), errno.EPERM)
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
]
OTHERS = [
    (("ioctl", 0, 0x5412), errno.ENOTTY),  # TIOCSTI
    (("ioctl", 0, 0x5412 | HIGH_BIT), errno.ENOTTY),
    (("ioctl", 0, 0x541C), errno.ENOTTY),  # TIOCLINUX
    (("prlimit64", 0, 7, 0, 0), 0),
    (("prlimit64", 1, 7, 0, 0), errno.EPERM),  # the limits of another process
    (("personality", 0xFFFFFFFF), 0),
    (("personality", 0x0400000), errno.EPERM),  # READ_IMPLIES_EXEC
    (("prlimit64", 0, 7, 0, 0), 0),  # its own limits
    (("prlimit64", 1, 7, 0, 0), errno.EPERM),
    (("clone3", 0, 0), errno.ENOSYS),
    (("mount", 0, 0, 0, 0, 0), errno.EPERM),
]


def test_arguments_decide_where_a_call_is_both_needed_and_dangerous(run, request):
    cases = dict([*SOCKETS, *NAMESPACES, *OTHERS])
    if request.node.callspec.params["run"] == "container":
        # Docker's profiles know one error for all arguments that no rule allows.
        cases |= {call: errno.EPERM for call, error in cases.items() if error == errno.ENOTTY}
    answers = errors(run, list(cases))
    assert dict(zip(cases, answers, strict=True)) == cases


def test_every_rule_on_arguments_is_tried_for_real():
    tried = {call[0] for call, _ in (*SOCKETS, *NAMESPACES, *OTHERS)}
    assert tried >= set(ARGUMENT_RULES)
    assert {call.name for call in TABLE if call.rule is Rule.BY_ARGUMENTS} <= tried


def test_a_number_of_the_future_does_not_exist_rather_than_being_forbidden(run):
    """C libraries fall back from ENOSYS alone."""
    script = "import ctypes; libc = ctypes.CDLL(None, use_errno=True); libc.syscall({}); "
    for number in (480, 600):
        code = script.format(number) + "print(ctypes.get_errno())"
        done = run(["/usr/bin/python3", "-I", "-S", "-c", code])
        assert done.stdout == f"{errno.ENOSYS}\n", done


@pytest.mark.skipif(MACHINE != "x86_64", reason="a machine with two more ways to call its kernel")
def test_calls_of_i386_and_x32_do_not_get_through(run):
    """Both would number calls differently, and pass a filter that looks at numbers alone."""
    i386 = "b814000000cd80c3"  # mov eax, 20 (getpid); int 0x80; ret
    x32 = "b827000040" + "0f05c3"  # mov eax, 0x40000000 + 39 (getpid); syscall; ret
    code = """
import ctypes, mmap, sys
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex(sys.argv[1]))
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
print(ctypes.CFUNCTYPE(ctypes.c_long)(address)() > 0)
"""
    for machine_code in (i386, x32):
        done = run(["/usr/bin/python3", "-I", "-S", "-c", code, machine_code])
        assert done.returncode != 0 or done.stdout == "False\n", done
