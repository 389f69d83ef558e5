"""What every worker of this host is doing, in memory that its forks share.

A worker writes its own slot, the supervisor reads it, also when the worker is dead.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from grader_worker.pool import MOST_WORKERS

_STATE = struct.Struct("=B")
_FACTS = struct.Struct("=dqB")
_FACTS_AT = 8
_SLOT_BYTES = 32
_NO_SUBMISSION = -1


class WorkState(StrEnum):
    STARTING = "starting"
    IDLE = "idle"
    GRADING = "grading"


_CODES = {state: code for code, state in enumerate(WorkState)}
_STATES = dict(enumerate(WorkState))


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    state: WorkState
    submission_id: int | None
    """Of what is graded; None also where a server's ids are no numbers."""
    queue_at: int
    """Which of its pool's queues the submission is of."""
    since: float
    """On the monotonic clock, which all processes of a host share."""


class Slot:
    """Written by one worker at a time; the fork that grades for an RQ worker writes its parent's.

    The state is one byte and written last: who reads in between sees facts that are newer than the
    state, which only a display could notice.
    """

    def __init__(self, shared: mmap.mmap, offset: int = 0) -> None:
        self._shared = shared
        self._offset = offset
        self.begin()

    @classmethod
    def unshared(cls) -> Slot:
        """For a worker that no supervisor watches."""
        return cls(mmap.mmap(-1, _SLOT_BYTES))

    def begin(self) -> None:
        self._write(WorkState.STARTING)

    def idle(self) -> None:
        if self.read().state is not WorkState.IDLE:
            self._write(WorkState.IDLE)

    @contextmanager
    def grading(self, submission_id: str, queue_at: int = 0) -> Iterator[None]:
        number = int(submission_id) if submission_id.isdecimal() else _NO_SUBMISSION
        self._write(WorkState.GRADING, min(number, 2**63 - 1), queue_at)
        try:
            yield
        finally:
            self._write(WorkState.IDLE)

    def read(self) -> Doing:
        (code,) = _STATE.unpack_from(self._shared, self._offset)
        since, number, queue_at = _FACTS.unpack_from(self._shared, self._offset + _FACTS_AT)
        return Doing(
            state=_STATES[code],
            submission_id=None if number == _NO_SUBMISSION else number,
            queue_at=queue_at,
            since=since,
        )

    def _write(self, state: WorkState, number: int = _NO_SUBMISSION, queue_at: int = 0) -> None:
        facts = (time.monotonic(), number, queue_at)
        _FACTS.pack_into(self._shared, self._offset + _FACTS_AT, *facts)
        _STATE.pack_into(self._shared, self._offset, _CODES[state])


class Scoreboard:
    """Made before any fork, with room for every worker there may ever be at once."""

    def __init__(self, slots: int = MOST_WORKERS) -> None:
        self._shared = mmap.mmap(-1, slots * _SLOT_BYTES)
        self._free = [number * _SLOT_BYTES for number in reversed(range(slots))]
        self._offsets: dict[int, int] = {}

    def take(self) -> Slot | None:
        """A slot of its own, or None when all are taken."""
        if not self._free:
            return None
        offset = self._free.pop()
        slot = Slot(self._shared, offset)
        self._offsets[id(slot)] = offset
        return slot

    def give_back(self, slot: Slot) -> None:
        self._free.append(self._offsets.pop(id(slot)))
