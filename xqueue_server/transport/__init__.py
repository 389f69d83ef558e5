"""Sending a callback once. What the outcome means, and whether to try again, is the stage's.

`http` sends for real; connections, TLS, credentials and the guard on addresses are its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from xqueue_server.callback import DueCallback


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


class Transport(Protocol):
    """Sends callbacks; used by many threads at once."""

    def send(self, due: DueCallback) -> Outcome:
        """Send once and wait for the answer, 15 s at most. Never raises for what the LMS does."""

    def close(self) -> None:
        """Drop all connections."""
