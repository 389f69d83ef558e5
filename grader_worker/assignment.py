"""Who grades what: the queue, its grader and the limits of one run.

Filled from flags or workers.toml, or for each submission from what its server says (`published`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from grader_worker.errors import SettingsError
from grader_worker.server_account import ServerAccount
from sandbox.run import (
    DeclaredTest,
    DirectoryGrader,
    GraderSource,
    ImageGrader,
    Isolation,
    Limits,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One queue is graded by one grader, within limits."""

    queue: str
    grader: GraderSource
    limits: Limits = field(default_factory=Limits)
    isolation: Isolation | None = None
    """None is the backend's own default."""
    runtime: str | None = None
    """Container runtime; None is the engine's default."""
    tests: tuple[DeclaredTest, ...] | None = None
    """From the grader's manifest; None when it announces its tests itself."""
    lms_points: float | None = None
    """Score of everything right; None sends 0 to 1."""
    legacy_reason: str = ""
    """Why somebody accepted grades that learners can forge."""

    def __post_init__(self) -> None:
        if self.isolation is Isolation.NONE and not self.legacy_reason.strip():
            raise SettingsError(
                f'queue {self.queue!r}: isolation "none" lets learners forge their grades;'
                " if that is accepted, say why in legacy_reason"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedQueue:
    """A queue, where it is and what grades it."""

    account: ServerAccount
    name: str
    assignment: Assignment | None
    """None for the graders that course teams publish on the server."""


def grader_source(text: str, *, relative_to: Path | None = None) -> GraderSource:
    """Read `--grader DIR|IMAGE`: what looks like a path or is a directory is one.

    Raises:
        SettingsError: it is a path and no directory is there. Said at start, because at the
            first submission it would be held as a broken grader's.
    """
    path = (relative_to or Path.cwd()) / Path(text).expanduser()
    if text.strip() and path.is_dir():
        return DirectoryGrader(path=path.resolve())
    if text.startswith(("/", ".", "~")) or not text.strip():
        raise SettingsError(f"grader {text!r}: there is no such directory")
    return ImageGrader(image=text)
