"""Which assignment grades a lease: the operator's own, or one that the server named."""

from __future__ import annotations

from typing import Protocol

from grader_worker.assignment import Assignment
from grader_worker.lease import Lease


class Assignments(Protocol):
    """What grades the submissions of one queue."""

    queue: str

    @property
    def asks_server(self) -> bool:
        """Whether leases must name their grader."""
        ...

    def ready(self) -> bool:
        """Whether this host can grade now; a submission taken before would only wait."""
        ...

    def of(self, lease: Lease) -> Assignment:
        """Raises GraderNotUsable for the course team's fault, SandboxUnavailable for this host's,
        XQueueError for the server's."""
        ...


class OwnAssignment:
    """From the command line or workers.toml: the only kind for other XQueue servers."""

    asks_server = False

    def __init__(self, assignment: Assignment) -> None:
        self.queue = assignment.queue
        self._assignment = assignment

    def ready(self) -> bool:
        return True

    def of(self, lease: Lease) -> Assignment:
        del lease
        return self._assignment
