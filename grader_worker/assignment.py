"""Who grades what: the queue, its grader and the limits of one run.

Filled from flags or workers.toml; later from the server, which is why the server it comes from
is not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from grader_worker.errors import SettingsError
from grader_worker.server_account import ServerAccount
from sandbox.run import DirectoryGrader, GraderSource, ImageGrader, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One queue is graded by one grader, within limits."""

    queue: str
    grader: GraderSource
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedQueue:
    """An assignment, where its submissions come from, and how many are graded at once."""

    account: ServerAccount
    assignment: Assignment
    concurrency: int = 1


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
