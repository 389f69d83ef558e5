"""Secrets of others that we must be able to use: encrypted in the database with a key of ours.

A backup of the database alone therefore reveals none of them. Fernet (AES-128-CBC with HMAC-SHA256)
of the library `cryptography`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken

from xqueue_server.errors import SettingsError
from xqueue_server.secret_key import key_for


class Sealer:
    def __init__(self, secret_key: bytes) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(key_for("sealing", secret_key)))

    def seal(self, secrets: Mapping[str, str]) -> bytes:
        return self._fernet.encrypt(json.dumps(dict(secrets)).encode())

    def open(self, sealed: bytes) -> dict[str, str]:
        """Raises: SettingsError: sealed with another XQUEUE_SECRET_KEY than ours."""
        try:
            opened: dict[str, str] = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise SettingsError(
                "A stored secret can not be opened: XQUEUE_SECRET_KEY is not the one that it was "
                "stored with. Restore that key, or enter the secret anew."
            ) from None
        return opened
