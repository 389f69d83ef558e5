"""Asking sandboxd for a run: what grading uses in place of a backend.

Whatever goes wrong on the way is `SandboxUnavailable`: a daemon that was killed in the middle
of a run must never look like a grade.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from grader_worker.errors import FrameError
from grader_worker.sandboxd.frames import MAX_ANSWER_BYTES, receive_frame, send_frame
from grader_worker.sandboxd.messages import (
    DaemonState,
    decode_description,
    decode_health,
    decode_prepared,
    decode_result,
    decode_state,
    encode_preparation,
    encode_request,
)
from sandbox.backend import BackendDescription, BackendHealth
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.run import Preparation, RunRequest, RunResult

T = TypeVar("T")

SILENCE_S = 20.0
"""sandboxd sends a sign of life every few seconds; a stopped process sends none."""
RUN_GRACE_S = 60.0
"""On top of the run's own wall limit: creating and removing a container on a busy host."""
CHECK_S = 60.0
PREPARE_S = 300.0
"""To examine an image, warm up and try the canary. A pull that takes longer is said before that."""


class SandboxdClient:
    """Thread-safe: every request has a connection of its own."""

    def __init__(
        self,
        path: Path,
        *,
        silence_s: float = SILENCE_S,
        run_grace_s: float = RUN_GRACE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._silence_s = silence_s
        self._run_grace_s = run_grace_s
        self._clock = clock

    def run(self, request: RunRequest) -> RunResult:
        """Raises SandboxUnavailable, GraderNotUsable."""
        answer = self._ask(
            {"ask": "run", **encode_request(request)},
            bound_s=request.limits.wall_s + self._run_grace_s,
        )
        return _decoded(decode_result, answer)

    def prepare(self, preparation: Preparation) -> datetime | None:
        """Raises SandboxUnavailable, GraderNotUsable."""
        asked = {"ask": "prepare", **encode_preparation(preparation)}
        return _decoded(decode_prepared, self._ask(asked, bound_s=PREPARE_S))

    def check(self) -> BackendHealth:
        """Never raises: an absent sandboxd is a problem like any other."""
        try:
            return _decoded(decode_health, self._ask({"ask": "check"}, bound_s=CHECK_S))
        except (SandboxUnavailable, GraderNotUsable) as error:
            return BackendHealth(healthy=False, problems=(str(error),))

    def describe(self) -> BackendDescription:
        """Raises SandboxUnavailable."""
        answer = self._ask({"ask": "describe"}, bound_s=CHECK_S)
        return _decoded(decode_description, answer)

    def state(self) -> DaemonState:
        """Tries nothing, so it is cheap. Raises SandboxUnavailable."""
        return _decoded(decode_state, self._ask({"ask": "state"}, bound_s=CHECK_S))

    def _ask(self, message: dict[str, Any], *, bound_s: float) -> Mapping[str, Any]:
        with closing(self._connect()) as connection:
            try:
                send_frame(connection, message)
                for answer in self._answers(connection, bound_s):
                    return _unwrap(answer)
            except (OSError, FrameError) as error:
                raise SandboxUnavailable(f"lost sandboxd in mid-request: {error!r}") from error
        raise SandboxUnavailable("sandboxd closed the connection without an answer")

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._silence_s)
        try:
            connection.connect(str(self._path))
        except OSError as error:
            connection.close()
            raise SandboxUnavailable(
                f"no sandboxd answers at {self._path} ({error}); start it with: "
                f"grader-worker sandboxd --backend docker|bubblewrap --socket {self._path}"
            ) from error
        return connection

    def _answers(self, connection: socket.socket, bound_s: float) -> Iterator[Mapping[str, Any]]:
        """The final answers (there is one). Waiting for a free slot is not bounded, the lease
        is renewed meanwhile; once the run has started it must end."""
        deadline: float | None = None
        while (frame := receive_frame(connection, max_bytes=MAX_ANSWER_BYTES)) is not None:
            if "alive" not in frame:
                yield frame
            elif frame["alive"] == "running" and deadline is None:
                deadline = self._clock() + bound_s
            elif deadline is not None and self._clock() > deadline:
                raise SandboxUnavailable(f"sandboxd was not done within {bound_s:g} s")


def _decoded(decode: Callable[[Mapping[str, Any]], T], answer: Mapping[str, Any]) -> T:
    try:
        return decode(answer)
    except FrameError as error:
        raise SandboxUnavailable(f"sandboxd answered something else: {error}") from error


def _unwrap(frame: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer's `ok`, or its error as the exception it was."""
    if isinstance(frame.get("ok"), dict):
        return frame["ok"]  # type: ignore[no-any-return]
    detail = str(frame.get("detail", ""))
    if frame.get("error") == "grader-not-usable":
        raise GraderNotUsable(detail)
    raise SandboxUnavailable(detail or "sandboxd answered nothing known")
