"""Signing what is posted to webhooks, after the Standard Webhooks specification
(standardwebhooks.com): symmetric, version 1."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
BYTES = range(24, 65)
"""How long a secret may be."""


def read_secrets(text: str) -> list[bytes]:
    """One, or several with spaces between: while a receiver changes from one to the next, what is
    signed with both passes with either. Raises: ValueError, with a text for people."""
    return [read_secret(each) for each in text.split() or [""]]


def read_secret(text: str) -> bytes:
    """The key in a secret as receivers keep it. Raises: ValueError, with a text for people."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        key = b""
    if not text.startswith(PREFIX) or len(key) not in BYTES:
        raise ValueError(
            f"a webhook's secret is {PREFIX} and the base64 of {BYTES[0]} to {BYTES[-1]} bytes"
        )
    return key


def signed_headers(
    secrets: Sequence[bytes], message_id: str, sent_at_s: int, body: bytes
) -> dict[str, str]:
    """`message_id` is the same over all tries; `sent_at_s` is of this one."""
    signed = f"{message_id}.{sent_at_s}.".encode() + body
    signatures = [hmac.digest(secret, signed, hashlib.sha256) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(sent_at_s),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(s).decode()}" for s in signatures),
    }
