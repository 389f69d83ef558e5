"""From a leased submission to one of three outcomes, which must never be mixed up.

The learner's failure is a grade. A broken grader yields none: people must look at it. A broken
platform yields none either, but another try may. Knows no HTTP besides fetching files through
the collaborator it is given, and reports nothing to anyone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

from grader_worker.assignment import Assignment
from grader_worker.errors import FilesUnavailable, SubmissionUnusable
from grader_worker.lease import Lease
from grader_worker.submission import parse_submission, sandbox_job
from graders.reply import NoGrade, build_reply, result_record
from sandbox.backend import BackendHealth
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.run import ExitReason, Preparation, RunRequest, RunResult

LOG_CHARS = 2000


class Sandbox(Protocol):
    """The part of `sandbox.backend.SandboxBackend` that grading needs; sandboxd's client too."""

    def run(self, request: RunRequest) -> RunResult:
        """Raises SandboxUnavailable, GraderNotUsable."""
        ...

    def check(self) -> BackendHealth:
        """Never raises."""
        ...

    def prepare(self, preparation: Preparation) -> datetime | None:
        """Returns when the base of its image was made, if that is known.

        Raises SandboxUnavailable, GraderNotUsable.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    reply: str = field(repr=False)
    record: Mapping[str, Any] = field(repr=False, default_factory=dict)
    """As `graders.reply.result_record` makes it; quotes learners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderBroken:
    """No grade; `detail` is for the course team and may quote learners, `summary` is for logs
    and does not."""

    summary: str
    detail: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformBroken:
    """No grade; both texts are for the operator."""

    summary: str
    detail: str
    sandbox_down: bool
    """Whether to stop leasing until the sandbox passes its check."""


Outcome = Graded | GraderBroken | PlatformBroken


def grade(
    lease: Lease,
    assignment: Assignment,
    *,
    sandbox: Sandbox,
    fetch_files: Callable[[str], dict[str, Any]],
    whole_points: bool = False,
    new_suffix: Callable[[], str] = lambda: uuid4().hex[:8],
) -> Outcome:
    """Run the assignment's grader on the submission once."""
    try:
        submission = parse_submission(lease.body)
        job = sandbox_job(submission, fetch_files(lease.files_json))
        request = RunRequest(
            run_id=run_id(lease.submission_id, new_suffix()),
            grader=assignment.grader,
            job=job,
            limits=assignment.limits,
            isolation=assignment.isolation,
            runtime=assignment.runtime,
            tests=assignment.tests,
        )
        return outcome_of(
            sandbox.run(request), lms_points=assignment.lms_points, whole_points=whole_points
        )
    except SubmissionUnusable as error:
        return _grader_broken(f"unusable submission: {error}")
    except GraderNotUsable as error:
        return _grader_broken(f"unusable grader: {error}")
    except FilesUnavailable as error:
        return _platform_broken(f"files: {error}", sandbox_down=False)
    except SandboxUnavailable as error:
        return _platform_broken(f"sandbox: {error}", sandbox_down=True)


def outcome_of(
    result: RunResult, *, lms_points: float | None = None, whole_points: bool = False
) -> Outcome:
    """Only what the sandbox calls gradable becomes a grade. `whole_points` is for a server that
    loses a score with a fraction."""
    if result.reason is ExitReason.GRADER_FAILED:
        return GraderBroken(
            summary="the grader failed",
            detail=_with_log(result.detail or "the grader failed", result),
        )
    try:
        return Graded(
            reply=build_reply(result, lms_points=lms_points, whole_points=whole_points),
            record=result_record(result, lms_points=lms_points, whole_points=whole_points),
        )
    except NoGrade as error:
        return GraderBroken(summary=str(error), detail=_with_log(str(error), result))


def run_id(submission_id: str, suffix: str) -> str:
    """A name for logs, processes and containers: `[a-z0-9-]{1,40}`, fresh for every run."""
    known = re.sub(r"[^a-z0-9-]", "-", submission_id.lower())[:24]
    return f"s{known}-{suffix}"


def _grader_broken(text: str) -> GraderBroken:
    return GraderBroken(summary=text, detail=text)


def _platform_broken(text: str, *, sandbox_down: bool) -> PlatformBroken:
    return PlatformBroken(summary=text, detail=text, sandbox_down=sandbox_down)


def _with_log(detail: str, result: RunResult) -> str:
    log = result.grader_log[-LOG_CHARS:].strip()
    return f"{detail}\n{log}" if log else detail
