"""What the kernel shows as files: settings, devices, terminals, its own state."""

from __future__ import annotations

from sandbox.hostile.case import Deviation, Engine, Expected, Group, HostileCase, hostile
from sandbox.hostile.escape.gvisor import gvisors_own

CASES = (
    HostileCase(
        number="62",
        name="writes-kernel-settings",
        group=Group.ESCAPE,
        attack="writes /proc/sys, control groups, release_agent, core_pattern, sysrq, uid_map",
        outcome="read-only, denied or not there",
        plan=hostile(
            """
paths = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger",
         "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/hostname", "/proc/sys/fs/binfmt_misc",
         "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shm_rmid_forced", "/proc/irq/0",
         "/proc/sys/user/max_user_namespaces", "/proc/acpi/wakeup", "/proc/mtrr", "/proc/kcore",
         "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups",
         "/sys/kernel/uevent_helper", "/sys/kernel/mm/ksm/run", "/sys/power/state",
         "/sys/module/kernel/parameters/panic", "/sys/kernel/security", "/sys/firmware"]
for top, _, names in os.walk("/sys/fs/cgroup"):
    paths += [os.path.join(top, name) for name in names if name in (
        "release_agent", "notify_on_release", "cgroup.procs", "tasks", "devices.allow",
        "memory.limit_in_bytes", "pids.max", "cpu.max", "memory.max", "cgroup.subtree_control")]
    attempt("a control group in " + top, os.mkdir, top + "/xq")
for path in paths:
    try:
        fd = os.open(path, os.O_WRONLY)
    except OSError:
        continue
    # A map of ids can be opened by its owner; what counts is whether it takes anything.
    attempt(path, os.write, fd, b"0 0 1" if path.endswith("_map") else b"deny")
    os.close(fd)
"""
        ),
    ),
    HostileCase(
        number="63",
        name="devices",
        group=Group.ESCAPE,
        attack="opens and makes devices: disks, memory, kernel log, loop, fuse, graphics",
        outcome="absent or refused",
        plan=hostile(
            """
import stat
HARMLESS = {"null", "zero", "full", "random", "urandom", "ptmx", "tty"}
for top, folders, names in os.walk("/dev"):
    for name in names:
        path = os.path.join(top, name)
        try:
            mode = os.stat(path).st_mode
        except OSError:
            continue
        if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and name not in HARMLESS:
            attempt(path, os.open, path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
for number in ((1, 1), (1, 2), (1, 11), (7, 0), (8, 0), (10, 229), (254, 0), (252, 0)):
    for kind in (stat.S_IFBLK, stat.S_IFCHR):
        attempt("the device %d:%d" % number, os.mknod, "/box/dev%d.%d" % number, kind | 0o666,
                os.makedev(*number))
for path in ("/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/proc/kmsg",
             "/dev/loop-control", "/dev/mapper/control", "/dev/cpu/0/msr", "/dev/sda", "/dev/vda"):
    try:
        with open(path, "rb", 0) as file:
            if file.read(16):
                gained(path)
    except (OSError, ValueError):
        pass
"""
        ),
        deviations={
            Engine.GVISOR: gvisors_own(
                "/dev/fuse",
                "/dev/net/tun",
                "the device 1:1",
                "the device 1:2",
                "the device 1:11",
                "the device 7:0",
                "the device 8:0",
                "the device 10:229",
                "the device 254:0",
                "the device 252:0",
            )
        },
    ),
    HostileCase(
        number="64",
        name="terminals",
        group=Group.ESCAPE,
        attack="opens the console and terminals of others, makes one its controlling terminal",
        outcome="absent or refused; a pseudo-terminal of its own at most",
        plan=hostile(
            """
import fcntl
for path in ["/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1", "/dev/ttyS0", "/dev/hvc0"] + [
        "/dev/pts/%d" % number for number in range(8)]:
    attempt(path, os.open, path, os.O_RDWR | os.O_NONBLOCK)
if any(os.isatty(fd) for fd in range(3)):
    gained("a terminal")
"""
        ),
    ),
    HostileCase(
        number="65",
        name="kernel-information",
        group=Group.ESCAPE,
        attack="kernel addresses, the kernel's log, tables of all processes",
        outcome="addresses are hidden; version, processors and mount table can be read",
        plan=hostile(
            """
try:
    with open("/proc/kallsyms") as file:
        if any(int(line.split()[0], 16) for _, line in zip(range(2000), file)):
            gained("kernel addresses")
except OSError:
    pass
for path in ("/proc/kmsg", "/sys/kernel/debug", "/sys/kernel/tracing", "/proc/kpageflags",
             "/sys/kernel/security", "/proc/1/root", "/sys/firmware/acpi/tables", "/sys/fs/bpf"):
    try:
        if os.path.isdir(path):
            if os.listdir(path):
                gained(path)
        else:
            with open(path, "rb", 0) as file:
                file.read(1)
            gained(path)
    except OSError:
        pass
"""
        ),
        deviations={
            Engine.BUBBLEWRAP: Deviation(
                reason="process 1 of a box is bubblewrap's own, of the same user and in the box",
                expected=Expected(gains=frozenset({"/proc/1/root"})),
            ),
            Engine.BOX: Deviation(
                reason="process 1 of a box is bubblewrap's own, of the same user and in the box",
                expected=Expected(gains=frozenset({"/proc/1/root"})),
            ),
        },
    ),
    HostileCase(
        number="66",
        name="types-into-terminals",
        group=Group.ESCAPE,
        attack="types into the terminal of whoever started it (TIOCSTI, TIOCLINUX)",
        outcome="there is no terminal",
        plan=hostile(
            """
import fcntl
for fd in range(3):
    for request in (0x5412, 0x541C):
        attempt("TIOCSTI", fcntl.ioctl, fd, request, b"x")
attempt("a controlling terminal", fcntl.ioctl, 0, 0x540E, 0)
"""
        ),
    ),
    HostileCase(
        number="93",
        name="writes-through-proc",
        group=Group.ESCAPE,
        attack="overwrites programs through /proc/self/exe, /proc/*/map_files and its own mappings",
        outcome="read-only or busy; the programs of the next are the same",
        plan=hostile(
            """
import mmap
for path in ("/proc/self/exe", "/usr/bin/python3", "/bin/sh", "/lib/x86_64-linux-gnu/libc.so.6"):
    real = os.path.realpath(path)
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_TRUNC):
        attempt("writes " + path, os.open, real, flags)
    attempt("removes " + path, os.unlink, real)
    attempt("renames " + path, os.rename, real, real + ".x")
    attempt("chmod " + path, os.chmod, real, 0o777)
    try:
        fd = os.open(real, os.O_RDONLY)
    except OSError:
        continue
    attempt("a shared writable mapping of " + path, mmap.mmap, fd, 4096, mmap.MAP_SHARED, 3)
    os.close(fd)
"""
        ),
    ),
)
