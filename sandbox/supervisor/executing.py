"""One execution of the learner's program: feeds it, captures it, stops it at its limits."""

from __future__ import annotations

import os
import time

from sandbox.supervisor.programs import (
    EXITED,
    MEMORY,
    OUTPUT,
    TIME,
    Execution,
    LearnerProgram,
    PlatformFailed,
)
from sandbox.supervisor.starting import Cell, Isolation, NotStarted
from sandbox.supervisor.watching import READABLE, WRITABLE, Watch

KILL_PATIENCE_S = 5.0
SIGXCPU_CODE = 128 + 24
SIGKILL_CODE = 128 + 9


class RunOutOfTime(Exception):
    """The whole run's wall limit came while the learner's program was running."""


class Capture:
    """Keeps the first bytes of a stream; `full` once more than that came."""

    def __init__(self, fd: int, most: int, watch: Watch) -> None:
        self._fd = fd
        self._most = most
        self._watch = watch
        self.content = bytearray()
        self.full = False
        self.closed = False
        os.set_blocking(fd, False)
        watch.on(fd, READABLE, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        if not data:
            self.close()
        room = self._most - len(self.content)
        self.content += data[:room]
        self.full = self.full or len(data) > room

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._watch.off(self._fd)
            os.close(self._fd)


class Feed:
    """Writes stdin as fast as it is read, never blocking on a program that does not read."""

    def __init__(self, fd: int, data: bytes, watch: Watch) -> None:
        self._fd = fd
        self._rest = memoryview(data)
        self._watch = watch
        self._closed = False
        os.set_blocking(fd, False)
        watch.on(fd, WRITABLE, self._write)

    def _write(self) -> None:
        try:
            self._rest = self._rest[os.write(self._fd, self._rest) :] if self._rest else self._rest
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._rest = memoryview(b"")
        if not self._rest:
            self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._watch.off(self._fd)
            os.close(self._fd)


class _Pipes:
    """The only three descriptors the learner's program gets, and our ends of them."""

    def __init__(self) -> None:
        stdin, self.feed = os.pipe()
        self.out, stdout = os.pipe()
        self.err, stderr = os.pipe()
        self.theirs = (stdin, stdout, stderr)

    def close_theirs(self) -> None:
        for fd in self.theirs:
            os.close(fd)

    def close_ours(self) -> None:
        for fd in (self.feed, self.out, self.err):
            os.close(fd)


def execute(
    program: LearnerProgram, isolation: Isolation, watch: Watch, run_until: float
) -> Execution:
    """Run it to its end or to its first limit, and leave no process of it.

    Raises:
        RunOutOfTime: the whole run's time ended first.
        PlatformFailed: it could not be started or not be killed.
        NotStarted: its files do not fit.
    """
    started_at = time.monotonic()
    until = min(started_at + program.bounds.wall_s, run_until)
    pipes = _Pipes()
    try:
        cell = isolation.start_learner(program, pipes.theirs, watch)
    except NotStarted as error:
        pipes.close_ours()
        return _not_started(error, program)
    finally:
        pipes.close_theirs()
    feed = Feed(pipes.feed, program.stdin, watch)
    out = Capture(pipes.out, program.bounds.output_bytes, watch)
    err = Capture(pipes.err, program.bounds.output_bytes, watch)
    try:
        in_time = watch.wait_for(lambda: cell.pid in watch.ended or out.full or err.full, until)
        ran_s = time.monotonic() - started_at
        flooded = out.full or err.full
        cell.end(watch, time.monotonic() + KILL_PATIENCE_S)
        # All writers are dead, so both streams end after what is still in the pipes.
        watch.wait_for(lambda: out.closed and err.closed, time.monotonic() + 1)
    finally:
        for stream in (feed, out, err):
            stream.close()
    if not in_time and until == run_until:
        raise RunOutOfTime
    return Execution(
        reason=_reason(
            cell,
            in_time=in_time,
            flooded=flooded or out.full or err.full,
            cpu_spent=ran_s >= program.bounds.cpu_s,
        ),
        code=cell.exit_code(),
        stdout=bytes(out.content),
        stderr=bytes(err.content),
        wall_ms=(time.monotonic() - started_at) * 1000,
    )


def _reason(cell: Cell, *, in_time: bool, flooded: bool, cpu_spent: bool) -> str:
    """What stopped it. Only a SIGKILL that neither we nor the memory limit sent needs guessing:
    the CPU limit sends it too, and cannot have before that much time has passed."""
    code = cell.exit_code()
    if flooded:
        return OUTPUT
    if not in_time or code == SIGXCPU_CODE:
        return TIME
    if code != 0 and cell.killed_for_memory():
        return MEMORY
    return TIME if code == SIGKILL_CODE and cpu_spent else EXITED


def _not_started(error: NotStarted, program: LearnerProgram) -> Execution:
    """A program that does not exist is an answer for the grader, as in a shell."""
    if error.kind == NotStarted.NO_SPACE:
        raise error
    if error.kind == NotStarted.FAILED:
        raise PlatformFailed(str(error)) from error
    text = f"{program.argv[0]}: cannot be executed".encode()
    return Execution(reason=EXITED, code=127, stdout=b"", stderr=text, wall_ms=0.0)
