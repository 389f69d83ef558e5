"""Telling workers that a queue has work. A hint only: the database is the truth."""

from __future__ import annotations

from typing import Protocol


class Dispatcher(Protocol):
    def nudge(self, queue: str) -> None:
        """Tell a worker to look at this queue. May do nothing; never raises."""


class NoDispatcher:
    """Workers poll."""

    def nudge(self, queue: str) -> None:
        """Nothing to tell."""
