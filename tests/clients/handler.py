"""What every watcher double shares: a grader is a function from the handed-out parts to a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

Content = Mapping[str, str]
"""xqueue_header, xqueue_body and xqueue_files as the queue handed them out: three strings."""

Handler = Callable[[Content], Mapping[str, Any] | None]
"""Returns the reply for the LMS, or None to say nothing at all (as a crashed grader does)."""


class Turn(StrEnum):
    """How one round of a poller ended."""

    IDLE = "idle"
    """Nothing to do, or any failure: the pollers do not tell these apart."""
    ANSWERED = "answered"
    SILENT = "silent"
    """The handler had no reply, so nothing was sent."""
    REFUSED = "refused"
    """The queue did not take the reply."""
    TIMED_OUT = "timed_out"


def full_marks(_: Content) -> dict[str, Any]:
    return {"correct": True, "score": 1, "msg": "<p>Well done.</p>"}
