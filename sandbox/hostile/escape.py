"""D. Ways out: the network, the kernel's less-trodden system calls, devices, other namespaces.

System calls that would do harm if they worked are called with arguments that fail right after the
check of rights, so that trying them on a host without any protection harms nothing.
"""

from __future__ import annotations

from sandbox.hostile.case import Deviation, Engine, Expected, Group, HostileCase, hostile

REACHED = """
import socket
def reach(family, address, kinds=(socket.SOCK_STREAM, socket.SOCK_DGRAM)):
    for kind in kinds:
        try:
            with socket.socket(family, kind) as s:
                s.settimeout(0.5)
                s.connect(address)
                # A datagram socket can always be connected within its own machine.
                if kind == socket.SOCK_STREAM or address[0] not in ("127.0.0.1", "::1"):
                    gained("a way to %s" % (address,))
        except (OSError, OverflowError):
            pass
"""

NEW_NAMESPACES = """
FLAGS = {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "network": 0x40000000,
         "ipc": 0x8000000, "uts": 0x4000000, "cgroup": 0x2000000, "time": 0x80}
"""

GVISOR_OWN = "gVisor's own kernel answers, whatever our filter says; the host's sees none of it"


def gvisors_own(*gains: str) -> Deviation:
    return Deviation(reason=GVISOR_OWN, expected=Expected(gains=frozenset(gains)))


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
        number="48",
        name="network",
        group=Group.ESCAPE,
        attack=(
            "connects to the Internet, the gateway, engine, Redis, database, a listener of the host"
        ),
        outcome="unreachable or refused",
        plan=hostile(
            REACHED
            + """
import json
targets = json.load(open("/box/targets.json"))
for host, port in targets["v4"]:
    reach(socket.AF_INET, (host, port))
for host, port in targets["v6"]:
    reach(socket.AF_INET6, (host, port))
for name in targets["abstract"]:
    reach(socket.AF_UNIX, "\\0" + name, (socket.SOCK_STREAM,))
with open("/proc/net/dev") as file:
    for line in file.readlines()[2:]:
        name = line.split(":")[0].strip()
        if name not in ("lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0",
                        "ip6_vti0", "ip6gre0"):
            gained("the interface " + name)
"""
        ),
    ),
    HostileCase(
        number="49",
        name="metadata-and-names",
        group=Group.ESCAPE,
        attack="metadata service, IPv6 link-local and multicast, broadcast, names (DNS)",
        outcome="unreachable; no name resolves",
        plan=hostile(
            REACHED
            + """
reach(socket.AF_INET, ("169.254.169.254", 80))
reach(socket.AF_INET6, ("fd00:ec2::254", 80))
reach(socket.AF_INET6, ("fe80::1", 80, 0, 1))
for address in (("255.255.255.255", 67), ("224.0.0.251", 5353)):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        attempt("a datagram to %s" % (address,), s.sendto, b"x", address)
for name in ("example.com", "metadata.google.internal", "host.docker.internal"):
    attempt("the address of " + name, socket.getaddrinfo, name, 80)
"""
        ),
        deviations={
            Engine.GVISOR: Deviation(
                reason="a datagram socket can be pointed there; there is no way to send it on",
                expected=Expected(gains=frozenset({"a way to ('fe80::1', 80, 0, 1)"})),
            )
        },
    ),
    HostileCase(
        number="50",
        name="vsock",
        group=Group.ESCAPE,
        attack="a socket to the hypervisor (AF_VSOCK), which no network namespace confines",
        outcome="refused by the system call filter",
        plan=hostile(
            """
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    attempt("an AF_VSOCK socket", lambda: socket.socket(40, kind).close())
    attempt("a pair of AF_VSOCK sockets", lambda: socket.socketpair(40, kind))
"""
        ),
    ),
    HostileCase(
        number="51",
        name="strange-sockets",
        group=Group.ESCAPE,
        attack="sockets of every family and kind the kernel knows (PACKET, RAW, ALG, XDP, ...)",
        outcome="refused: local and Internet sockets, in an empty network, are all there is",
        plan=hostile(
            """
import socket
HARMLESS = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
for family in range(1, 64):
    for kind in (1, 2, 3, 4, 5, 6, 10):
        if family in HARMLESS and kind in (1, 2, 5):
            continue
        if family in (socket.AF_NETLINK, socket.AF_UNIX) and kind == 3:
            continue  # what every C library uses, about an empty network; another word for 2
        for protocol in (0, 1, 3, 255):
            attempt("a socket (%d, %d, %d)" % (family, kind, protocol),
                    lambda: socket.socket(family, kind, protocol).close())
for protocol in range(0, 32):
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as s:
            if protocol in (9, 11):
                s.bind((0, 1))
                gained("the kernel's audit or connector messages")
    except OSError:
        pass
"""
        ),
    ),
    HostileCase(
        number="52",
        name="engine-sockets",
        group=Group.ESCAPE,
        attack="looks for sockets of Docker, containerd, D-Bus, sandboxd and anybody else",
        outcome="there is none",
        plan=hostile(
            """
import stat
for top, folders, names in os.walk("/"):
    if top == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "usr")]
    for name in names:
        try:
            if stat.S_ISSOCK(os.lstat(os.path.join(top, name)).st_mode):
                gained(os.path.join(top, name))
        except OSError:
            pass
"""
        ),
    ),
    HostileCase(
        number="53",
        name="setuid-programs",
        group=Group.ESCAPE,
        attack="runs the image's setuid programs and setuid copies of its own",
        outcome="without effect: no new privileges, no setuid in scratch folders",
        plan=hostile(
            """
import stat, subprocess
if libc.prctl(39, 0, 0, 0, 0) != 1:
    gained("new privileges")
tool = "/usr/bin/id" if os.path.exists("/usr/bin/id") else sys.executable
with open(tool, "rb") as file, open("/box/id", "wb") as copy:
    copy.write(file.read(4 << 20))
for mode in (0o4755, 0o2755, 0o6755):
    try:
        os.chmod("/box/id", mode)
    except OSError:
        pass
for command in (["su", "-c", "id -u"], ["/bin/su", "root", "-c", "id -u"], ["newgrp", "root"],
                ["mount", "-t", "tmpfs", "x", "/box"], ["umount", "/box"], ["/box/id", "-u"],
                ["passwd", "-d", "root"], ["chsh", "-s", "/bin/sh"], ["sudo", "-n", "id", "-u"]):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=3)
    except (OSError, subprocess.SubprocessError):
        continue
    if done.stdout.strip() == b"0" or (command[0] != "/box/id" and done.returncode == 0):
        gained(" ".join(command))
"""
        ),
    ),
    HostileCase(
        number="54",
        name="becomes-somebody",
        group=Group.ESCAPE,
        attack="sets user, groups and capabilities, keeps and raises capabilities",
        outcome="refused; no capability in any set it could use",
        plan=hostile(
            """
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
    if int(status.get(name, "0"), 16):
        gained(name + status[name])
for uid in (0, 1, 10001, 65534):
    if uid != os.getuid():
        attempt("uid %d" % uid, os.setuid, uid)
        attempt("uids %d" % uid, os.setresuid, uid, uid, uid)
        attempt("gid %d" % uid, os.setgid, uid)
        attempt("gids %d" % uid, os.setresgid, uid, uid, uid)
attempt("groups", os.setgroups, [0])
for capability in range(41):
    if libc.prctl(47, 2, capability, 0, 0) == 0:
        gained("the ambient capability %d" % capability)
header = (ctypes.c_uint * 2)(0x20080522, 0)
data = (ctypes.c_uint * 6)(*([0xFFFFFFFF] * 6))
if libc.capset(header, data) == 0:
    gained("capset")
if libc.prctl(28, 0x2F, 0, 0, 0) == 0:
    gained("securebits")
"""
        ),
    ),
    HostileCase(
        number="55",
        name="mounts",
        group=Group.ESCAPE,
        attack="mount, the new mount interface, pivot_root, chroot, file handles",
        outcome="refused",
        plan=hostile(
            """
must_be_refused("mount", b"none", b"/box", b"tmpfs", 0, 0)
must_be_refused("mount", b"/", b"/box", 0, 4096, 0)
must_be_refused("mount", 0, b"/", 0, 32, 0)
must_be_refused("umount2", b"/box", 0)
must_be_refused("pivot_root", b"/box", b"/box")
must_be_refused("chroot", b"/box")
must_fail("fsopen", b"tmpfs", 0)
must_fail("open_tree", -100, b"/", 1)
must_fail("move_mount", -100, b"/box", -100, b"/tmp", 0)
must_fail("mount_setattr", -100, b"/", 0, 0, 0)
handle = ctypes.create_string_buffer(b"\\x08\\0\\0\\0\\x01\\0\\0\\0" + bytes(8), 136)
must_fail("open_by_handle_at", -100, handle, 0)
for name in ("/dev/fuse", "/dev/vfio/vfio", "/dev/kvm", "/dev/net/tun"):
    attempt(name, os.open, name, os.O_RDWR)
"""
        ),
        deviations={Engine.GVISOR: gvisors_own("/dev/fuse", "/dev/net/tun")},
    ),
    HostileCase(
        number="56",
        name="namespaces",
        group=Group.ESCAPE,
        attack="makes every kind of namespace by unshare, clone and clone3, enters those of others",
        outcome="refused",
        plan=hostile(
            NEW_NAMESPACES
            + """
for name, flag in FLAGS.items():
    if libc.unshare(flag) == 0:
        gained("unshare gave 0")
    # The old call knows no time namespaces: the bit is part of a signal's number there.
    child, _ = call("clone", flag | 17, 0, 0, 0, 0) if name != "time" else (-1, 0)
    if child == 0:
        os._exit(0)
    if child > 0:
        gained("clone gave a child")
    arguments = (ctypes.c_ulonglong * 11)(flag, 0, 0, 0, 17)
    child, _ = call("clone3", arguments, ctypes.sizeof(arguments))
    if child == 0:
        os._exit(0)
    if child > 0:
        gained("clone3 gave a child")
for pid in [os.getpid(), *others()]:
    for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"):
        try:
            fd = os.open("/proc/%d/ns/%s" % (pid, kind), os.O_RDONLY)
        except OSError:
            continue
        if pid != os.getpid() or kind in ("mnt", "net", "ipc", "uts"):
            must_fail("setns", fd, 0)
    pidfd, _ = call("pidfd_open", pid, 0)
    if pidfd >= 0 and pid != os.getpid():
        must_fail("setns", pidfd, 0x20000)
"""
        ),
        deviations={
            Engine.GVISOR: gvisors_own(
                "unshare gave 0", "clone3 gave a child", "clone gave a child"
            )
        },
    ),
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
