"""The kernel's less-trodden system calls."""

from __future__ import annotations

from sandbox.hostile.case import Engine, Group, HostileCase, hostile
from sandbox.hostile.escape.gvisor import gvisors_own

ONLY_X86 = """
import mmap, struct
def foreign(name, number, *arguments):
    '''Result of a system call of the 32-bit table, by int 0x80 from a 64-bit program.'''
    code = b"\\x53\\x56\\x57"  # push rbx, rsi, rdi
    values = (*arguments, 0, 0, 0, 0, 0)
    for opcode, value in zip(b"\\xbb\\xb9\\xba\\xbe\\xbf\\xb8", (*values[:5], number)):
        code += bytes([opcode]) + struct.pack("<i", value)  # mov ebx, ecx, edx, esi, edi, eax
    code += b"\\xcd\\x80\\x5f\\x5e\\x5b\\x48\\x98\\xc3"  # int 0x80, pop, sign-extend, ret
    area = mmap.mmap(-1, 4096, prot=7)
    area.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    result = ctypes.CFUNCTYPE(ctypes.c_long)(address)()
    if -result not in REFUSED:
        gained("%s of the 32-bit table gave %d" % (name, result))
def x32(name, number, *arguments):
    result = libc.syscall(ctypes.c_long(0x40000000 | number), *arguments)
    if result >= 0:
        gained("%s of the x32 table gave %d" % (name, result))
"""


