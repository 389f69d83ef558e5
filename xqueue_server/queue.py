"""A queue and its terms."""

from __future__ import annotations

from dataclasses import dataclass

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
