"""One secret from the settings, a different key for every purpose.

A signature made for one purpose can therefore never pass for another.
"""

from __future__ import annotations

import hashlib
import hmac


def key_for(purpose: str, secret_key: bytes) -> bytes:
    """32 bytes that depend on both and reveal neither."""
    return hmac.digest(secret_key, f"xqueue {purpose}".encode(), hashlib.sha256)
