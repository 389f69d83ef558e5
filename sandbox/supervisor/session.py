"""The conversation of one run: start the grader, run learner programs for it, pass its reports on.

Reports are passed on unread: the host checks them, and would not trust a check made here. Every
report leaves at once, so that a run cut short keeps what was finished.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
import time

from sandbox.supervisor import frames
from sandbox.supervisor.executing import KILL_PATIENCE_S, RunOutOfTime, execute
from sandbox.supervisor.frames import FrameDecoder, FrameError
from sandbox.supervisor.programs import LearnerProgram, PlatformFailed
from sandbox.supervisor.starting import Cell, Isolation, NotStarted
from sandbox.supervisor.watching import READABLE, WRITABLE, Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.supervisor.frames import Frame

HOST_IN_FD = 0
HOST_OUT_FD = 1
LOG_BYTES = 16 * 1024
GRADER_TURN_S = 1.0
"""A grader whose time ends this soon after the learner's program did not hang by itself."""
PASSED_ON = frozenset({"tests", "report"})
LAST_WORDS = frozenset({"done", "fail"})


class Ending(Exception):
    """Why the run is over, in the words of the `ended` frame."""

    FINISHED = "finished"
    GRADER_EXITED = "grader-exited"
    GRADER_UNUSABLE = "grader-unusable"
    GRADER_BROKE_PROTOCOL = "grader-broke-protocol"
    OUT_OF_TIME = "out-of-time"
    """The detail `learner` says whose time it was."""
    OUT_OF_MEMORY = "out-of-memory"
    """The learner's program took what the grader needed."""
    PLATFORM = "platform"

    def __init__(self, how: str, detail: str = "") -> None:
        super().__init__(how)
        self.how = how
        self.detail = detail


class HostGone(Exception):
    """Nobody is waiting for the result any more."""


class Tail:
    """The last bytes of the grader's own output."""

    def __init__(self, fd: int, watch: Watch) -> None:
        self._fd = fd
        self._watch = watch
        self.content = bytearray()
        os.set_blocking(fd, False)
        watch.on(fd, READABLE, self.read)

    def read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        if not data:
            self._watch.off(self._fd)
        self.content += data
        del self.content[:-LOG_BYTES]


