"""Becoming somebody else, or somewhere else: users, mounts, namespaces."""

from __future__ import annotations

from sandbox.hostile.case import Engine, Group, HostileCase, hostile
from sandbox.hostile.escape.gvisor import gvisors_own

NEW_NAMESPACES = """
FLAGS = {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "network": 0x40000000,
         "ipc": 0x8000000, "uts": 0x4000000, "cgroup": 0x2000000, "time": 0x80}
"""


CASES = (
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
)
