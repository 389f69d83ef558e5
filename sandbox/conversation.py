"""The host's end of a run: sends the job, collects what comes back, keeps its own clock.

Knows neither Docker nor bubblewrap: a backend gives it a channel to its supervisor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.run import DeclaredTest, ExitReason, Limits, RunRequest, RunResult
from sandbox.supervisor import frames
from sandbox.supervisor.endings import Ending
from sandbox.supervisor.frames import FrameDecoder, FrameError
from sandbox.transcript import GraderSpokeNonsense, Transcript

GRACE_S = 2.0
"""The supervisor ends a run by itself; the host waits this much longer before it kills."""
READY_S = 20.0
READY_BYTES = 4096
SLACK_BYTES = 64 * 1024
"""For frames of the supervisor itself, which the grader does not pay for."""

LEARNERS_PART = 0.5
"""Of the time of a run that is out of time. Whose turn it was last says little: programs that end
just before their limits, test after test, make the grader late in a turn of its own. So it is the
fault of whoever took the larger part. In doubt the grader's: then nobody loses a grade."""

TIME_NOTICE = "Your code was stopped because the time for all tests together was used up."
MEMORY_NOTICE = "Your code was stopped because it used too much memory."


class Channel(Protocol):
    """Bytes to and from a supervisor."""

    def send(self, data: bytes, timeout_s: float) -> None:
        """Raises SandboxUnavailable when it cannot be delivered in time, ConnectionError when
        the supervisor has gone."""

    def receive(self, timeout_s: float) -> bytes:
        """Some bytes, or none when the supervisor has gone. Raises TimeoutError."""


RunLearner = Callable[[dict[str, Any], float], dict[str, Any]]
"""Takes a `run` frame and the monotonic time at which the whole run ends, gives the `ran` frame."""


class SupervisorLost(Exception):
    """The supervisor ended or fell silent without saying how the run ended.

    `ready` tells whether it ever started, `learner_active` whether the learner's code was
    running at that moment, `has_spoken` whether it said anything of this run.
    """

    def __init__(
        self, *, ready: bool, learner_active: bool, silent: bool, has_spoken: bool = False
    ) -> None:
        super().__init__("the supervisor fell silent" if silent else "the supervisor is gone")
        self.ready = ready
        self.learner_active = learner_active
        self.silent = silent
        self.has_spoken = has_spoken


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    reason: ExitReason
    detail: str = ""
    notice: str = ""
    grader_log: str = ""