class Session:
    """One grader, one submission."""

    def __init__(self, start: Frame, isolation: Isolation, watch: Watch) -> None:
        self._limits: dict[str, Any] = start["limits"]
        self._job = start["job"]
        self._files = start.pop("files")
        self._isolation = isolation
        self._watch = watch
        self._until = time.monotonic() + float(self._limits["wall_s"])
        self._decoder = FrameDecoder()
        self._channel, self._grader_end = socket.socketpair()
        self._channel.setblocking(False)
        log_fd, self._log_write_fd = os.pipe()
        self._log = Tail(log_fd, watch)
        self._grader: Cell | None = None
        self._channel_closed = False
        self._writable = False
        self._learner_ended_at = -math.inf
        watch.on(HOST_IN_FD, READABLE, self._host_spoke)

    def run(self) -> None:
        """Carry the run out and tell the host how it ended."""
        try:
            self._converse()
        except Ending as end:
            self._finish(end)
        except PlatformFailed as error:
            self._finish(Ending(Ending.PLATFORM, str(error)))

    def _converse(self) -> None:
        self._start_grader()
        self._send_to_grader({"type": "job", "job": self._job, "limits": self._limits})
        self._listen()
        while True:
            for frame in self._pending_frames():
                self._obey(frame)
            if self._grader_is_gone():
                raise Ending(Ending.GRADER_EXITED, self._grader_death())
            if time.monotonic() >= self._until:
                raise self._out_of_time()
            self._watch.step(self._until)

    def _start_grader(self) -> None:
        try:
            self._grader = self._isolation.start_grader(
                self._files, self._grader_end.fileno(), self._log_write_fd, self._watch
            )
        except NotStarted as error:
            if error.kind == NotStarted.FAILED:
                raise PlatformFailed(str(error)) from error
            raise Ending(Ending.GRADER_UNUSABLE, str(error)) from error
        finally:
            self._files = []
            self._grader_end.close()
            os.close(self._log_write_fd)

    def _pending_frames(self) -> list[Frame]:
        try:
            return list(iter(self._decoder.next_frame, None))
        except FrameError as error:
            raise Ending(Ending.GRADER_BROKE_PROTOCOL, str(error)) from error

    def _obey(self, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "run":
            self._send_to_grader(self._run_learner(frame))
        elif kind in PASSED_ON:
            self._pass_on(frame)
        elif kind in LAST_WORDS:
            self._pass_on(frame)
            raise Ending(Ending.FINISHED)
        else:
            raise Ending(Ending.GRADER_BROKE_PROTOCOL, f"unknown frame type {kind!r:.60}")

    def _pass_on(self, frame: Frame) -> None:
        try:
            self._send_to_host(frame)
        except FrameError as error:
            raise Ending(Ending.GRADER_BROKE_PROTOCOL, str(error)) from error

    def _run_learner(self, frame: Frame) -> Frame:
        try:
            program = LearnerProgram(frame, self._limits)
        except FrameError as error:
            raise Ending(Ending.GRADER_BROKE_PROTOCOL, f"run: {error}") from error
        # The host must know who was busy if all of us die together.
        self._send_to_host({"type": "learner", "active": True})
        self._watch.off(self._channel.fileno())
        try:
            execution = execute(program, self._isolation, self._watch, self._until)
        except RunOutOfTime:
            raise Ending(Ending.OUT_OF_TIME, "learner") from None
        except NotStarted as error:
            raise Ending(
                Ending.GRADER_BROKE_PROTOCOL, f"the files of a run do not fit: {error}"
            ) from error
        self._learner_ended_at = time.monotonic()
        if self._grader_was_starved():
            raise Ending(Ending.OUT_OF_MEMORY)
        self._send_to_host({"type": "learner", "active": False})
        self._listen()
        return execution.as_frame()

    def _listen(self) -> None:
        if not self._channel_closed:
            self._watch.on(self._channel.fileno(), READABLE, self._grader_spoke)

    def _grader_spoke(self) -> bool:
        """Take in what the grader said; False when there was nothing."""
        try:
            data = self._channel.recv(65536)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        if not data:
            self._channel_closed = True
            self._watch.off(self._channel.fileno())
        self._decoder.feed(data)
        return bool(data)

    def _send_to_grader(self, frame: Frame) -> None:
        """Without blocking for ever on a grader that does not read."""
        rest = memoryview(frames.encode(frame))
        fd = self._channel.fileno()
        self._watch.off(fd)
        while rest and not self._grader_is_gone():  # whose end the caller's loop will notice
            try:
                rest = rest[self._channel.send(rest) :]
            except BlockingIOError:
                self._await_writable()
            except ConnectionError:
                break
        self._listen()

    def _await_writable(self) -> None:
        fd = self._channel.fileno()
        self._writable = False
        self._watch.on(fd, WRITABLE, self._note_writable)
        if not self._watch.wait_for(lambda: self._writable or self._grader_is_gone(), self._until):
            raise self._out_of_time()
        self._watch.off(fd)

    def _note_writable(self) -> None:
        self._writable = True

    def _send_to_host(self, frame: Frame) -> None:
        frames.write_frame(HOST_OUT_FD, frame)

    def _host_spoke(self) -> None:
        # The host says nothing after the start frame; readable means that it has gone.
        raise HostGone

    def _out_of_time(self) -> Ending:
        # Else a learner whose programs end just before the limit would break the grader.
        is_learners = self._until - self._learner_ended_at < GRADER_TURN_S
        return Ending(Ending.OUT_OF_TIME, "learner" if is_learners else "")

    def _grader_was_starved(self) -> bool:
        """A learner's program can make itself look smaller to the kernel than the grader, which
        then dies for what the learner took. It was waiting for its answer, and took nothing."""
        if self._grader is None or not self._isolation.memory_is_shared:
            return False
        status = self._watch.ended.get(self._grader.pid)
        return status == signal.SIGKILL and self._grader.killed_for_memory()

    def _grader_is_gone(self) -> bool:
        if self._grader is None or self._grader.pid not in self._watch.ended:
            return False
        # Its last words may still be in the socket, and count.
        return self._channel_closed or not self._grader_spoke()

    def _grader_death(self) -> str:
        assert self._grader is not None
        self._grader.end(self._watch, time.monotonic() + KILL_PATIENCE_S)
        code = self._grader.exit_code()
        out_of_memory = code == 128 + signal.SIGKILL and self._grader.killed_for_memory()
        memory = "; it ran out of memory" if out_of_memory else ""
        self._grader = None
        return f"the grader exited with status {code} before it said `done`{memory}"

    def _finish(self, end: Ending) -> None:
        if self._grader is not None:
            self._grader.end(self._watch, time.monotonic() + KILL_PATIENCE_S)
        self._log.read()
        self._send_to_host(
            {
                "type": "ended",
                "how": end.how,
                "detail": end.detail,
                "log": frames.pack_bytes(bytes(self._log.content)),
            }
        )


def main() -> None:
    """Serve one run: frames in on stdin, frames out on stdout."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    watch = Watch()
    isolation: Isolation | None = None
    if sys.argv[1:] == ["--container"]:
        from sandbox.supervisor.by_uid import UidIsolation

        isolation = UidIsolation()
    frames.write_frame(HOST_OUT_FD, {"type": "ready"})
    start = frames.read_frame(HOST_IN_FD, frames.MAX_START_BYTES)
    if start is None:
        return
    if isolation is None:
        from sandbox.supervisor.by_box import BoxIsolation, BoxSettings

        settings = BoxSettings(start.pop("isolation"))
        isolation = BoxIsolation(settings, int(start["limits"]["scratch_bytes"]))
    try:
        Session(start, isolation, watch).run()
    except (HostGone, BrokenPipeError):
        # Leaving kills what is left: PID 1 takes its container along, and boxes die with us.
        return
