"""The table against the kernel's own headers and against itself."""

import re
from collections import Counter
from pathlib import Path

import pytest

from sandbox.seccomp.arguments import ARGUMENT_RULES
from sandbox.seccomp.table import MACHINES, TABLE, Rule
from tests.support.services import missing_service

HEADERS = {
    "x86_64": (
        Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        Path("/usr/include/asm/unistd_64.h"),
    ),
    "aarch64": (Path("/usr/include/asm-generic/unistd.h"),),
}
RENAMED = {"fstatat": "newfstatat"}
"""What 64-bit machines call the generic header's entry."""
NOT_CALLS = re.compile(r"syscalls|arch_specific_syscall|sync_file_range2|\w+time64")
"""Of the generic header: counters, another machine's variant, and calls of 32-bit machines."""


def header_numbers(machine):
    """Name to number for a 64-bit machine."""
    path = next((path for path in HEADERS[machine] if path.exists()), None)
    if path is None:
        missing_service(f"the kernel's headers for {machine} (linux-libc-dev)")
    found = {}
    for line in path.read_text().splitlines():
        match = re.match(r"#define\s+__NR(?:3264)?_(\w+)\s+(\d+)\s*$", line)
        if match and not NOT_CALLS.fullmatch(match[1]):
            name = RENAMED.get(match[1], match[1])
            found[name] = int(match[2])
    return found


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_of_the_kernels_headers_is_listed_with_its_number(machine):
    listed = {call.name: call.numbers[machine] for call in TABLE if machine in call.numbers}
    expected = header_numbers(machine)
    assert len(expected) > 280
    assert {name: listed.get(name) for name in expected} == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_no_number_and_no_name_is_listed_twice(machine):
    numbers = Counter(call.numbers[machine] for call in TABLE if machine in call.numbers)
    names = Counter(call.name for call in TABLE)
    assert [entry for entry, count in (numbers + names).items() if count > 1] == []


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_have_no_hole_that_a_later_kernel_could_have_filled(machine):
    """A hole would be answered with ENOSYS; a call in it would have been forgotten."""
    numbers = {call.numbers[machine] for call in TABLE if machine in call.numbers}
    reserved = {
        "x86_64": set(range(337, 424)),
        "aarch64": {38, 84, *range(244, 260), *range(295, 424)},
    }
    assert set(range(max(numbers))) - numbers - reserved[machine] == set()


def test_every_call_that_depends_on_arguments_has_a_rule_for_them():
    by_arguments = {call.name for call in TABLE if call.rule is Rule.BY_ARGUMENTS}
    assert by_arguments == set(ARGUMENT_RULES)


MUST_BE_FORBIDDEN = [
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "userfaultfd",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "perf_event_open",
    "mount",
    "umount2",
    "pivot_root",
    "fsopen",
    "fsmount",
    "fsconfig",
    "fspick",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "unshare",
    "setns",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "reboot",
    "swapon",
    "swapoff",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "acct",
    "quotactl",
    "quotactl_fd",
    "open_by_handle_at",
    "name_to_handle_at",
    "memfd_secret",
    "fanotify_init",
    "fanotify_mark",
    "lookup_dcookie",
    "iopl",
    "ioperm",
    "chroot",
    "syslog",
    "kcmp",
    "vhangup",
]


@pytest.mark.parametrize("name", MUST_BE_FORBIDDEN)
def test_what_leads_out_of_a_sandbox_is_never_allowed_in_a_box(name):
    (rule,) = [call.rule for call in TABLE if call.name == name]
    assert rule in (Rule.FORBIDDEN, Rule.MAKING_BOXES)
