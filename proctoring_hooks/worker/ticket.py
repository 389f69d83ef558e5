"""Tickets: what a worker shows with everything that it tells of an attempt.

A browser has no secret of ours. Whoever knows an attempt's external id (the learner's own page, the
LMS and we) gets a ticket for it, for a few minutes: so ids need not be looked up to turn nonsense
away, and what is recorded today is worth nothing tomorrow. It proves no more than that knowledge.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime

LIFETIME_S = 600
MAX_LENGTH = 400
ATTEMPT_ID = re.compile(r"[-A-Za-z0-9_]{1,64}")
_FORM = re.compile(r"[-A-Za-z0-9_]+\.[-A-Za-z0-9_]{43}")


class BadTicket(Exception):
    """Made up, changed, or expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    lms: str
    attempt: str
    """External id."""


def issue(key: bytes, ticket: Ticket, now: datetime) -> str:
    until = int(now.timestamp()) + LIFETIME_S
    body = _encoded(f"{until} {ticket.attempt} {ticket.lms}".encode())
    return f"{body}.{_signature(key, body)}"


def read(key: bytes, text: str, now: datetime) -> Ticket:
    """Raises: BadTicket."""
    if len(text) > MAX_LENGTH or not _FORM.fullmatch(text):
        raise BadTicket("this is no ticket")
    body, _, signature = text.partition(".")
    if not hmac.compare_digest(signature, _signature(key, body)):
        raise BadTicket("this ticket was not made here")
    until, attempt, lms = _decoded(body).decode().split(" ", 2)
    if now >= datetime.fromtimestamp(int(until), UTC):
        raise BadTicket("this ticket has expired")
    return Ticket(lms=lms, attempt=attempt)


def _signature(key: bytes, body: str) -> str:
    return _encoded(hmac.digest(key, body.encode(), hashlib.sha256))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