CASES = (
    HostileCase(
        number="57",
        name="foreign-call-tables",
        group=Group.ESCAPE,
        attack=(
            "forbidden system calls by their 32-bit and x32 numbers, which a filter may not know"
        ),
        outcome="refused or killed",
        plan=hostile(
            ONLY_X86
            + """
import socket, struct
if os.uname().machine == "x86_64":
    for name, number, arguments in (("io_uring_setup", 425, (4, 0)), ("unshare", 310, (1 << 28,)),
                                    ("socket vsock", 359, (40, 1, 0)), ("keyctl", 288, (0, -3, 1)),
                                    ("socket alg", 359, (38, 5, 0)), ("bpf", 357, (0, 0, 0)),
                                    ("userfaultfd", 374, (0,)), ("perf_event_open", 336, (0,)),
                                    ("add_key", 286, (0, 0, 0))):
        child = os.fork()
        if child == 0:
            foreign(name, number, *arguments)
            os._exit(0)
        os.waitpid(child, 0)
    parameters = ctypes.create_string_buffer(256)
    for name, number, arguments in (("io_uring_setup", 425, (4, parameters)),
                                    ("unshare", 272, (1 << 28,)), ("socket vsock", 41, (40, 1, 0)),
                                    ("keyctl", 250, (0, -3, 1)), ("userfaultfd", 323, (1,))):
        child = os.fork()
        if child == 0:
            x32(name, number, *arguments)
            os._exit(0)
        os.waitpid(child, 0)
"""
        ),
        deviations={
            Engine.GVISOR: gvisors_own(
                "io_uring_setup of the 32-bit table gave -22",
                "keyctl of the 32-bit table gave -88",
                "add_key of the 32-bit table gave -22",
            )
        },
    ),
    HostileCase(
        number="58",
        name="io-uring",
        group=Group.ESCAPE,
        attack="sets up an io_uring, which does system calls that no filter sees",
        outcome="refused by the system call filter",
        plan=hostile(
            """
parameters = ctypes.create_string_buffer(256)
must_be_refused("io_uring_setup", 4, parameters)
must_be_refused("io_uring_enter", -1, 0, 0, 0, 0, 0)
must_be_refused("io_uring_register", -1, 0, 0, 0)
"""
        ),
        deviations={
            Engine.GVISOR: gvisors_own(
                "io_uring_setup worked", "io_uring_enter got EBADF", "io_uring_register got EBADF"
            )
        },
    ),
    HostileCase(
        number="59",
        name="kernel-programs-and-faults",
        group=Group.ESCAPE,
        attack="bpf, perf_event_open, userfaultfd",
        outcome="refused",
        plan=hostile(
            """
array = bytes([2, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0])
attributes = ctypes.create_string_buffer(array, 128)
must_be_refused("bpf", 0, attributes, 128)
event = ctypes.create_string_buffer(b"\\x01\\0\\0\\0\\x70\\0\\0\\0", 128)
must_be_refused("perf_event_open", event, 0, -1, -1, 0)
must_be_refused("userfaultfd", 0)
must_be_refused("userfaultfd", 1)
attempt("/dev/userfaultfd", os.open, "/dev/userfaultfd", os.O_RDWR)
"""
        ),
        deviations={Engine.GVISOR: gvisors_own("perf_event_open got ENODEV")},
    ),
    HostileCase(
        number="60",
        name="administration",
        group=Group.ESCAPE,
        attack="kexec, modules, reboot, swap, clocks, accounting, ports, quotas, host name",
        outcome="refused",
        plan=hostile(
            """
must_be_refused("kexec_load", 0, 0, 0, 0)
must_be_refused("kexec_file_load", -1, -1, 0, 0, 0)
must_be_refused("init_module", 0, 0, b"")
must_be_refused("finit_module", -1, b"", 0)
must_be_refused("delete_module", b"none", 0o4000)
must_be_refused("reboot", 0, 0, 0, 0)
must_be_refused("swapon", b"/nowhere", 0)
must_be_refused("swapoff", b"/nowhere")
must_be_refused("settimeofday", 0, 0)
now = (ctypes.c_long * 2)()
libc.clock_gettime(0, now)
must_be_refused("clock_settime", 0, now)
must_be_refused("acct", b"/nowhere")
must_be_refused("iopl", 3)
must_be_refused("ioperm", 0, 1, 1)
must_fail("quotactl", 0x800007 << 8, b"/dev/sda", 0, 0)
must_be_refused("sethostname", b"x", 1)
must_be_refused("setdomainname", b"x", 1)
must_be_refused("vhangup")
must_fail("syslog", 3, ctypes.create_string_buffer(64), 64)
must_fail("uselib", b"/usr/bin/python3")
timex = ctypes.create_string_buffer(b"\\x02\\0\\0\\0", 512)
must_fail("adjtimex", timex)
"""
        ),
        deviations={Engine.GVISOR: gvisors_own("syslog worked")},
    ),
    HostileCase(
        number="61",
        name="keys",
        group=Group.ESCAPE,
        attack=(
            "adds, requests and links keys, joins key rings: memory of the kernel, seen by others"
        ),
        outcome="refused by the system call filter",
        plan=hostile(
            """
for ring in (-1, -2, -3, -4, -5):
    must_be_refused("add_key", b"user", b"xq", b"left", 4, ring)
must_be_refused("request_key", b"user", b"xq", 0, 0)
must_be_refused("keyctl", 0, -3, 1)
must_be_refused("keyctl", 1, b"xq")
"""
        ),
    ),
    HostileCase(
        number="92",
        name="kernel-odds-and-ends",
        group=Group.ESCAPE,
        attack=(
            "seldom used system calls: modify_ldt, memory policies, personality, handles, "
            "secret memory"
        ),
        outcome="refused, or harmless",
        plan=hostile(
            """
handle, mount_id = ctypes.create_string_buffer(b"\\x80\\0\\0\\0", 136), ctypes.c_int()
must_fail("name_to_handle_at", -100, b"/usr", handle, ctypes.byref(mount_id), 0)
must_fail("modify_ldt", 0, handle, 16)
for other in ("/proc/self/exe", "/proc/1/exe", "/usr/bin/python3", "/xq"):
    attempt("writes " + other, os.open, other, os.O_WRONLY)
"""
        ),
    ),
)
