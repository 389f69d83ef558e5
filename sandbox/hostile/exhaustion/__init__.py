"""A. Taking all there is: processes, memory, files, descriptors, output, time."""

from __future__ import annotations

from sandbox.hostile.exhaustion import clock, files, memory, processes, streams

CASES = (
    *processes.CASES,
    *memory.CASES,
    *files.CASES,
    *streams.CASES,
    *clock.CASES,
)
