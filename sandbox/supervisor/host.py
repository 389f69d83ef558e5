"""The pre-started Python of a container: forks of it become graders and learners' programs.

Copied into the images as `/xq/host.py`; `python_host.c` has it imported, which takes the compiled
one where there is one, calls `main` before any job and sends it one packet per program, with the
descriptors that program gets. It forks twice and lets the grandchild become the program, so this
process itself never holds tests, answers, the job, or a line of the learner's: each learner's
program is a fork of a process that has nothing to tell. Once there is a grader, a fork is made
ahead and takes the next order itself, while this process waits for that.

An order is `grader UID OOM-SCORE OPEN-FILES`, then its environment, or `learner UID OOM-SCORE
OPEN-FILES CPU-S FILE-BYTES PROCESSES MEMORY-BYTES`, then script and arguments, all parted by zero
bytes. Its first descriptor is for the report: the grandchild's pid, a newline, and nothing more
unless it could not become what it should.
"""

# No typing, no dataclasses, no socket: this start-up is part of every container's.
from __future__ import annotations

import _socket
import _thread
import _weakref
import atexit
import builtins
import gc
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ORDERS_FD = 3
MOST_ORDER_BYTES = 1 << 17
MOST_DESCRIPTORS = 8
GRADE_DIR = "/grade"
SHIPPED_LIBRARY = "/grade/.xqueue"
IMAGE_LIBRARY = "/xq/lib"
BOX_DIR = "/box"
SET_DUMPABLE = 4
NO_CORE_BYTES = 1  # as in `start.c`
OUR_UID = 10003
"""Real and saved; nobody else's in the container. The killer's signals go to whatever has its real
uid, which is root's, so this process has root's as its effective one only."""

# Of a function that ctypes calls (its source, `callproc.c`): the C way, with Python's lock held.
CDECL = 1
PYTHON_API = 4

runner: list[Any] = []
"""The two functions of C that open and run a script."""
forgotten: list[object] = []
"""Modules that nobody finds any more. To free them would first copy the memory they are in."""


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
    while True:
        order = next_order(orders)
        if fork_off():
            break
        for fd in (order.report_fd, *order.fds):
            os.close(fd)
        taken = fork_ahead(orders)
        if taken is not None:
            order = taken
            break
    orders.detach()
    return order


def fork_ahead(orders: _socket.socket) -> Order | None:
    """One fork after the other, each waiting for an order; returns in them with it, and here when
    no more can be made, as while a fork bomb goes off."""
    forks = 0
    while True:
        taken_fd, taking_fd = os.pipe()
        try:
            is_fork = fork_off()
        except OSError:
            is_fork = False
        if is_fork:
            order = next_order(orders)
            os.write(taking_fd, b"t")
            return order
        os.close(taking_fd)
        forks += 1
        if forks == 2:
            preload_more()
        was_taken = os.read(taken_fd, 1)
        os.close(taken_fd)
        if not was_taken:
            return None


def fork_off() -> bool:
    """Forks twice, so that PID 1 inherits the grandchild; true in that."""
    child = os.fork()
    if child != 0:
        os.waitpid(child, 0)
        return False
    try:
        grandchild = os.fork()
    except OSError:
        os._exit(1)
    if grandchild != 0:
        os._exit(0)
    return True


def next_order(orders: _socket.socket) -> Order:
    """Waits for it. Ends the process when there will be none."""
    room = _socket.CMSG_SPACE(MOST_DESCRIPTORS * 4)
    data, control, _, _ = orders.recvmsg(MOST_ORDER_BYTES, room)
    if not data:
        os._exit(0)
    fds = [
        int.from_bytes(packed[at : at + 4], sys.byteorder)
        for _, _, packed in control
        for at in range(0, len(packed), 4)
    ]
    return Order(data, fds)


def become(order: Order) -> None:
    """Give up all that the program must not have. Ends the process when that does not work."""
    try:
        os.write(order.report_fd, b"%d\n" % os.getpid())
        os.setsid()
        score_fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score_fd, b"%d" % order.oom_score)
        os.close(score_fd)
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
    limits |= {resource.RLIMIT_NOFILE: order.open_files, resource.RLIMIT_CORE: NO_CORE_BYTES}
    for kind, value in limits.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def make_dumpable() -> None:
    """After a change of uid the files of a process below /proc are root's; `/dev/stdin` is one.

    A learner's program may look into itself, as one that was executed may. A grader stays as it
    is: it holds the answers.
    """
    call_c("prctl", SET_DUMPABLE, 1, 0, 0, 0)  # or it may not, which few programs notice


def call_c(function: str, *arguments: int) -> bool:
    """Call a function of the C library; false when that is not possible here."""
    try:
        import _ctypes  # the whole of ctypes would cost more than all the rest

        address = _ctypes.dlsym(_ctypes.dlopen(None, 0), function)  # type: ignore[arg-type]
        _ctypes.call_function(address, arguments)
    except (ImportError, AttributeError, OSError):
        return False
    return True


def forget_library() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("graders", "sandbox")]:
        forgotten.append(sys.modules.pop(name))


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
        forget_library()
    return [f"{GRADE_DIR}/grade.py"]


def prepare_learner(order: Order) -> list[str]:
    """As `python3 -I SCRIPT ...` would begin."""
    forget_library()
    make_dumpable()
    return order.texts


def make_main() -> None:
    """A fresh `__main__`, as it is before a script begins."""
    module = type(sys)("__main__")
    module.__dict__["__builtins__"] = builtins
    if "__annotations__" in vars(sys.modules["__main__"]):
        module.__dict__["__annotations__"] = {}  # noqa: RUF063 - set anew, not read
    sys.modules["__main__"] = module


