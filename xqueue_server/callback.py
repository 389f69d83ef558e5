"""A callback: one message that the LMS must receive, and its states."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from xqueue_server.keys import digest


class CallbackState(StrEnum):
    PENDING = "pending"
    """To be sent at `next_at`; its sender has set `claim_token`, and `next_at` a minute on."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """Not delivered and no longer tried; a person may replay it."""
    CANCELLED = "cancelled"
    """Replaced by an amended result, or its submission was superseded."""


class CallbackKind(StrEnum):
    RESULT = "result"
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCallback:
    """A message for the outbox, written in the transaction that makes it true."""

    submission_id: int
    result_id: int | None
    kind: CallbackKind
    url: str
    origin: str
    order_key: bytes
    """Digest of (url, lms_key): callbacks that share it are delivered in the order of their ids."""
    header: str = field(repr=False)
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCallback:
    """A callback that this process has claimed and must now send."""

    id: int
    submission_id: int
    url: str
    origin: str
    header: str = field(repr=False)
    body: str = field(repr=False)
    attempt: int
    """1 for the first try."""
    created_at: datetime
    claim_token: bytes = field(repr=False)
    traceparent: str | None = None
    """W3C trace context of the submission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """The row as people see it, without the message."""

    id: int
    submission_id: int
    kind: CallbackKind
    url: str
    origin: str
    state: CallbackState
    attempt: int
    next_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    last_status: int | None
    last_error: str | None


def order_key(url: str, lms_key: str) -> bytes:
    """What callbacks share that must reach the LMS one after the other."""
    return digest(url, lms_key)
