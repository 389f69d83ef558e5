"""Frames of one learner execution, seen from the host: what is asked, what may be answered.

The answer comes from a container that the learner's code may have taken over. All it could gain by
lying is another output or exit code of its own program, so only size and shape are checked.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.run import Limits
from sandbox.supervisor import frames
from sandbox.supervisor.endings import EXITED, MEMORY, OUTPUT, TIME
from sandbox.supervisor.frames import FrameError, pack_bytes, unpack_bytes

Frame = dict[str, Any]
REASONS = (EXITED, TIME, MEMORY, OUTPUT)
SIGKILL_CODE = 128 + 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Of one execution. Times on the monotonic clock."""

    started_at: float
    until: float
    output_bytes: int
    collected_bytes: int
    collect: frozenset[str]
    """Names of files that the grader asked for."""

    def remaining_s(self) -> float:
        return self.until - time.monotonic()

    def wall_ms(self) -> float:
        return round((time.monotonic() - self.started_at) * 1000, 1)


def bounds_of(frame: Frame, limits: Limits, run_until: float) -> Bounds:
    """The grader may ask for less than the limits. What it asks for is checked in the container;
    here it only matters how long to wait."""
    now, asked = time.monotonic(), frame.get("wall_s")
    wall_s = limits.learner_wall_s
    if isinstance(asked, int | float) and 0 < asked < wall_s:
        wall_s = float(asked)
    collect = frame.get("collect")
    names = collect if isinstance(collect, list) else []
    return Bounds(
        started_at=now,
        until=min(now + wall_s, run_until),
        output_bytes=limits.output_bytes,
        collected_bytes=limits.scratch_bytes,
        collect=frozenset(name for name in names if isinstance(name, str)),
    )


def learner_start_frame(limits: Limits) -> bytes:
    """What a learner's container is told once: there is no grader and no job in it."""
    names = (
        "wall_s",
        "learner_wall_s",
        "learner_cpu_s",
        "memory_bytes",
        "pids",
        "output_bytes",
        "scratch_bytes",
    )
    every = asdict(limits)
    return frames.encode({"type": "start", "limits": {name: every[name] for name in names}})


def checked_answer(answer: Frame, bounds: Bounds) -> Frame:
    """The answer with what belongs there and nothing else. Raises FrameError."""
    reason, code, wall_ms = answer.get("reason"), answer.get("code"), answer.get("wall_ms")
    if answer["type"] != "ran" or reason not in REASONS:
        raise FrameError("not the answer to a run")
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255:
        raise FrameError("not an exit code")
    checked = _ran(reason, code, bounds.wall_ms())
    if isinstance(wall_ms, int | float) and math.isfinite(wall_ms) and wall_ms >= 0:
        checked["wall_ms"] = min(float(wall_ms), checked["wall_ms"])
    for stream in ("stdout", "stderr"):
        content = unpack_bytes(answer.get(stream, ""))
        if len(content) > bounds.output_bytes:
            raise FrameError("more output than there may be")
        checked[stream] = pack_bytes(content)
    if "files" in answer:
        checked["files"] = _checked_files(answer["files"], bounds)
        checked |= _checked_left_out(answer.get("left_out"), bounds)
    return checked


def timed_out(bounds: Bounds) -> Frame:
    """The answer that never came."""
    return _ran(TIME, SIGKILL_CODE, bounds.wall_ms())


def died(bounds: Bounds, *, out_of_memory: bool) -> Frame:
    """The answer of a container that went down with the program."""
    return _ran(MEMORY if out_of_memory else EXITED, SIGKILL_CODE, bounds.wall_ms())


def _checked_files(files: object, bounds: Bounds) -> dict[str, str]:
    if not isinstance(files, dict) or not bounds.collect.issuperset(files):
        raise FrameError("not the files of a run")
    contents = {name: unpack_bytes(content) for name, content in files.items()}
    if sum(map(len, contents.values())) > bounds.collected_bytes:
        raise FrameError("more files than fit into the box")
    return {name: pack_bytes(content) for name, content in contents.items()}


def _checked_left_out(names: object, bounds: Bounds) -> Frame:
    """Collected files that had no room in the answer."""
    if not isinstance(names, list):
        return {}
    known = bounds.collect.intersection(name for name in names if isinstance(name, str))
    return {"left_out": sorted(known)} if known else {}


def _ran(reason: str, code: int, wall_ms: float) -> Frame:
    return {
        "type": "ran",
        "reason": reason,
        "code": code,
        "stdout": "",
        "stderr": "",
        "wall_ms": wall_ms,
    }
