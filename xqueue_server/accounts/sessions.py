"""Session tokens: signed, stateless, and void at once when the account changes.

A token names the account and the version of its credentials, so no table of sessions grows with
every login of an LMS. Logging out only drops the cookie; to end sessions for real, set the
password or disable the account.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from xqueue_server.models.account import Account
from xqueue_server.secret_key import key_for
from xqueue_server.storage import Transaction, accounts

SESSION_S = 14 * 24 * 3600
"""Django's default (SESSION_COOKIE_AGE), which the reference server keeps."""
_SKEW_S = 300
"""How far ahead another host's clock may be."""

_CLAIM = struct.Struct(">QIQ")
_SIGNATURE_BYTES = 16
_TOKEN_CHARS = (_CLAIM.size + _SIGNATURE_BYTES) * 4 // 3
"""36 bytes: base64 without padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClaim:
    """What a genuine, unexpired token says. The account may have changed since."""

    account_id: int
    credential_version: int
    issued_at: datetime


class Sessions:
    """Issues and reads session tokens. Safe to share between threads."""

    def __init__(self, secret_key: bytes, *, now_s: Callable[[], float] = time.time) -> None:
        """`now_s`: seconds since 1970, comparable between the hosts that share the secret."""
        self._key = key_for("session v1", secret_key)
        self._now_s = now_s

    def issue(self, account: Account) -> str:
        """A token of 48 URL-safe characters, good for `SESSION_S`."""
        claim = _CLAIM.pack(account.id, account.credential_version, int(self._now_s()))
        return base64.urlsafe_b64encode(claim + self._signature(claim)).decode()

    def read(self, token: str) -> SessionClaim | None:
        """The claim of a genuine and unexpired token; None for anything else."""
        raw = _decoded(token)
        if raw is None:
            return None
        claim, signature = raw[: _CLAIM.size], raw[_CLAIM.size :]
        if not hmac.compare_digest(signature, self._signature(claim)):
            return None
        account_id, version, issued_at = _CLAIM.unpack(claim)
        if not -_SKEW_S <= self._now_s() - issued_at < SESSION_S:
            return None
        return SessionClaim(
            account_id=account_id,
            credential_version=version,
            issued_at=datetime.fromtimestamp(issued_at, UTC),
        )

    def account_of(self, tx: Transaction, token: str) -> Account | None:
        """The account as it is now, if the token still counts for it."""
        claim = self.read(token)
        account = claim and accounts.by_id(tx, claim.account_id)
        if not claim or not account or not account.active:
            return None
        return account if account.credential_version == claim.credential_version else None

    def _signature(self, claim: bytes) -> bytes:
        return hmac.digest(self._key, claim, hashlib.sha256)[:_SIGNATURE_BYTES]


def _decoded(token: str) -> bytes | None:
    if len(token) != _TOKEN_CHARS:
        return None
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None
