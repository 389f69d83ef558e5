"""A callback: one message that the LMS must receive, and its states."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum

from xqueue_server.keys import digest


class CallbackState(StrEnum):
    PENDING = "pending"
    """To be sent at `next_at`; its sender has set `claim_token`, and `next_at` a minute on."""
    WITHHELD = "withheld"
    """A grade that waits for its exam's attempt; not to be sent before it is released."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """Not delivered and no longer tried; a person may replay it."""
    CANCELLED = "cancelled"
    """Replaced by an amended result, or its submission was superseded."""


class CallbackKind(StrEnum):
    RESULT = "result"
    GIVE_UP = "give_up"
    LMS = "lms"
    """This and the following are about an exam attempt: an authenticated request to an LMS."""
    PROVIDER = "provider"
    EVENT = "event"
    """On the Open edX event bus."""
    WEBHOOK = "webhook"

    @property
    def is_of_submission(self) -> bool:
        return self in (CallbackKind.RESULT, CallbackKind.GIVE_UP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressing:
    """What the header of a message about an exam attempt says."""

    recipient: str
    """Name of the LMS, provider or subscriber."""
    purpose: str
    """"ready", "reviewed", "register", an event's type, …"""
    method: str = "POST"

    def written(self) -> str:
        return json.dumps(asdict(self))


def read_addressing(kind: CallbackKind, header: str) -> Addressing | None:
    """None: it is of a submission, whose header is the LMS's."""
    return None if kind.is_of_submission else Addressing(**json.loads(header))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCallback:
    """A message for the outbox, written in the transaction that makes it true."""

    submission_id: int | None
    """None: it is about an exam attempt."""
    attempt_id: int | None = None
    result_id: int | None
    kind: CallbackKind
    state: CallbackState = CallbackState.PENDING
    """PENDING, or WITHHELD."""
    url: str
    origin: str
    order_key: bytes
    """Digest of (url, lms_key): callbacks that share it are delivered in the order of their ids."""
    header: str = field(repr=False)
    """The LMS's xqueue_header; of others an `Addressing`, written."""
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCallback:
    """A callback that this process has claimed and must now send."""

    id: int
    kind: CallbackKind = CallbackKind.RESULT
    submission_id: int | None
    attempt_id: int | None = None
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

    @property
    def addressing(self) -> Addressing:
        """Of a message about an exam attempt."""
        found = read_addressing(self.kind, self.header)
        assert found is not None, "it is not of a submission"
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """The row as people see it, without the message."""

    id: int
    submission_id: int | None
    attempt_id: int | None
    kind: CallbackKind
    recipient: str | None = None
    """Of messages about an exam attempt, as is `purpose`."""
    purpose: str | None = None
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
