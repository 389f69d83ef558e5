"""The ways of running a program that are compared, each as one grading to be timed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from graders.shipping import library_files
from sandbox.backend import SandboxBackend
from sandbox.backends.bubblewrap import BubblewrapBackend
from sandbox.backends.docker import DockerBackend, DockerSettings, PoolSettings
from sandbox.run import DirectoryGrader, ExitReason, Isolation, Limits, Preparation, RunRequest

GRADERS = Path(__file__).parent / "graders"
IMAGE = "xqueue/grader-base:local"
BARE = ["python3", "-I", "-c", "pass"]
SYSTEM_PYTHON = "/usr/bin/python3"
"""The one of the images too; a version manager's `python3` may be a slow script."""
LIMITS = Limits(wall_s=20)


class WrongGrade(Exception):
    """A measurement of wrong answers would be worth nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grading:
    """One grader on one backend, called as often as wanted."""

    backend: SandboxBackend
    grader: str
    isolation: Isolation | None = None

    def __call__(self) -> None:
        request = RunRequest(
            run_id=f"bench-{uuid4().hex[:12]}",
            grader=self.source,
            job={"response": "", "payload": "", "files": {}, "seed": 1},
            limits=LIMITS,
            isolation=self.isolation,
        )
        result = self.backend.run(request)
        all_passed = all(report.score == 1 for report in result.reports)
        if result.reason is not ExitReason.COMPLETED or not all_passed or not result.reports:
            raise WrongGrade(f"{result.reason}: {result.detail} {result.grader_log}")

    @property
    def source(self) -> DirectoryGrader:
        return DirectoryGrader(path=GRADERS / self.grader)

    def prepare(self) -> None:
        self.backend.prepare(
            Preparation(grader=self.source, limits=LIMITS, isolation=self.isolation)
        )


def bare_subprocess() -> None:
    subprocess.run([SYSTEM_PYTHON, *BARE[1:]], check=True)


def docker_run() -> None:
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python3", IMAGE]
    subprocess.run([*command, *BARE[1:]], check=True)


@contextmanager
def docker(pool_size: int) -> Iterator[DockerBackend]:
    pool = PoolSettings(size=pool_size)
    backend = DockerBackend(DockerSettings(pool=pool), library=library_files())
    try:
        yield backend
    finally:
        backend.close()


@contextmanager
def bubblewrap() -> Iterator[BubblewrapBackend]:
    backend = BubblewrapBackend(library=library_files())
    try:
        yield backend
    finally:
        backend.close()
