"""Telling workers that a queue has work. A hint only: the database is the truth."""

from __future__ import annotations

from typing import Protocol


class DispatchUnavailable(Exception):
    """What carries the nudges can not be reached."""


class Dispatcher(Protocol):
    def nudge(self, queue: str) -> None:
        """Tell a worker to look at this queue. May do nothing; never raises."""

    def top_up(self, queue: str, most: int) -> int:
        """Nudge until `most` nudges of this queue wait or are being followed; returns how many
        it took. Raises: DispatchUnavailable."""

    def answers(self) -> bool:
        """Whether nudges can be sent at present; never raises."""


class NoDispatcher:
    """Workers poll."""

    def nudge(self, queue: str) -> None:
        """Nothing to tell."""

    def top_up(self, queue: str, most: int) -> int:
        return 0

    def answers(self) -> bool:
        return True
