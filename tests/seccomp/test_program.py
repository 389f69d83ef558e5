"""The assembled program says what the table says, for every number and many arguments."""

import errno
import itertools

import pytest

from sandbox.seccomp import NoFilterForMachine, box_filter
from sandbox.seccomp.policy import Place, verdict
from sandbox.seccomp.program import AUDIT_ARCH
from sandbox.seccomp.table import MACHINES, TABLE
from tests.seccomp.bpf_machine import ALLOW, KILL_PROCESS, BpfMachine

HIGH_BIT = 1 << 40
INTERESTING = {
    "clone": [(0,), (0x11,), (0x1200011,), *[(1 << bit,) for bit in range(40)], (0x3D0F00,)],
    "socket": [
        (family | high, kind, protocol)
        for family, kind, protocol, high in itertools.product(
            (*range(46), 255, 0xFFFFFFFF),
            (0, 1, 2, 3, 4, 5, 6, 10, 1 | 0o2000000 | 0o4000),
            (0, 1, 2, 4, 6, 12, 17, 33, 132, 136, 255, 262),
            (0, HIGH_BIT),
        )
    ],
    "socketpair": [(family,) for family in range(46)],
    "ioctl": [
        (0, request | high)
        for request in (*range(0x5400, 0x5470), *range(0x8900, 0x8990), 0x802C542A, 0x80045430)
        for high in (0, HIGH_BIT, 0xFFFFFFFF << 32)
    ],
    "prlimit64": [(0,), (1,), (4711,), (HIGH_BIT,), (0xFFFFFFFF,)],
    "personality": [(1 << bit,) for bit in range(34)] + [(0,), (0xFFFFFFFF,), (8,), (0x40008,)],
}


def expected(call, arguments):
    """By the table and the rules alone, read in another way than the assembler reads them."""
    found = verdict(call, Place.BOX)
    if found.arguments is None:
        return ALLOW if found.error is None else found.error
    for alternative in found.arguments.alternatives:
        padded = (*arguments, 0, 0, 0)
        if all((padded[c.argument] & c.mask) == c.value for c in alternative):
            return ALLOW
    return found.arguments.otherwise


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_from_0_to_1000_is_answered_as_the_table_says(machine):
    filter_ = BpfMachine(box_filter(machine))
    calls = {call.numbers[machine]: call for call in TABLE if machine in call.numbers}
    wrong = {}
    for number in range(1001):
        call = calls.get(number)
        cases = INTERESTING.get(call.name, [()]) if call else [(), (1, 2, 3)]
        for arguments in cases:
            should = expected(call, arguments) if call else errno.ENOSYS
            answer = filter_.answer(AUDIT_ARCH[machine], number, arguments)
            if answer != should:
                wrong[number, arguments] = (answer, should)
    assert wrong == {}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_of_another_architecture_ends_the_process(machine):
    filter_ = BpfMachine(box_filter(machine))
    i386, arm = 0x40000003, 0x40000028
    others = {i386, arm, *AUDIT_ARCH.values()} - {AUDIT_ARCH[machine]}
    assert {filter_.answer(arch, 20) for arch in others} == {KILL_PROCESS}


def test_x32_calls_do_not_exist():
    filter_ = BpfMachine(box_filter("x86_64"))
    answers = {filter_.answer(AUDIT_ARCH["x86_64"], 0x40000000 + n) for n in range(600)}
    assert answers == {errno.ENOSYS}
    assert filter_.answer(AUDIT_ARCH["x86_64"], 0xFFFFFFFF) == errno.ENOSYS


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("socket", (1, 1, 0), ALLOW),  # AF_UNIX
        ("socket", (2, 0o2000001, 6), ALLOW),  # AF_INET, SOCK_STREAM | SOCK_CLOEXEC, TCP
        ("socket", (16, 3, 0), ALLOW),  # AF_NETLINK, SOCK_RAW, NETLINK_ROUTE
        ("socket", (16, 3, 12), errno.EPERM),  # NETLINK_NETFILTER
        ("socket", (40, 1, 0), errno.EPERM),  # AF_VSOCK
        ("socket", (38, 5, 0), errno.EPERM),  # AF_ALG
        ("socket", (17, 3, 0), errno.EPERM),  # AF_PACKET
        ("socket", (2, 6, 0), errno.EPERM),  # DCCP
        ("socket", (2, 1, 132), errno.EPERM),  # SCTP
        ("socket", (40 | HIGH_BIT, 1, 0), errno.EPERM),
        ("clone", (0x01200011,), ALLOW),  # fork of the C library
        ("clone", (0x003D0F00,), ALLOW),  # a thread
        ("clone", (0x10000011,), errno.EPERM),  # CLONE_NEWUSER
        ("clone", (0x00020011,), errno.EPERM),  # CLONE_NEWNS
        ("clone3", (), errno.ENOSYS),
        ("unshare", (0x10000000,), errno.EPERM),
        ("ioctl", (0, 0x5413), ALLOW),  # TIOCGWINSZ
        ("ioctl", (0, 0x5412), errno.ENOTTY),  # TIOCSTI
        ("ioctl", (0, 0x5412 | HIGH_BIT), errno.ENOTTY),
        ("ioctl", (0, 0x541C), errno.ENOTTY),  # TIOCLINUX
        ("ioctl", (0, 0xFFFFFFFF80045430), ALLOW),  # TIOCGPTN as musl passes it
        ("personality", (0x0400000,), errno.EPERM),  # READ_IMPLIES_EXEC
        ("personality", (0xFFFFFFFF,), ALLOW),
        ("prlimit64", (0, 7), ALLOW),
        ("prlimit64", (1, 7), errno.EPERM),
        ("setuid", (0,), ALLOW),  # which the kernel itself refuses
        ("io_uring_setup", (), errno.EPERM),
        ("read", (), ALLOW),
    ],
)
@pytest.mark.parametrize("machine", MACHINES)
def test_what_the_rules_mean_in_cases_spelled_out(machine, name, arguments, answer):
    (number,) = [call.numbers[machine] for call in TABLE if call.name == name]
    assert BpfMachine(box_filter(machine)).answer(AUDIT_ARCH[machine], number, arguments) == answer


def test_no_number_costs_more_than_a_few_comparisons():
    filter_ = BpfMachine(box_filter("x86_64"))
    for number in range(1001):
        if number not in {41, 16}:  # socket and ioctl, which look at their arguments
            filter_.answer(AUDIT_ARCH["x86_64"], number)
    assert filter_.most_steps <= 20


def test_a_machine_without_numbers_is_refused():
    with pytest.raises(NoFilterForMachine):
        box_filter("riscv64")
