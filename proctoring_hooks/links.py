"""Signed links to a learner's page of an attempt: who has one needs no account, until it expires.

A token is `{attempt id}.{expiry, in seconds since 1970}.{signature}`, of characters that need no
quoting in an address.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import re
from datetime import datetime

PATH = "/proctoring/attempt"
LIFETIME_S = 90 * 24 * 3600
"""Longer than a review takes: an LMS that keeps the attempt shows no link once it has begun."""
_WHOLE_S = 24 * 3600
_TOKEN = re.compile(r"([1-9][0-9]{0,17})\.([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{43})")


class BadLink(Exception):
    """Not one of ours, or changed. For the caller: HTTP 404."""


class ExpiredLink(BadLink):
    """It was one of ours. For the caller: HTTP 410, and where to get a new one."""


def attempt_link(key: bytes, base_url: str, attempt_id: int, *, now: datetime) -> str:
    """The same all day long, so that a page that asks again does not get another; holds for
    `LIFETIME_S` at least."""
    day = math.ceil(now.timestamp() / _WHOLE_S) * _WHOLE_S
    signed = f"{attempt_id}.{day + LIFETIME_S}"
    return f"{base_url}{PATH}/{signed}.{_signature(key, signed)}"


def attempt_of_link(key: bytes, token: str, *, now: datetime) -> int:
    """The attempt's id; `token` is the last part of the link's path.

    Raises:
        BadLink
        ExpiredLink
    """
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise BadLink("This is no link of ours")
    attempt_id, expires_at, signature = found.groups()
    if not hmac.compare_digest(signature, _signature(key, f"{attempt_id}.{expires_at}")):
        raise BadLink("This is no link of ours")
    if now.timestamp() >= int(expires_at):
        raise ExpiredLink("This link has expired")
    return int(attempt_id)


def _signature(key: bytes, signed: str) -> str:
    digest = hmac.digest(key, signed.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
