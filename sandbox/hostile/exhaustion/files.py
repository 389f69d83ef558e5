"""Room for files, their number, and descriptors."""

from __future__ import annotations

from sandbox.hostile.case import Deviation, Engine, Expected, Group, HostileCase, hostile, verdicts

GVISOR_FILES = "files are memory of gVisor's kernel, and gone with the container"


def _no_cap(gain: str) -> dict[Engine, Deviation]:
    """Where files are bounded by the memory they take and not by their number."""
    expected = Expected(verdicts=frozenset({"exited", "memory"}), gains=frozenset({gain}))
    return {Engine.GVISOR: Deviation(reason=GVISOR_FILES, expected=expected)}


CASES = (
    HostileCase(
        number="8",
        name="scratch-fill",
        group=Group.EXHAUSTION,
        attack="fills /box and /tmp with files",
        outcome="no space left, at the limit",
        plan=hostile(
            """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
written = 0
for path in ("/box/a", "/box/b", "/box/c", "/tmp/d", "/tmp/e"):
    try:
        with open(path, "wb", buffering=0) as file:
            while True:
                written += file.write(bytes(65536))
    except OSError:
        pass
if written > (8 << 20) + (1 << 17):
    gained("%d bytes of scratch" % written)
if written < 1 << 20:
    gained("a scratch folder of %d bytes only" % written)
"""
        ),
    ),
    HostileCase(
        number="9",
        name="shared-memory-folder",
        group=Group.EXHAUSTION,
        attack="fills /dev/shm and every other writable folder it can find",
        outcome="there is none beside /box and /tmp",
        plan=hostile(
            """
for top, folders, _ in os.walk("/"):
    if top == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "usr", "box", "tmp")]
    path = os.path.join(top, "planted")
    try:
        with open(path, "wb") as file:
            file.write(b"x")
        gained("writes to " + top)
        os.unlink(path)
    except OSError:
        pass
"""
        ),
    ),
    HostileCase(
        number="10",
        name="inode-fill",
        group=Group.EXHAUSTION,
        attack="makes empty files without end",
        outcome="no space left after the limit of files",
        plan=hostile(
            """
made = 0
try:
    while made < 20000:
        os.close(os.open("/box/%d" % made, os.O_CREAT | os.O_WRONLY))
        made += 1
except OSError:
    pass
if made == 20000:
    gained("20000 files")
"""
        ),
        deviations=_no_cap("20000 files"),
    ),
    HostileCase(
        number="10a",
        name="deep-folders",
        group=Group.EXHAUSTION,
        attack="nests folders as deep as it can, unreadable, and links them crosswise",
        outcome="the next program finds an empty folder",
        deviations={
            Engine.GVISOR: Deviation(
                reason=GVISOR_FILES, expected=verdicts("exited", "memory", "time")
            )
        },
        plan=hostile(
            """
deep = 0
try:
    while deep < 100000:
        os.mkdir("d", 0o700)
        os.symlink("/box", "l")
        os.chdir("d")
        os.chmod("..", 0)
        deep += 1
except OSError:
    pass
"""
        ),
    ),
    HostileCase(
        number="10b",
        name="strange-names",
        group=Group.EXHAUSTION,
        attack="names files with newlines, escapes, bytes that are no text, 255 bytes, `-rf`",
        outcome="the next program finds an empty folder",
        plan=hostile(
            r"""
for name in (b"a\nb", b"\x1b[2J", b"\xff\xfe", b"x" * 255, b"-rf", b"*", b" ", b"$(id)", b"~"):
    for folder in (b"/box/", b"/tmp/"):
        os.mkdir(folder + name)
        with open(folder + name + b"/" + name, "wb"):
            pass
        os.chmod(folder + name, 0)
os.chmod("/box", 0)
os.chmod("/tmp", 0)
"""
        ),
    ),
    HostileCase(
        number="11",
        name="descriptor-fill",
        group=Group.EXHAUSTION,
        attack="opens descriptors without end, in several processes",
        outcome="too many open files at the limit of a program",
        plan=hostile(
            """
import resource
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))
    gained("a higher limit of descriptors")
except (OSError, ValueError):
    pass
fds = []
try:
    while len(fds) < 5000:
        fds.append(os.dup(0))
except OSError:
    pass
if len(fds) >= 1024:
    gained("%d descriptors" % len(fds))
for fd in fds:
    os.close(fd)
"""
        ),
    ),
    HostileCase(
        number="21c",
        name="takes-all-terminals",
        group=Group.EXHAUSTION,
        attack="opens pseudo-terminals, of which the whole host has one pool",
        outcome="there are none",
        plan=hostile(
            """
held = []
try:
    while len(held) < 400:
        held += os.openpty()
except OSError:
    pass
if held:
    gained("pseudo-terminals")
"""
        ),
        deviations={
            Engine.GVISOR: Deviation(
                reason="they are gVisor's own; the host's pool is not touched",
                expected=Expected(gains=frozenset({"pseudo-terminals"})),
            )
        },
    ),
    HostileCase(
        number="22",
        name="core-dump",
        group=Group.EXHAUSTION,
        attack="crashes with a core limit that it raised",
        outcome="dies by its signal; no core file it can see, and no program for it started",
        plan=hostile(
            """
import resource, signal
try:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
    gained("a core limit")
except (OSError, ValueError):
    pass
if resource.getrlimit(resource.RLIMIT_CORE) != (1, 1):
    gained("a start of the host's program for cores")
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGSEGV)
status = os.waitpid(child, 0)[1]
if os.WCOREDUMP(status):
    gained("a core dump")
for folder in ("/box", "/tmp"):
    for name in os.listdir(folder):
        if "core" in name:
            gained("the core file " + name)
"""
        ),
    ),
    HostileCase(
        number="23",
        name="gigantic-files",
        group=Group.EXHAUSTION,
        attack="makes sparse files of a terabyte, allocates and links them",
        outcome="refused at the limit of a file",
        plan=hostile(
            """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fd = os.open("/box/sparse", os.O_CREAT | os.O_RDWR)
for size in (1 << 40, 1 << 30, 64 << 20):
    try:
        os.ftruncate(fd, size)
        gained("a sparse file of %d bytes" % size)
    except OSError:
        pass
    try:
        os.posix_fallocate(fd, 0, size)
        gained("a file of %d bytes" % size)
    except OSError:
        pass
    if libc.fallocate(fd, 1, ctypes.c_long(0), ctypes.c_long(size)) == 0:
        gained("%d bytes kept for a file" % size)
"""
        ),
    ),
    HostileCase(
        number="23a",
        name="hardlink-farm",
        group=Group.EXHAUSTION,
        attack="links one file 20000 times",
        outcome="refused at the limit of files",
        plan=hostile(
            """
open("/box/one", "w").close()
made = 0
try:
    while made < 20000:
        os.link("/box/one", "/box/%d" % made)
        made += 1
except OSError:
    pass
if made == 20000:
    gained("20000 links")
for path in ("/usr/bin/python3", "/etc/passwd", "/grade", "/xq"):
    attempt("a link to " + path, os.link, path, "/box/link-out")
"""
        ),
        deviations=_no_cap("20000 links"),
    ),
)
