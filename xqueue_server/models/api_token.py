"""API tokens: secrets that let a program act for an account, within scopes of its own."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from xqueue_server.models.account import ALL_QUEUES, Account, Grant

TOKEN = re.compile(r"xqt_[A-Za-z0-9_-]{43}")
"""The prefix lets secret scanners find a token that has leaked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    id: int
    account: str
    scopes: tuple[Grant, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    """Not finer than a minute."""
    revoked_at: datetime | None


def new_token() -> str:
    """256 random bits."""
    return f"xqt_{secrets.token_urlsafe(32)}"


def token_hash(token: str) -> bytes:
    """What is stored of a token. It is random, so no slow hash is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def narrowed(account: Account, scopes: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """What both the account and the token allow."""
    both: set[Grant] = set()
    for scope in scopes:
        for grant in account.grants:
            if grant.role is not scope.role:
                continue
            if scope.queue == ALL_QUEUES:
                both.add(grant)
            elif grant.queue in (scope.queue, ALL_QUEUES):
                both.add(scope)
    return tuple(sorted(both, key=lambda g: (g.role, g.queue)))
