"""Signed, expiring addresses of uploaded files.

Whoever holds the address may read the file until it expires; that is what graders written for the
reference expect (they fetch without logging in). Nothing else gives access.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from xqueue_server.errors import NotFound
from xqueue_server.secret_key import key_for

PATH = "/xqueue/files"


class FileAddresses:
    def __init__(
        self, secret_key: bytes, public_url: str, *, ttl_s: int, now_s: Callable[[], float]
    ) -> None:
        self._key = key_for("file addresses", secret_key)
        self._base = f"{public_url}{PATH}"
        self._ttl_s = ttl_s
        self._now_s = now_s

    def sign(self, blob: str) -> str:
        """An absolute URL that works for the configured time."""
        expires = int(self._now_s()) + self._ttl_s
        return f"{self._base}/{blob}/{expires}/{self._signature(blob, expires)}"

    def check(self, blob: str, expires: int, signature: str) -> None:
        """Raises: NotFound if the address was not signed by us or has expired."""
        good = hmac.compare_digest(self._signature(blob, expires).encode(), signature.encode())
        if not good or expires < self._now_s():
            raise NotFound("This address is not valid, or has expired")

    def _signature(self, blob: str, expires: int) -> str:
        message = f"{blob}:{expires}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
