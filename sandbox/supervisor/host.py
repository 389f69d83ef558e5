"""The pre-started Python of a container: forks of it become graders and learners' programs.

Copied into the images as `/xq/host.py`; `python_host.c` starts it before any job and sends it one
packet per program, with the descriptors that program gets. It forks twice and lets the grandchild
become the program, so this process itself never holds tests, answers, the job, or a line of the
learner's: each learner's program is a fork of a process that has nothing to tell.

An order is `grader UID OOM-SCORE OPEN-FILES`, then its environment, or `learner UID OOM-SCORE
OPEN-FILES CPU-S FILE-BYTES PROCESSES MEMORY-BYTES`, then script and arguments, all parted by zero
bytes. Its first descriptor is for the report: the grandchild's pid, a newline, and nothing more
unless it could not become what it should.
"""

# No typing, no dataclasses, no socket: this start-up is part of every container's.
from __future__ import annotations

import _socket
import builtins
import gc
import json  # noqa: F401 - for all that is forked from here
import os
import resource
import sys

ORDERS_FD = 3
MOST_ORDER_BYTES = 1 << 17
MOST_DESCRIPTORS = 8
GRADE_DIR = "/grade"
SHIPPED_LIBRARY = "/grade/.xqueue"
IMAGE_LIBRARY = "/xq/lib"
BOX_DIR = "/box"
SET_DUMPABLE = 4
OUR_UID = 10003
"""Real and saved; nobody else's in the container. The killer's signals go to whatever has its real
uid, which is root's, so this process has root's as its effective one only."""


class Order:
    """What one fork is to become."""

    def __init__(self, data: bytes, fds: list[int]) -> None:
        words, *self.texts = (part.decode("utf-8") for part in data.split(b"\0"))
        kind, *numbers = words.split()
        self.is_learner = kind == "learner"
        self.uid, self.oom_score, self.open_files, *self.limits = map(int, numbers)
        self.report_fd, *self.fds = fds


def serve() -> Order:
    """Forks for ever; returns in the grandchildren only, each with its order."""
    orders = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, ORDERS_FD)
    room = _socket.CMSG_SPACE(MOST_DESCRIPTORS * 4)
    while True:
        data, control, _, _ = orders.recvmsg(MOST_ORDER_BYTES, room)
        if not data:
            os._exit(0)
        fds = [
            int.from_bytes(packed[at : at + 4], sys.byteorder)
            for _, _, packed in control
            for at in range(0, len(packed), 4)
        ]
        child = os.fork()
        if child == 0:
            if os.fork() != 0:
                os._exit(0)
            orders.detach()
            return Order(data, fds)
        os.waitpid(child, 0)
        for fd in fds:
            os.close(fd)


def become(order: Order) -> None:
    """Give up all that the program must not have. Ends the process when that does not work."""
    try:
        os.write(order.report_fd, b"%d\n" % os.getpid())
        os.setsid()
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write(str(order.oom_score))
        _keep_only(order)
        _limit(order)
        os.umask(0o077)
        os.setgroups([])
        os.setresgid(order.uid, order.uid, order.uid)
        os.setresuid(order.uid, order.uid, order.uid)
        os.chdir(BOX_DIR if order.is_learner else GRADE_DIR)
    except BaseException as error:  # noqa: BLE001 - nothing may go on half done
        os.write(order.report_fd, f"failed:{error}".encode()[:400])
        os._exit(127)


def _keep_only(order: Order) -> None:
    for target, fd in enumerate(order.fds):
        os.dup2(fd, target)  # received ones lie behind all targets
    first, last = len(order.fds), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    os.closerange(first, order.report_fd)
    os.closerange(order.report_fd + 1, last)
    os.set_inheritable(order.report_fd, False)


