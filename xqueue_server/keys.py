"""Digests and submission keys."""

from __future__ import annotations

import hashlib
import secrets


def new_submission_key() -> str:
    """128 random bits as 32 hex digits, the form that graders of the reference expect."""
    return secrets.token_hex(16)


def key_hash(key: str) -> bytes:
    """What is stored of a submission key. The key is random, so no slow hash is needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def digest(*parts: str) -> bytes:
    """16 bytes that two equal lists of texts share, and no two different ones in practice."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        state.update(len(encoded).to_bytes(8, "big"))
        state.update(encoded)
    return state.digest()
