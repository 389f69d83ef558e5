"""Keeps a canary in sandboxd: a sandbox that no longer holds hostile code takes no work.

The canary (`sandbox.canary`) is tried at the start and every hour, for the backend's own isolation
and for every other that a grader of this host was prepared with. When it fails, every run is
refused and every check says why, until a later one passes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from grader_worker.event_log import log_crash, log_event, log_warning
from grader_worker.sandboxd.messages import CanaryWord
from grader_worker.stopping import Stop
from sandbox.backend import BackendHealth, BackendWrapper, SandboxBackend
from sandbox.canary import CanaryResult, run_canary
from sandbox.errors import SandboxUnavailable
from sandbox.run import Isolation, Preparation, RunRequest, RunResult

INTERVAL_S = 3600.0
RETRY_S = 60.0
"""After one that failed: what was wrong may have been put right."""
FIRST_S = 50.0
"""How long a check or a run waits for the first; a client waits longer than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a canary is tried for."""

    isolation: Isolation | None = None
    runtime: str | None = None

    def __str__(self) -> str:
        words = [word for word in (self.isolation, self.runtime) if word]
        return " ".join(words) or "the backend's own isolation"


OWN = Kind()
Sing = Callable[[SandboxBackend, Kind], CanaryResult]


def sing(backend: SandboxBackend, kind: Kind) -> CanaryResult:
    return run_canary(backend, isolation=kind.isolation, runtime=kind.runtime)


class CanaryBackend(BackendWrapper):
    """A backend that refuses work unless its canary lives. Thread-safe."""

    def __init__(
        self,
        backend: SandboxBackend,
        *,
        interval_s: float = INTERVAL_S,
        retry_s: float = RETRY_S,
        first_s: float = FIRST_S,
        sing: Sing = sing,
    ) -> None:
        super().__init__(backend)
        self._interval_s = interval_s
        self._retry_s = retry_s
        self._first_s = first_s
        self._sing = sing
        self._lock = threading.Lock()
        self._results: dict[Kind, CanaryResult] = {}
        self._first = threading.Event()

    def keep(self, stopping: Stop) -> None:
        """Try it now and from time to time in a thread of its own, until told to stop."""
        threading.Thread(target=self._keep, args=(stopping,), name="canary", daemon=True).start()

    def _keep(self, stopping: Stop) -> None:
        while True:
            lives = False
            try:
                lives = self.try_all()
            except Exception:  # noqa: BLE001 - the outermost loop of its thread
                log_crash("canary-crashed")
            if stopping.wait(self._interval_s if lives else self._retry_s):
                return

    def try_all(self) -> bool:
        """Try the canary for every kind there is; whether all live."""
        with self._lock:
            kinds = list(self._results) or [OWN]
        for kind in kinds:
            self._try(kind)
        return not self._failed()

    def _try(self, kind: Kind) -> None:
        result = self._sing(self._backend, kind)
        with self._lock:
            self._results[kind] = result
        if kind == OWN:
            self._first.set()
        if result.lives:
            log_event("canary-lives", kind=str(kind), took_ms=result.took_ms)
        else:
            log_warning("canary-failed", kind=str(kind), problems=list(result.problems))

    def _failed(self) -> tuple[str, ...]:
        """Sentences on the kinds whose last canary failed."""
        with self._lock:
            results = dict(self._results)
        return tuple(
            f"the canary for {kind} {result}"
            for kind, result in results.items()
            if not result.lives
        )

    def word(self) -> CanaryWord | None:
        """None until the first has come back."""
        with self._lock:
            own = self._results.get(OWN)
        if own is None:
            return None
        failed = self._failed()
        return CanaryWord(lives=not failed, detail="; ".join(failed) or str(own))

    def _problems(self) -> tuple[str, ...]:
        if not self._first.wait(self._first_s):
            return ("the first canary has not come back yet",)
        return self._failed()

    def run(self, request: RunRequest) -> RunResult:
        problems = self._problems()
        if problems:
            raise SandboxUnavailable("; ".join(problems))
        return self._backend.run(request)

    def prepare(self, preparation: Preparation) -> datetime | None:
        image_created = self._backend.prepare(preparation)
        kind = Kind(isolation=preparation.isolation, runtime=preparation.runtime)
        with self._lock:
            is_known = kind in self._results
        if not is_known and kind != OWN and preparation.isolation is not Isolation.NONE:
            self._try(kind)
        return image_created

    def check(self) -> BackendHealth:
        health = self._backend.check()
        if health.healthy and self._failed():
            # Whoever asks is waiting for work: not for the next turn of our own thread.
            self.try_all()
        problems = (*health.problems, *self._problems())
        with self._lock:
            last = self._results.get(OWN)
        return replace(
            health,
            healthy=not problems,
            problems=problems,
            canary="" if last is None else str(last),
        )
