"""Our own programs as child processes: started, waited for, stopped with all they started."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    "xqueue-server": "xqueue_server.cli.main",
    "grader-worker": "grader_worker.cli.main",
    "graders": "graders.cli.main",
}
OUR_SETTINGS = ("XQUEUE_", "GRADER_WORKER_")
STOP_GRACE_S = 2.0
"""Not for production: a worker idles in a request of 20 s, and we have nothing to lose."""
PROBE_S = 0.05
PORTS = range(20_000, 30_000)
"""Below those that Linux chooses from by itself: between our look and the program that is to listen
there, nobody is given one of them, nor is it where a connection to it comes from."""
_numbers = itertools.count(random.randrange(len(PORTS)))


class ProcessFailed(Exception):
    """A program did not do its part; the message has the tail of its log."""


def command(program: str, *arguments: str) -> list[str]:
    """The program as the installed script runs it, but from this tree, installed or not."""
    start = f"from {MODULES[program]} import main; main(prog_name={program!r})"
    return [sys.executable, "-c", start, *arguments]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This shell's, with our settings in place of any it may have for another installation."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(OUR_SETTINGS)}
    return inherited | {"PYTHONUNBUFFERED": "1"} | dict(settings)


def run_to_end(argv: list[str], *, settings: Mapping[str, str], stdin: str = "") -> str:
    """Run a command that ends by itself; returns its stdout.

    Raises:
        ProcessFailed: exit status other than 0.
    """
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=environment(settings),
        input=stdin,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        shown = " ".join(argv[3:])
        raise ProcessFailed(f"`{shown}` ended with status {done.returncode}:\n{done.stderr}")
    return done.stdout


class LongRunning:
    """A program that runs until it is stopped, in a process group of its own."""

    def __init__(
        self,
        name: str,
        argv: list[str],
        *,
        settings: Mapping[str, str],
        log_path: Path,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.log_path = log_path
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone: we stop them in order
            )
        self._on_end = on_end
        self._asked_to_stop = False
        self._watcher = threading.Thread(target=self._watch, name=f"watch-{name}", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Ask `ready` again and again: the programs have no way to tell us.

        Raises:
            ProcessFailed: it ended first, or was not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.has_ended or time.monotonic() > deadline:
                raise self.failure("did not start")
            time.sleep(PROBE_S)

    def failure(self, what: str) -> ProcessFailed:
        status = self._process.poll()
        ended = "" if status is None else f" (ended with status {status})"
        return ProcessFailed(
            f"{self.name} {what}{ended}; the end of {self.log_path}:\n{self.log_tail()}"
        )

    def log_tail(self, lines: int = 20) -> str:
        text = self.log_path.read_text(encoding="utf-8", errors="replace")
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])

    def ask_to_stop(self) -> None:
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self._process.terminate()

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Ask politely, then kill; in any case nothing of its process group is left."""
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(grace_s, 0))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._watcher.join()

    def _watch(self) -> None:
        self._process.wait()
        if not self._asked_to_stop:
            self._on_end()


def stop_all(processes: Sequence[LongRunning]) -> None:
    """The last started is asked first. Whatever interrupts us meanwhile, every one is stopped."""
    with contextlib.ExitStack() as stack:
        deadline = time.monotonic() + STOP_GRACE_S
        for process in processes:
            stack.callback(_stop_by, process, deadline)
        for process in reversed(processes):
            process.ask_to_stop()


def _stop_by(process: LongRunning, deadline: float) -> None:
    process.stop(deadline - time.monotonic())


def answers_http(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def listens_at(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def free_port(preferred: int = 0) -> int:
    """`preferred` if nobody has it, else one that this process has not given out lately."""
    others = (PORTS[next(_numbers) % len(PORTS)] for _ in PORTS)
    for port in itertools.chain([preferred] if preferred else [], others):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