class Conversation:
    """One run. `result` may be asked for only after `hold` or after a `SupervisorLost`.

    With `is_ready` the supervisor has said so before (`await_ready`). With `run_learner` it only
    holds the grader: its `run` frames are for us, and are answered with what that gives.
    """

    def __init__(
        self,
        channel: Channel,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        *,
        tests: tuple[DeclaredTest, ...] | None = None,
        is_ready: bool = False,
        run_learner: RunLearner | None = None,
    ) -> None:
        self._channel = channel
        self._limits = limits
        self._clock = clock
        self._transcript = Transcript(result_bytes=limits.result_bytes, tests=tests)
        most = limits.result_bytes + SLACK_BYTES
        # A `run` frame brings the files of a program, which are no part of the result.
        self._decoder = FrameDecoder(max(most, frames.MAX_FRAME_BYTES) if run_learner else most)
        self._run_learner = run_learner
        self._learner_active = False
        self._learner_began_at = 0.0
        self._learner_s = 0.0
        self._ready = is_ready
        self._has_spoken = False
        self._until = 0.0
        self.has_ended = False
        """Whether the supervisor has said how the run ended, and waits for nothing more."""

    def hold(self, start: bytes) -> RunResult:
        """Carry one run through.

        Raises:
            SupervisorLost: it ended or hung; the backend may know why.
            GraderNotUsable, SandboxUnavailable: as the seam promises.
        """
        if not self._ready:
            await_ready(self._channel, READY_S, self._clock)
            self._ready = True
        self._send(start, READY_S)
        return self._listen(self._clock() + self._limits.wall_s + GRACE_S)

    def listen_again(self, patience_s: float) -> RunResult:
        """After a silence that had another cause, which is gone: as `hold`, for so much longer."""
        return self._listen(self._clock() + patience_s)

    def _listen(self, until: float) -> RunResult:
        self._until = until
        try:
            while True:
                frame = self._next_frame(until)
                if frame["type"] == "ended":
                    self.has_ended = True
                    return self._result(self._interpret(frame))
                self._take(frame)
        except (GraderSpokeNonsense, FrameError) as error:
            return self._result(_End(reason=ExitReason.GRADER_FAILED, detail=str(error)))

    def cut_short(self, notice: str) -> RunResult:
        """The result when the learner's code took the supervisor down with it."""
        return self._result(_End(reason=ExitReason.LEARNER_LIMIT, notice=notice))

    def _send(self, data: bytes, timeout_s: float) -> None:
        try:
            self._channel.send(data, timeout_s)
        except ConnectionError:
            raise self._lost(silent=False) from None

    def _next_frame(self, until: float) -> dict[str, Any]:
        while True:
            try:
                frame = self._decoder.next_frame()
            except FrameError as error:
                raise GraderSpokeNonsense(str(error)) from error
            if frame is not None:
                self._has_spoken = True
                return frame
            self._decoder.feed(self._receive(until))

    def _receive(self, until: float) -> bytes:
        remaining_s = until - self._clock()
        try:
            if remaining_s <= 0:
                raise TimeoutError
            data = self._channel.receive(remaining_s)
        except TimeoutError:
            raise self._lost(silent=True) from None
        if not data:
            raise self._lost(silent=False)
        return data

    def _lost(self, *, silent: bool) -> SupervisorLost:
        return SupervisorLost(
            ready=self._ready,
            learner_active=self._learner_active,
            silent=silent,
            has_spoken=self._has_spoken,
        )

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "learner":
            self._note_learner(active=bool(frame.get("active")))
            return
        if frame["type"] == "run" and self._run_learner is not None:
            answer = self._run_learner(frame, self._until - GRACE_S)
            self._send(frames.encode(answer), READY_S)
            return
        self._transcript.count_bytes(len(frames.encode(frame)))
        self._transcript.record(frame)

    def _note_learner(self, *, active: bool) -> None:
        if self._learner_active:
            self._learner_s += self._clock() - self._learner_began_at
        self._learner_active, self._learner_began_at = active, self._clock()

    def _ran_out_of_learners_time(self, detail: str) -> bool:
        """The supervisor knows whose turn it was; all turns together are counted here."""
        return detail == "learner" or self._learner_s > LEARNERS_PART * self._limits.wall_s

    def _interpret(self, frame: dict[str, Any]) -> _End:
        how, detail = frame.get("how"), str(frame.get("detail", ""))
        log = frames.unpack_bytes(frame.get("log", "")).decode(errors="replace")
        match how:
            case Ending.FINISHED if self._transcript.done:
                return _End(reason=ExitReason.COMPLETED, grader_log=log)
            case Ending.FINISHED:
                return _grader_failed(f"the grader gave up: {self._transcript.failure}", log)
            case Ending.OUT_OF_TIME if self._ran_out_of_learners_time(detail):
                return _End(reason=ExitReason.LEARNER_LIMIT, notice=TIME_NOTICE, grader_log=log)
            case Ending.OUT_OF_MEMORY:
                return _End(reason=ExitReason.LEARNER_LIMIT, notice=MEMORY_NOTICE, grader_log=log)
            case Ending.OUT_OF_TIME:
                limit = f"{self._limits.wall_s:g} s"
                return _grader_failed(f"the grader did not finish within {limit}", log)
            case Ending.GRADER_EXITED | Ending.GRADER_BROKE_PROTOCOL:
                return _grader_failed(detail, log)
            case Ending.GRADER_UNUSABLE:
                raise GraderNotUsable(detail)
            case _:
                raise SandboxUnavailable(f"the supervisor failed: {detail or how}")

    def _result(self, end: _End) -> RunResult:
        return RunResult(
            reason=end.reason,
            reports=self._transcript.reports,
            declared_max=self._transcript.declared_max,
            not_run=self._transcript.not_run,
            detail=end.detail,
            notice=end.notice,
            grader_log=end.grader_log,
        )


def await_ready(
    channel: Channel, timeout_s: float, clock: Callable[[], float] = time.monotonic
) -> None:
    """Read the `ready` with which a supervisor begins, and nothing more.

    Raises SupervisorLost when it ends or is silent instead, SandboxUnavailable when it says
    something else.
    """
    until, said = clock() + timeout_s, FrameDecoder(READY_BYTES)
    try:
        while (frame := said.next_frame()) is None:
            remaining_s = until - clock()
            data = channel.receive(remaining_s) if remaining_s > 0 else None
            if not data:
                raise SupervisorLost(ready=False, learner_active=False, silent=data is None)
            said.feed(data)
    except TimeoutError:
        raise SupervisorLost(ready=False, learner_active=False, silent=True) from None
    except FrameError as error:
        raise SandboxUnavailable(f"the supervisor does not speak frames: {error}") from error
    if frame["type"] != "ready":
        raise SandboxUnavailable(f"the supervisor began with {frame['type']!r:.40}")


def start_frame(
    request: RunRequest, files: list[dict[str, Any]], isolation: Mapping[str, Any] | None = None
) -> bytes:
    """The only thing a supervisor is told, once. Raises GraderNotUsable when it is too much."""
    limits = request.limits
    frame = frames.encode(
        {
            "type": "start",
            "job": dict(request.job),
            "files": files,
            "isolation": isolation,
            "limits": {
                "wall_s": limits.wall_s,
                "learner_wall_s": limits.learner_wall_s,
                "learner_cpu_s": limits.learner_cpu_s,
                "memory_bytes": limits.memory_bytes,
                "pids": limits.pids,
                "output_bytes": limits.output_bytes,
                "scratch_bytes": limits.scratch_bytes,
            },
        }
    )
    if len(frame) > frames.MAX_START_BYTES:
        most = frames.MAX_START_BYTES
        raise GraderNotUsable(f"grader and job together are {len(frame)} bytes; the most is {most}")
    return frame


def _grader_failed(detail: str, log: str) -> _End:
    return _End(reason=ExitReason.GRADER_FAILED, detail=detail, grader_log=log)
