"""The seam between whoever wants a run and whatever isolates it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sandbox.run import Preparation, RunRequest, RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendHealth:
    """Answer of `check()`; `problems` are sentences for an operator, empty when healthy."""

    healthy: bool
    problems: tuple[str, ...] = ()
    canary: str = ""
    """A sentence on the last canary, where one is kept (`grader_worker.sandboxd.canary`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendDescription:
    """What a backend is and what it does not enforce on this host."""

    name: str
    version: str
    unenforced: tuple[str, ...] = ()
    """Sentences, one per limit or protection that is missing here."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """Of a warm pool: `hits`, `misses`, `lost` and `waiting`."""
    hands_out_root: bool = False
    """Whoever may use its engine can become root on a host that this process is not on, as far as
    it can see: from a container, the one around it."""


class SandboxBackend(ABC):
    """Runs one request in fresh isolation and leaves nothing behind.

    Thread-safe: several `run` calls may be in progress at once.
    """

    @abstractmethod
    def run(self, request: RunRequest) -> RunResult:
        """Run the grader on the learner's code and wait for the outcome.

        Raises:
            SandboxUnavailable: the platform failed; nothing may be concluded about the learner.
            GraderNotUsable: the grader cannot be started at all.
        """

    def prepare(self, preparation: Preparation) -> datetime | None:
        """Do what the first submission would otherwise wait for: check the grader and its image,
        fill a warm pool. Repeating it is cheap and only checks again: a pool that submissions
        leave unused empties all the same, and the next submission fills it.

        Returns when the base of the image it will run in was made, where there is one that says.
        Raises:
            SandboxUnavailable: not now, because of the platform.
            GraderNotUsable: the grader or its image cannot be used at all.
        """
        return None

    @abstractmethod
    def check(self) -> BackendHealth:
        """Run a trivial program for real and report; never raises."""

    @abstractmethod
    def describe(self) -> BackendDescription:
        """Name, version and the limits this host cannot enforce; never raises."""

    @abstractmethod
    def reap(self) -> int:
        """Remove leftovers of runs whose owner died; returns how many were removed.

        Raises:
            SandboxUnavailable: the platform cannot be asked.
        """

    def settle(self) -> None:  # noqa: B027 - most backends clean up before they answer
        """Wait until nothing is left of the runs that have ended."""

    def close(self) -> None:  # noqa: B027 - not every backend holds connections
        """Release connections. Runs in progress end by their own limits."""


class BackendWrapper(SandboxBackend):
    """Does everything as the backend inside; subclasses say what they do otherwise."""

    def __init__(self, backend: SandboxBackend) -> None:
        self._backend = backend

    def run(self, request: RunRequest) -> RunResult:
        return self._backend.run(request)

    def prepare(self, preparation: Preparation) -> datetime | None:
        return self._backend.prepare(preparation)

    def check(self) -> BackendHealth:
        return self._backend.check()

    def describe(self) -> BackendDescription:
        return self._backend.describe()

    def reap(self) -> int:
        return self._backend.reap()

    def settle(self) -> None:
        self._backend.settle()

    def close(self) -> None:
        self._backend.close()
