"""What goes into a sandbox and what comes out: the types every backend and every caller share.

Knows nothing about queues, HTTP or Docker. A run that the platform could not carry out is
never a `RunResult`: it raises `sandbox.errors.SandboxUnavailable`, so that a dead sandbox can
not be mistaken for a grade.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

RUN_ID = re.compile(r"[a-z0-9-]{1,40}")
KIB = 1024
MIB = 1024 * KIB
MAX_JOB_BYTES = 32 * MIB
"""Of a job as JSON; beside the largest grader directory it fits the first frame to a sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds of one run. A backend that cannot enforce one says so in its `describe()`."""

    wall_s: float = 30.0
    """Whole run, from the job reaching the grader to its last frame."""
    learner_wall_s: float = 6.0
    """One execution of the learner's code, unless the grader asks for less."""
    learner_cpu_s: float = 4.0
    memory_bytes: int = 256 * MIB
    pids: int = 64
    cpus: float = 1.0
    output_bytes: int = 64 * KIB
    """Each of the learner's stdout and stderr, per execution."""
    result_bytes: int = 1 * MIB
    """Texts of all reports of one run together; what goes beyond is dropped, its score is not."""
    scratch_bytes: int = 16 * MIB
    """Writable space of the learner (tmpfs) and largest single file."""


class Isolation(StrEnum):
    """How grader and learner are kept apart. A backend refuses what it does not offer: it never
    falls back to a weaker one."""

    SPLIT_UID = "split-uid"
    """One single-use container, three uids (docker, runc)."""
    SPLIT_CONTAINER = "split-container"
    """Two single-use containers, no root in either (docker; the only one with runsc)."""
    BOX = "box"
    """Two fresh bubblewrap boxes: on the host (bubblewrap) or in a long-lived slot (docker)."""
    NONE = "none"
    """Grader and learner in one process of an old image: *forgeable*."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryGrader:
    """A grader that is a directory on this host (see `graders/`)."""

    path: Path
    base: str = "python"
    """Language of the base image in which it runs; `bubblewrap` uses the host's programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTest:
    """A test that the grader's manifest promises; its text is the author's."""

    test_id: str
    title: str
    max_score: float
    visible: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGrader:
    """A grader shipped as a container image, `name@sha256:...` or, on a trusted host, a tag."""

    image: str


GraderSource = DirectoryGrader | ImageGrader


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What is known before any submission: a backend may fetch, check and pre-start for it."""

    grader: GraderSource
    limits: Limits = field(default_factory=Limits)
    isolation: Isolation | None = None
    runtime: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """One submission to grade once."""

    run_id: str
    """Names the run in logs and on every process or container it leaves; `[a-z0-9-]{1,40}`."""
    grader: GraderSource
    job: Mapping[str, Any]
    """JSON object handed to the grader: `response` (the learner's text), `payload` (the author's
    grader_payload, verbatim string), `files` (name -> text or base64), `seed` (int). As JSON at
    most `MAX_JOB_BYTES`."""
    limits: Limits = field(default_factory=Limits)
    isolation: Isolation | None = None
    """None asks for the backend's own default."""
    runtime: str | None = None
    """Container runtime, `runc` or `runsc`; None is the engine's default."""
    tests: tuple[DeclaredTest, ...] | None = None
    """From the manifest: a report of another id is the grader's failure. None when the grader
    announces its tests itself."""

    def __post_init__(self) -> None:
        # It becomes part of file and container names.
        if not RUN_ID.fullmatch(self.run_id):
            raise ValueError(f"run_id {self.run_id!r} is not 1 to 40 of a-z 0-9 -")


class ExitReason(StrEnum):
    """Why a run ended. Only `COMPLETED` and `LEARNER_LIMIT` may become a grade."""

    COMPLETED = "completed"
    """The grader said `done`."""
    LEARNER_LIMIT = "learner-limit"
    """The whole run ran out of time or memory while the learner's code was running: the reports
    that were finished count, the rest did not pass."""
    GRADER_FAILED = "grader-failed"
    """The grader said `fail`, crashed, hung by itself, or reported nonsense: no grade."""


class TestStatus(StrEnum):
    """What became of one test, as learners and staff read it."""

    PASSED = "passed"
    PARTIAL = "partial"
    FAILED = "failed"
    """The program answered something else."""
    ERROR = "error"
    """The learner's program crashed or could not be compiled."""
    TIME = "time"
    MEMORY = "memory"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A plot or drawing; the bytes are untrusted until their magic has been checked."""

    label: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestReport:
    """One finished test, as the grader reported it. Text is untrusted: escape before display."""

    test_id: str
    title: str
    score: float
    max_score: float
    visible: bool = True
    status: TestStatus | None = None
    """None where the grader said nothing: the points tell."""
    output: str = ""
    expected: str | None = None
    actual: str | None = None
    html: str | None = None
    """The author's own markup, sanitized before display."""
    pictures: tuple[Picture, ...] = ()
    duration_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    reason: ExitReason
    reports: tuple[TestReport, ...]
    declared_max: float | None
    """Points of all tests the grader announced, so that an early stop still has a denominator."""
    not_run: tuple[DeclaredTest, ...] = ()
    """Declared tests that an early stop left without a report, in the declared order."""
    detail: str = ""
    """For the course team: what the grader said or how it died. Never shown to learners."""
    notice: str = ""
    """For the learner: why the run stopped early, when it did."""
    grader_log: str = ""
    """The last bytes of the grader's own stderr, for the course team."""
    phases_ms: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds by phase: `prepare`, `run`, `cleanup`."""
    forgeable: bool = False
    """The learner's code ran beside the grader (`Isolation.NONE`) and may have written this."""
