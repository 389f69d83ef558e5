"""Starts programs by forking from a process that has already imported what they all import.

Half a second of each start is imports of libraries, and the tests start programs hundreds of
times. Our own modules are imported after the fork, so that `dying` comes before them. When the
tests end, however they end, nothing that was started here is left.

    python -m tests.crash.nursery < requests > replies     (JSON lines)
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from deploy.demo.processes import ROOT, environment

LIBRARIES = (
    *("alembic.config", "click", "flask", "gunicorn.app.base", "gunicorn.workers.gthread"),
    *("html5lib", "lxml.etree", "psycopg", "requests", "sqlalchemy", "urllib3"),
    *("sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite.pysqlite"),
)


# -- for the tests -------------------------------------------------------------------------------


@dataclass(slots=True)
class Child:
    """A program in a process group of its own."""

    pid: int = 0
    status: int | None = None
    """Negative: the signal that killed it."""
    started: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


class Nursery:
    """Use as a context manager; leaves no child behind."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.crash.nursery"],
            cwd=ROOT,
            env=environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start(
        self, arguments: Sequence[str], *, settings: Mapping[str, str], log_path: Path
    ) -> Child:
        """Run `tests.crash.dying` with these arguments."""
        child = Child()
        with self._lock:
            request = {
                "number": len(self._children),
                "arguments": list(arguments),
                "environment": environment(settings),
                "log": str(log_path),
            }
            self._children.append(child)
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            child.started.wait()
        return child

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            reply = json.loads(line)
            child = self._children[reply["number"]]
            if "pid" in reply:
                child.pid = reply["pid"]
                child.started.set()
            else:
                child.status = reply["status"]
                child.ended.set()
        for child in self._children:  # the nursery is gone, and they with it
            child.started.set()
            child.ended.set()


# -- the process itself --------------------------------------------------------------------------


class _Parent:
    """Must stay without threads: it forks."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._wakeup, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Until the other end of stdin is closed."""
        selector = selectors.DefaultSelector()
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(self._wakeup, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if self._wakeup in ready:
                os.read(self._wakeup, 1000)
                self._reap()
            if sys.stdin.fileno() in ready and not self._take_request():
                return

    def end(self) -> None:
        for pid in self._numbers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _take_request(self) -> bool:
        line = sys.stdin.readline()
        if not line:
            return False
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be(request)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # so that it can be killed even before it came that far itself
        self._numbers[pid] = request["number"]
        _say(number=request["number"], pid=pid)
        return True

    def _reap(self) -> None:
        for pid in list(self._numbers):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                number = self._numbers.pop(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # whom it has left behind
                _say(number=number, status=os.waitstatus_to_exitcode(status))


def _be(request: Mapping[str, Any]) -> NoReturn:
    """In the fork: as if started from a shell. Never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(request["environment"])
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.closerange(3, 100)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the process's own, as at any start
        dying = importlib.import_module("tests.crash.dying")
        dying.main(request["arguments"])
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the outermost frame of a process
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _say(**facts: int) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    parent = _Parent()
    try:
        parent.serve()
    finally:
        parent.end()


if __name__ == "__main__":
    main()