def load_runner() -> None:
    """What the interpreter itself runs a script with: no line of ours is then in a traceback, and
    every kind of ending is its own."""
    import _ctypes  # the whole of ctypes would cost more than all the rest

    class Pointer(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "P"

    class Number(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "i"

    def function(name: str, result: type, holds_the_lock: int) -> Any:
        class Function(_ctypes.CFuncPtr):
            _flags_ = CDECL | holds_the_lock
            _restype_ = result

        return Function(_ctypes.dlsym(_ctypes.dlopen(None, 0), name))  # type: ignore[arg-type]

    fopen = function("fopen", Pointer, 0)
    run = function("PyRun_SimpleFileExFlags", Number, PYTHON_API)
    run.argtypes = (Pointer, Pointer, Number, Pointer)
    runner[:] = (fopen, run)


def preload() -> None:
    """What most graders import; a grader that brings other sources of it imports those."""
    before = list(sys.path)
    sys.path.insert(0, IMAGE_LIBRARY)
    try:
        # Not a dependency: an image may have it or not.
        for name in ("session", "calling", "comparing"):
            __import__(f"graders.library.{name}")
    except ImportError:
        pass
    sys.path[:] = before
    load_runner()
    freeze()


def preload_more() -> None:
    """What many learners' programs import. Not before there are some: waiting containers would hold
    a megabyte more, and the start of each would take half as long again."""
    try:
        import json  # noqa: F401 - to have it loaded
    except ImportError:  # a minimal Python
        return
    freeze()


def freeze() -> None:
    """Forks share what nobody touches; the collector would touch it all."""
    gc.collect()
    gc.freeze()


class Beginning:
    """What was there before a program, by which is told whether it left anything to take apart."""

    def __init__(self) -> None:
        # The last of all callbacks: what is taken apart is taken apart whole, as in a fresh Python.
        atexit.register(gc.unfreeze)
        self.callbacks = atexit._ncallbacks()
        self.streams = (sys.stdout, sys.stderr)
        self.builtins = dict(builtins.__dict__)

    def is_unchanged(self) -> bool:
        stdout, stderr = self.streams
        return (
            atexit._ncallbacks() == self.callbacks
            and sys.stdout is stdout
            and sys.stderr is stderr
            and self.builtins == builtins.__dict__
        )


def leave(beginning: Beginning) -> None:
    """End successfully as the interpreter does, but without taking apart what it was forked with,
    which would first copy all of that. Returns where taking apart could be noticed."""
    try:
        if not beginning.is_unchanged() or not nothing_to_finish(beginning):
            return
        for stream in beginning.streams:
            stream.flush()
    except BaseException:  # noqa: BLE001 - the interpreter meets it again, and tells
        return
    call_c("exit", 0)


def nothing_to_finish(known: object) -> bool:
    """Whether no thread and no living object of the program does anything at its end.

    Objects that do belong to a type with `__del__` (of files, generators and coroutines too), and
    the collector knows all of them, or else their types. No code of the program is called.
    """
    if _thread._count() or "threading" in sys.modules:
        return False
    objects = gc.get_objects()  # without what is frozen
    kinds = {type(each) for each in objects}
    metaclasses = {kind for kind in kinds if type in lineage(kind)}
    if any(map(finishes, kinds)) or type(known) not in kinds:  # else the program froze its own
        return False
    if any(finishes(each) for each in objects if type(each) in metaclasses):
        return False
    references = {kind for kind in kinds if _weakref.ref in lineage(kind)}
    return not any(calls_back(each) for each in objects if type(each) in references)


def lineage(kind: type) -> tuple[type, ...]:
    """Whatever its metaclass says."""
    return type.__dict__["__mro__"].__get__(kind)  # type: ignore[no-any-return]


def finishes(kind: type) -> bool:
    namespace = type.__dict__["__dict__"]
    return any("__del__" in namespace.__get__(base) for base in lineage(kind))


def calls_back(reference: object) -> bool:
    """Those of abstract base classes only tidy their caches."""
    callback: Any = _weakref.ref.__dict__["__callback__"].__get__(reference)
    is_tidying = type(callback) is type(len) and callback.__name__ == "_destroy"
    return callback is not None and not is_tidying


def run_script(path: str) -> bool:
    """As the interpreter runs it; false when it ended with an exception. Does not return from one
    that asks for the end."""
    make_main()
    fopen, run = runner
    file = fopen(os.fsencode(path) + b"\0", b"rb\0")
    if not file:
        sys.stderr.write(f"python3: can't open file {path!r}\n")
        raise SystemExit(2)
    return bool(run(file, os.fsencode(path), 1, None) == 0)


def main() -> None:
    """Begun by `python_host.c`, with our folder first in the path."""
    del sys.path[0]
    del sys.modules[__name__]
    sys.dont_write_bytecode = False
    preload()
    os.setresuid(OUR_UID, 0, OUR_UID)
    order = serve()
    become(order)
    sys.argv = prepare_learner(order) if order.is_learner else prepare_grader(order)
    sys.orig_argv = ["python3", "-I" if order.is_learner else "-s", *sys.argv]
    os.close(order.report_fd)
    beginning = Beginning() if order.is_learner else None
    ended_well = run_script(os.path.abspath(sys.argv[0]))  # noqa: PTH100
    if ended_well and beginning is not None:
        leave(beginning)
    # Of an interrupt the interpreter knows, and ends by that signal when it comes to its own end.
    if getattr(sys, "last_type", None) is not KeyboardInterrupt:
        raise SystemExit(0 if ended_well else 1)
