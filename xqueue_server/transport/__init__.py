"""Sending a callback once. What the outcome means, and whether to try again, is the stage's.

`http` sends for real; connections, TLS, credentials and the guard on addresses are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from xqueue_server.models.callback import DueCallback


class Meaning(StrEnum):
    """What an answer means, to whoever can read it; otherwise its status says so."""

    DONE = "done"
    FINAL = "final"
    """Refused for good."""
    CREDENTIALS = "credentials"
    """Ours are wrong; only an operator can help."""
    NOT_YET = "not_yet"
    """Not sent: it waits for something else that is on its way."""
    WRONG = "wrong"
    """Not an answer that can be understood; a later one may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    status: int | None
    """HTTP status of the answer; None: no complete answer came."""
    error: str | None = None
    """Why no complete answer came."""
    is_permanent: bool = False
    """No other try can end differently: nothing was sent."""
    retry_after: str | None = None
    """The answer's Retry-After header, as it came."""
    response: str | None = None
    """The beginning of the answer's body."""
    meaning: Meaning | None = None
    may_have_arrived: bool = False
    """No answer came, but the request had been sent, or begun to be."""
    learned: Mapping[str, object] = field(default_factory=dict)
    """What of the answer must be kept, stored together with how the try ended."""


class Transport(Protocol):
    """Sends callbacks; used by many threads at once."""

    def send(self, due: DueCallback) -> Outcome:
        """Send once and wait for the answer, 15 s at most. Never raises for what the LMS does."""

    def close(self) -> None:
        """Drop all connections."""
