"""What the grader asks to be started and what came of it. Plain classes: see the package."""

from __future__ import annotations

import re

from sandbox.supervisor.frames import FrameError, pack_bytes, unpack_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sandbox.supervisor.frames import Frame

FILE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_ARGUMENTS = 256
MAX_FILES = 100

EXITED = "exited"
TIME = "time"
MEMORY = "memory"
OUTPUT = "output"


class PlatformFailed(Exception):
    """The sandbox itself could not do its work: never a grade, never the learner's fault."""


class Bounds:
    """The limits of one learner execution."""

    __slots__ = ("cpu_s", "memory_bytes", "output_bytes", "pids", "scratch_bytes", "wall_s")

    def __init__(self, limits: Mapping[str, Any], asked: Mapping[str, Any] | None = None) -> None:
        asked = asked or {}
        self.wall_s = _at_most(asked.get("wall_s"), limits["learner_wall_s"])
        self.cpu_s = _at_most(asked.get("cpu_s"), limits["learner_cpu_s"])
        self.output_bytes = int(_at_most(asked.get("output_bytes"), limits["output_bytes"]))
        self.memory_bytes = int(limits["memory_bytes"])
        self.pids = int(limits["pids"])
        self.scratch_bytes = int(limits["scratch_bytes"])


class LearnerProgram:
    """One execution the grader asked for, checked."""

    __slots__ = ("argv", "bounds", "files", "stdin")

    def __init__(self, frame: Frame, limits: Mapping[str, Any]) -> None:
        self.argv = _arguments(frame.get("argv"))
        self.stdin = unpack_bytes(frame.get("stdin", ""))
        self.files = _files(frame.get("files", {}))
        self.bounds = Bounds(limits, frame)


class Execution:
    """What came of one execution; `reason` is one of exited, time, memory, output."""

    __slots__ = ("code", "reason", "stderr", "stdout", "wall_ms")

    def __init__(
        self, *, reason: str, code: int, stdout: bytes, stderr: bytes, wall_ms: float
    ) -> None:
        self.reason = reason
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        self.wall_ms = wall_ms

    def as_frame(self) -> Frame:
        return {
            "type": "ran",
            "reason": self.reason,
            "code": self.code,
            "stdout": pack_bytes(self.stdout),
            "stderr": pack_bytes(self.stderr),
            "wall_ms": round(self.wall_ms, 1),
        }


def _arguments(argv: object) -> list[str]:
    if not isinstance(argv, list) or not 1 <= len(argv) <= MAX_ARGUMENTS:
        raise FrameError('"argv" must be a list of 1 to 256 strings')
    if not all(isinstance(argument, str) for argument in argv):
        raise FrameError('"argv" must hold strings')
    return argv


def _files(files: object) -> dict[str, bytes]:
    if not isinstance(files, dict) or len(files) > MAX_FILES:
        raise FrameError('"files" must be an object of at most 100 names')
    for name in files:
        if not FILE_NAME.fullmatch(name) or name in (".", ".."):
            raise FrameError(f"{name!r:.80} is not a plain file name")
    return {name: unpack_bytes(content) for name, content in files.items()}


def _at_most(asked: object, limit: float) -> float:
    """The grader may ask for less than the limit, never for more."""
    if asked is None:
        return limit
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not asked > 0:
        raise FrameError("a limit must be a positive number")
    return min(asked, limit)
