"""Which submissions somebody may see or repair: those of whole queues, and those of courses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    queues: frozenset[str] | None = frozenset()
    """None: every queue, those added later included."""
    courses: frozenset[str] = frozenset()
    """On any queue."""

    @property
    def is_everything(self) -> bool:
        return self.queues is None

    @property
    def is_nothing(self) -> bool:
        return self.queues is not None and not self.queues and not self.courses

    def has_queue(self, queue: str) -> bool:
        return self.queues is None or queue in self.queues

    def covers(self, queue: str, course: str) -> bool:
        """Whether a submission of this course ("": of none) on this queue is in it."""
        return self.has_queue(queue) or (course != "" and course in self.courses)


EVERYTHING = Scope(queues=None)
"""For commands on the server's own machine."""
