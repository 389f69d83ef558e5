"""Notifications of a course team: one for each new kind of fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from xqueue_server.models.fault import Fault


class Channel(StrEnum):
    WEBHOOK = "webhook"
    EMAIL = "email"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a queue's notifications go."""

    channel: Channel
    address: str
    """A URL or an e-mail address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueNotification:
    """One that this process has claimed and must now send."""

    id: int
    target: Target
    fault: Fault
    attempt: int
    """1 for the first try."""
    created_at: datetime
    claim_token: bytes = field(repr=False)
