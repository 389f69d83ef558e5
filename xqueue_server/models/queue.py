"""A queue and its terms."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

NAME = re.compile(r"[\w](?:[\w .:@+-]{0,126}[\w.+-])?")
"""Of a new queue: "*" means every queue in a grant, "/" would break the paths of pages about it."""
LEASE_S = 600
"""Default lease: unmodified clients can not renew, so it must outlast any grading of theirs."""
MAX_ATTEMPTS = 3
GIVE_UP_AFTER_S = 24 * 3600
MAX_PLATFORM_FAILURES = 50
"""With the back-off of `leasing.platform_backoff_s`, the better part of an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    name: str
    lease_s: int = LEASE_S
    max_attempts: int = MAX_ATTEMPTS
    give_up_after_s: int = GIVE_UP_AFTER_S
    """How long a held submission waits for people before the learner is told; 0: for ever."""
    max_platform_failures: int = MAX_PLATFORM_FAILURES
    priority: int = 0
    """Among the queues that one request asks: the highest is served first."""
    learner_cap: int | None = None
    """Submissions of one learner in line and leased at once; None: any number."""
    paused_at: datetime | None = None
    """None: it hands out."""
    paused_by: str | None = None
    paused_reason: str | None = None
