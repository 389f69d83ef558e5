"""A backend whose every run asks for one isolation and runtime, whatever the request said."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sandbox.backend import BackendHealth, BackendWrapper, SandboxBackend
from sandbox.probe.script import try_a_trivial_run
from sandbox.run import Isolation, Preparation, RunRequest, RunResult


class AimedBackend(BackendWrapper):
    """Suites and the canary ask nothing of an isolation; this decides which one they try."""

    def __init__(
        self, backend: SandboxBackend, *, isolation: Isolation | None, runtime: str | None
    ) -> None:
        super().__init__(backend)
        self._isolation = isolation
        self.runtime = runtime

    def run(self, request: RunRequest) -> RunResult:
        return self._backend.run(replace(request, isolation=self._isolation, runtime=self.runtime))

    def prepare(self, preparation: Preparation) -> datetime | None:
        return self._backend.prepare(
            replace(preparation, isolation=self._isolation, runtime=self.runtime)
        )

    def check(self) -> BackendHealth:
        return try_a_trivial_run(self)