def _limit(order: Order) -> None:
    kinds = ("CPU", "FSIZE", "NPROC", "DATA")
    limits = {
        getattr(resource, f"RLIMIT_{kind}"): value
        for kind, value in zip(kinds, order.limits, strict=False)
    }
    if order.is_learner:
        limits[resource.RLIMIT_MSGQUEUE] = 0
        if not limits[resource.RLIMIT_DATA]:
            del limits[resource.RLIMIT_DATA]
    limits |= {resource.RLIMIT_NOFILE: order.open_files, resource.RLIMIT_CORE: 0}
    for kind, value in limits.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def make_dumpable() -> None:
    """After a change of uid the files of a process below /proc are root's; `/dev/stdin` is one.

    A learner's program may look into itself, as one that was executed may. A grader stays as it
    is: it holds the answers.
    """
    try:
        import _ctypes  # the whole of ctypes would cost more than all the rest

        prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
        _ctypes.call_function(prctl, (SET_DUMPABLE, 1, 0, 0, 0))
    except (ImportError, AttributeError, OSError):
        pass  # then it may not, which few programs notice


def forget_library(modules: dict[str, object]) -> None:
    for name in [name for name in modules if name.partition(".")[0] in ("graders", "sandbox")]:
        del modules[name]


def library_differs() -> bool:
    """Whether the grader brings other sources of the library than those imported here."""
    if not os.path.isdir(SHIPPED_LIBRARY):  # noqa: PTH112
        return False
    paths = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
    return any(
        _content(path) != _content(SHIPPED_LIBRARY + path.removeprefix(IMAGE_LIBRARY))
        for path in paths
        if path.startswith(IMAGE_LIBRARY)
    )


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return None


def prepare_grader(order: Order) -> list[str]:
    """As `python3 -s /grade/grade.py` with the order's environment would begin."""
    os.environ.clear()
    for text in order.texts:
        name, _, value = text.partition("=")
        os.environ[name] = value
    sys.path[:0] = [GRADE_DIR, *os.environ["PYTHONPATH"].split(":")]
    sys.dont_write_bytecode = True
    if library_differs():
        forget_library(sys.modules)  # type: ignore[arg-type]
    return [f"{GRADE_DIR}/grade.py"]


def prepare_learner(order: Order) -> list[str]:
    """As `python3 -I SCRIPT ...` would begin."""
    forget_library(sys.modules)  # type: ignore[arg-type]
    make_dumpable()
    return order.texts


def main_names(script: str) -> dict[str, object]:
    """A fresh `__main__`, which this file no longer is."""
    module = type(sys)("__main__")
    module.__dict__.update(__file__=script, __builtins__=builtins, __cached__=None)
    if "__annotations__" in globals():
        module.__dict__["__annotations__"] = {}  # noqa: RUF063 - set anew, not read
    sys.modules["__main__"] = module
    return module.__dict__


def read_script(script: str) -> bytes:
    try:
        with open(script, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError as error:
        sys.stderr.write(f"python3: can't open file {script!r}: {error}\n")
        raise SystemExit(2) from None


def preload() -> None:
    """What most graders import; a grader that brings other sources of it imports those."""
    before = list(sys.path)
    sys.path.insert(0, IMAGE_LIBRARY)
    try:  # noqa: SIM105 - contextlib costs start-up time
        # Not a dependency: an image may have it or not.
        __import__("graders.library")
    except ImportError:
        pass
    sys.path[:] = before
    # Forks share what nobody touches; the collector would touch it all.
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    preload()
    os.setresuid(OUR_UID, 0, OUR_UID)
    order = serve()
    become(order)
    sys.argv = prepare_learner(order) if order.is_learner else prepare_grader(order)
    sys.orig_argv = ["python3", "-I" if order.is_learner else "-s", *sys.argv]
    os.close(order.report_fd)
    path = os.path.abspath(sys.argv[0])  # noqa: PTH100
    try:
        exec(compile(read_script(path), path, "exec", dont_inherit=True), main_names(path))  # noqa: S102
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - as the interpreter itself shows it
        trace = error.__traceback__
        # Without this file's own line.
        error = error.with_traceback(trace.tb_next if trace is not None else None)
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)
