"""What must be told to others because of a change: written with it, sent after it.

The server's outbox sends each until it is answered, in order where `order_key` is the same. How an
answer counts is the channel's (see `answers`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Channel(StrEnum):
    LMS = "lms"
    """An HTTP request to an LMS's edx-proctoring API, with a token of its OAuth2 server."""
    PROVIDER = "provider"
    """An HTTP request to a proctoring provider, in the way of its plug-in."""
    EVENT = "event"
    """An event on the Open edX event bus."""
    WEBHOOK = "webhook"
    """A signed POST to whoever subscribed (Standard Webhooks)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    channel: Channel
    recipient: str
    """Name of the LMS, provider or subscriber; its secrets are looked up when it is sent."""
    purpose: str
    """For people, and for whoever reads the answer: "ready", "reviewed", "register", …"""
    method: str
    url: str
    body: dict[str, Any] | None = field(repr=False)
    """Sent as JSON; None: no body."""
    order_key: str
    """Messages that share it arrive one after the other."""
    attempt_id: int | None = None
