"""Errors of the authors' kit. All of them are sentences for the person who wrote the grader.

KitError
├── ManifestInvalid   grader.yaml or a manifest says something that can not be
├── BundleRefused     a directory can not be packed, or a bundle is not one of ours
├── ImageRefused      a Dockerfile does not build, or makes no image that can be a grader
├── NoSandbox         there is nothing on this machine to run a grader in
├── GradingFailed     the grader or the sandbox did not come to a grade
└── ServerRefused     the server said no, or nothing we understand
    └── ServerBusy    not now
"""

from __future__ import annotations

from dataclasses import dataclass


class KitError(Exception):
    """Root of this package's errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing to put right: where it is, what is wrong, what to do about it."""

    where: str
    """`grader.yaml:12`, or the name of the part of a manifest."""
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f"\n    {self.hint}" if self.hint else ""
        return f"{self.where}: {self.problem}{hint}"


class ManifestInvalid(KitError):
    """All mistakes at once, in the order of the file, so that one round puts them right."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes

    @property
    def where(self) -> str:
        return self.mistakes[0].where

    @property
    def problem(self) -> str:
        return self.mistakes[0].problem

    @property
    def hint(self) -> str:
        return self.mistakes[0].hint


class BundleRefused(KitError):
    """Too large, or with something in it that may not travel."""


class ImageRefused(KitError):
    """Does not build, can not be pushed or fetched, or is open to learners."""


class NoSandbox(KitError):
    """No Docker, no bubblewrap, and no server was named."""


class GradingFailed(KitError):
    """A run that is not a grade, whoever's fault it is."""


class ServerRefused(KitError):
    """What the server answered instead of what was asked for."""


class ServerBusy(ServerRefused):
    """Too many requests, or its database is away: the same may be asked again."""

    def __init__(self, text: str, *, retry_after_s: float | None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s
        """As the server wishes; None where it does not say."""
